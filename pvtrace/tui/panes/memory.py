"""Memory in hexadecimal, with a cursor, and who wrote the byte under it if that was asked."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from pvtrace.tui import layout
from pvtrace.tui.effects import Refresh
from pvtrace.tui.lines import Line, Lines, Size, Span, line
from pvtrace.tui.model import Model
from pvtrace.tui.moves import Outcome, said
from pvtrace.tui.panes.pane import Act, Key, Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role

WIDE: Final = 78
"""Cells that sixteen bytes in a row need, with their letters; else there are eight."""

NARROW: Final = 45
"""The same for eight bytes; else there are no letters."""


@dataclass(frozen=True, slots=True)
class Slice:
    """`rows`: address, and the bytes there, None where nothing is mapped. `place`: the cursor's address in words."""

    rows: tuple[tuple[int, tuple[int | None, ...]], ...]
    cursor: int
    place: str
    writer: str
    focus: bool


def read(model: Model, record: Record, size: Size) -> Slice | None:
    picture = model.picture
    if picture is None:
        return None
    cursor = picture.esp if model.memory.address is None else model.memory.address
    across = bytes_across(size.width)
    first = cursor - cursor % across - across * min(4, max(0, size.height - 2) // 2)
    rows = []
    for row in range(max(1, size.height - 1)):
        address = (first + row * across) % (1 << 32)
        rows.append((address, tuple((picture.peek(address + n, 1) or (None,))[0] for n in range(across))))
    said_ = [item for item in model.memory.writers if item.address == cursor and item.seen == model.here.step]
    return Slice(tuple(rows), cursor, record.place(cursor), said_[0].text if said_ else "", model.focus == "memory")


def bytes_across(width: int) -> int:
    """How many stand in a row."""
    return 16 if width >= WIDE else 8


def draw(shown: Slice | None, size: Size) -> Lines:
    if shown is None:
        return [line(Span("the machine is being built", Role.DIM))]
    foot = shown.writer or f"{shown.place}  w: to who wrote it last"
    letters = size.width >= (WIDE if len(shown.rows[0][1]) == 16 else NARROW)
    return [
        *(_line(address, data, shown, letters) for address, data in shown.rows[: size.height - 1]),
        line(Span(foot, Role.DIM)),
    ]


def _line(address: int, data: tuple[int | None, ...], shown: Slice, letters: bool) -> Line:
    return (
        Span(f"{address:08x}  ", Role.ADDRESS),
        *_bytes(address, data, shown),
        Span(" "),
        *(Span(_letter(byte), Role.DIM, _ground(address + n, shown)) for n, byte in enumerate(data) if letters),
        Span(""),
    )


def _bytes(address: int, data: tuple[int | None, ...], shown: Slice) -> Iterator[Span]:
    for n, byte in enumerate(data):
        role = Role.DIM if not byte else Role.NUMBER
        yield Span("??" if byte is None else f"{byte:02x}", role, _ground(address + n, shown))
        yield Span("  " if n % 8 == 7 else " ")


def _ground(address: int, shown: Slice) -> Role | None:
    return None if address != shown.cursor else Role.CURSOR if shown.focus else Role.SHADE


def _letter(byte: int | None) -> str:
    return " " if byte is None else chr(byte) if 0x20 <= byte < 0x7F else "."


def _by(count: int, rows: bool) -> Act:
    def act(model: Model) -> Outcome:
        if model.picture is None:
            return said(model, "the machine is not there yet")
        at = model.picture.esp if model.memory.address is None else model.memory.address
        box = layout.inner(model, "memory")
        step = bytes_across(box.width if box else model.width) if rows else 1
        address = (at + count * step) % (1 << 32)
        return replace(model, memory=replace(model.memory, address=address)), (Refresh(),)

    return act


def _follow(model: Model) -> Outcome:
    return replace(model, memory=replace(model.memory, address=None)), (Refresh(),)


KEYS: Final = (
    Key(("down", "j"), "a row down", _by(1, True), "hjkl byte"),
    Key(("up", "k"), "a row up", _by(-1, True)),
    Key(("left", "h"), "a byte back", _by(-1, False)),
    Key(("right", "l"), "a byte on", _by(1, False)),
    Key(("pagedown", "space"), "a page down", _by(16, True)),
    Key(("pageup", "b"), "a page up", _by(-16, True)),
    Key((".", "home", "g"), "to the top of the stack again", _follow, ". stack"),
)


def title(model: Model) -> str:
    del model
    return "memory"


PANE: Final = Pane("memory", "7", title, read, draw, KEYS)
