"""The registers where one is; what the last step changed is marked. Two sets of flags: the CPU's, and those that the
guest believes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pvtrace.model.registers import Gpr, Registers, Seg, Segment
from pvtrace.tui.lines import Line, Lines, Size, Span, cells, line
from pvtrace.tui.model import Model
from pvtrace.tui.panes.pane import Pane
from pvtrace.tui.picture import Picture
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role
from pvtrace.x86.eflags import iopl, letters

GENERAL: Final = (Gpr.EAX, Gpr.EBX, Gpr.ECX, Gpr.EDX, Gpr.ESI, Gpr.EDI, Gpr.EBP, Gpr.ESP)
"""In the order in which people read them."""


class Cell(NamedTuple):
    """A register and its value in words; `more` only where there is room."""

    name: str
    value: str
    changed: bool
    more: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    general: tuple[Cell, ...]
    eip: Cell
    flags: tuple[Cell, ...]
    segments: tuple[Cell, ...]
    system: tuple[Cell, ...]
    stale: bool
    """It is of where one was, the machine is on its way."""


def read(model: Model, record: Record, size: Size) -> Slice | None:
    del size
    picture = model.picture
    return None if picture is None else taken(picture, record.place(picture.eip), not model.fresh)


def taken(picture: Picture, place: str, stale: bool = False) -> Slice:
    """`place`: EIP in words."""
    now, before = picture.registers, picture.before or picture.registers
    belief, believed = picture.belief, picture.belief_before or picture.belief
    general = tuple(
        Cell(number.name, f"{now.gprs[number]:08x}", now.gprs[number] != before.gprs[number]) for number in GENERAL
    )
    flags = [_flags("EFL", now.eflags, before.eflags, "real")]
    if now.eflags != belief.eflags:
        flags.append(_flags("guest", belief.eflags, believed.eflags, "believes"))
    segments = tuple(
        _segment(seg.name, now.segments[seg], before.segments[seg])
        for seg in (Seg.CS, Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS)
    )
    return Slice(
        general,
        Cell("EIP", f"{now.eip:08x}", False, place),
        tuple(flags),
        segments,
        tuple(_system(now, before)),
        stale,
    )


def _flags(name: str, now: int, before: int, more: str) -> Cell:
    return Cell(name, f"{now:08x} {letters(now)} IOPL {iopl(now)}", now != before, more)


def _segment(name: str, now: Segment, before: Segment) -> Cell:
    bits = "" if not now.attributes else f"{now.base:08x}+{now.limit:x} DPL {now.dpl}"
    return Cell(name, f"{now.selector:04x}", now != before, bits)


def _system(now: Registers, before: Registers) -> Iterator[Cell]:
    for number in (0, 2, 3, 4):
        yield Cell(f"CR{number}", f"{now.crs[number]:08x}", now.crs[number] != before.crs[number])
    yield Cell("GDT", f"{now.gdtr.base:08x}+{now.gdtr.limit:x}", now.gdtr != before.gdtr)
    yield Cell("IDT", f"{now.idtr.base:08x}+{now.idtr.limit:x}", now.idtr != before.idtr)
    yield Cell("LDT", f"{now.ldtr.selector:04x}", now.ldtr != before.ldtr)
    yield Cell("TR", f"{now.tr.selector:04x}", now.tr != before.tr)


def draw(shown: Slice | None, size: Size) -> Lines:
    if shown is None:
        return [line(Span("the machine is being built", Role.DIM))]
    lines = [
        *_grid(shown.general, size.width, 14),
        line(*_cell(shown.eip), Span(f"  {shown.eip.more}", Role.SYMBOL)),
        *(line(*_cell(cell), Span(f"  {cell.more}", Role.DIM)) for cell in shown.flags),
    ]
    left = size.height - len(lines)
    long = left >= len(shown.segments) + 4 and size.width >= 34
    if long:
        lines += [line(*_cell(cell), Span(f"  {cell.more}", Role.DIM)) for cell in shown.segments]
    else:
        lines += _grid(shown.segments, size.width, 9)
    return [*lines, *_grid(shown.system[:4], size.width, 14), *_grid(shown.system[4:], size.width, 20)]


def _grid(cells_: Sequence[Cell], room: int, wide: int) -> Iterator[Line]:
    """As many side by side as there is room for, in columns of equal width, and the last row as full as the others."""
    columns = max(1, min(len(cells_), (room + 1) // wide))
    while len(cells_) % columns and columns > 1:
        columns -= 1
    for start in range(0, len(cells_), columns):
        spans: list[Span] = []
        for cell in cells_[start : start + columns]:
            made = _cell(cell)
            spans += [*made, Span(" " * max(1, wide - sum(cells(span.text) for span in made)))]
        yield tuple(spans)


def _cell(cell: Cell) -> Line:
    """'EAX 00000001', with a star in front of a value that changed."""
    role = Role.CHANGED if cell.changed else Role.NUMBER
    return (
        Span(f"{cell.name:<3}", Role.REGISTER),
        Span("*" if cell.changed else " ", Role.CHANGED),
        Span(cell.value, role),
    )


def title(model: Model) -> str:
    if model.picture is not None and not model.fresh:
        return f"registers at {model.picture.step:,}"
    return "registers"


PANE: Final = Pane("registers", "5", title, read, draw)
