"""The help: every key and every command that there is, made from the tables themselves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from pvtrace.tui import layout, panels
from pvtrace.tui.lines import EMPTY, Line, Lines, Size, Span, fit, line
from pvtrace.tui.model import Model
from pvtrace.tui.moves import Outcome
from pvtrace.tui.panes.pane import Act, Key, Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role

SHOWN: Final = {
    "f19": "Shift-F7",
    "f20": "Shift-F8",
    "f21": "Shift-F9",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "escape": "Esc",
}
"""Names of keys as they stand on the keyboard, where they differ from their own."""


def shown(name: str) -> str:
    """'Ctrl-D' for c-d, "]d" for "] d"."""
    keys = [_one(key) for key in name.split()]
    return "".join(keys) if all(len(key) == 1 for key in keys) else " ".join(keys)


def _one(key: str) -> str:
    if key in SHOWN:
        return SHOWN[key]
    if key.startswith("c-"):
        return f"Ctrl-{key[2:].upper()}"
    if key.startswith("s-"):
        return f"Shift-{key[2:].capitalize()}"
    return {"*": "x"}.get(key, key if len(key) == 1 else key.capitalize())


END: Final = 1_000_000
"""Lines; nothing is longer."""

COLUMN: Final = 64
"""Cells across that a column of the help needs."""


@dataclass(frozen=True, slots=True)
class Slice:
    """`groups`: heading, and rows of keys and what they do."""

    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    scroll: int


def slice_of(
    keys: Sequence[tuple[str, Sequence[Key]]],
    signs: Mapping[str, Sequence[tuple[str, str]]],
    commands: Sequence[tuple[str, str]],
    scroll: int,
) -> Slice:
    """`keys`: under their heading; without one, each under its own group. `signs`: by their heading."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for heading, table in keys:
        for key in table:
            row = (" ".join(shown(name) for name in key.names), key.words)
            groups.setdefault(heading or key.group, []).append(row)
    groups |= {heading: list(rows) for heading, rows in signs.items()}
    groups["Commands"] = [(f":{usage}", summary) for usage, summary in commands]
    return Slice(tuple((heading, tuple(rows)) for heading, rows in groups.items()), scroll)


def draw(given: Slice, size: Size) -> Lines:
    lines = list(_all(given, size))
    last = max(0, len(lines) - size.height)
    return lines[min(given.scroll, last) :]


def _all(given: Slice, size: Size) -> Iterator[Line]:
    """In as many columns of groups as there is room for."""
    columns = max(1, size.width // COLUMN)
    wide = size.width // columns
    blocks = [list(_group(heading, rows, wide)) for heading, rows in given.groups]
    heights = [0] * columns
    placed: list[list[Line]] = [[] for _ in range(columns)]
    for block in blocks:
        at = heights.index(min(heights))
        placed[at] += block
        heights[at] += len(block)
    for row in range(max(heights)):
        yield tuple(span for column in placed for span in fit(column[row] if row < len(column) else EMPTY, wide))


def _group(heading: str, rows: Sequence[tuple[str, str]], wide: int) -> Iterator[Line]:
    yield line(Span(heading, Role.STRONG))
    room = min(max(len(keys) for keys, _ in rows), wide // 2)
    for keys, words in rows:
        first, *others = wrap(words, max(8, wide - room - 5)) or [""]
        yield line(Span(f"  {keys:<{room}}", Role.KEY), Span(f"  {first}"))
        yield from (line(Span(f"{'':<{room + 4}}{more}")) for more in others)
    yield ()


Length = Callable[[Model, Size], int]
"""How many lines there are to read in a body of this size."""


def scrolling(name: str, length: Length) -> tuple[Key, ...]:
    """Keys of a pane that covers the body and is longer than it."""

    def by(lines: int) -> Act:
        def act(model: Model) -> Outcome:
            box = layout.inner(model, name)
            size = Size(model.width, model.height) if box is None else Size(box.width, box.height)
            return panels.scrolled(model, lines, length(model, size) - size.height)

        return act

    return (
        Key(("down", "j"), "down", by(1), "j/k scroll"),
        Key(("up", "k"), "up", by(-1)),
        Key(("pagedown", "space"), "a page down", by(20), "Space page"),
        Key(("pageup", "b"), "a page up", by(-20)),
        Key(("home", "g"), "to the top", by(-END)),
        Key(("end", "G"), "to the end", by(END), "G end"),
    )


def title(model: Model) -> str:
    del model
    return "keys and commands"


def pane(
    tables: Sequence[tuple[str, Sequence[Key]]],
    signs: Mapping[str, Sequence[tuple[str, str]]],
    commands: Sequence[tuple[str, str]],
) -> Pane[Slice]:
    """The help over these tables."""

    def read(model: Model, _record: Record, _size: Size) -> Slice:
        return slice_of(tables, signs, commands, model.scroll)

    def length(_model: Model, size: Size) -> int:
        return len(list(_all(slice_of(tables, signs, commands, 0), size)))

    return Pane("help", "?", title, read, draw, scrolling("help", length))
