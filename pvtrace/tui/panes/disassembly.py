"""The code around EIP, or where one looks: labels, source lines, arrows for jumps, breakpoints, and the instruction of
the event that is selected."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pygments.lexers.asm import NasmLexer
from pygments.token import Token

from pvtrace.tui import moves
from pvtrace.tui.code import Code, backward, forward
from pvtrace.tui.effects import Refresh
from pvtrace.tui.lines import Line, Lines, Size, Span, cut, line, width
from pvtrace.tui.model import Model
from pvtrace.tui.moves import Outcome, said
from pvtrace.tui.panes.pane import Key, Pane
from pvtrace.tui.picture import Picture
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role

TALL: Final = 14
"""Lines of a pane from which on source lines stand between the instructions."""

LANES: Final = 3
"""Arrows side by side at most."""


@dataclass(frozen=True, slots=True)
class Row:
    """`label`: the symbol that begins here. `source`: file and line, where they change; `quoted`: that
    line. `name`: the target in words.
    `here`: it is dispatched next; `event`: the selected event is its doing; `stop`: there is a breakpoint."""

    code: Code
    label: str = ""
    source: str = ""
    quoted: str = ""
    name: str = ""
    here: bool = False
    event: bool = False
    stop: bool = False
    hit: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    rows: tuple[Row, ...]
    focus: bool
    reason: str = ""
    """Why there are none."""


def read(model: Model, record: Record, size: Size) -> Slice:
    picture = model.picture
    if picture is None:
        return Slice((), False, "the machine is being built")
    count = size.height
    at = picture.eip if model.code is None else model.code
    above = 0 if model.code is not None else max(1, count // 3)
    codes = backward(picture.peek, at, above, _start(record, at), picture.bits)
    codes += forward(picture.peek, at, count - len(codes), picture.bits)
    event = None if model.here.event is None else record.event(model.here.event)
    pc = event.pc if event is not None and event.step == model.here.step else None
    rows = tuple(_rows(codes, model, record, picture, pc))
    return Slice(rows, model.focus == "disassembly", "" if rows else f"there is no memory at {at:08x} now")


def _start(record: Record, address: int) -> int | None:
    """Where the function begins that an address is in."""
    name = record.symbols.at(address)
    return None if name is None else record.symbols.address_of(name.partition("+0x")[0])


def _rows(codes: Sequence[Code], model: Model, record: Record, picture: Picture, pc: int | None) -> Iterator[Row]:
    before = ""
    pattern = model.pattern.text.lower() if model.pattern and model.pattern.where == "disassembly" else ""
    for code in codes:
        name = record.symbols.at(code.address)
        line_ = record.source(code.address) if record.has_sources else None
        source = "" if line_ is None else f"{line_.file}:{line_.line}"
        yield Row(
            code,
            name if name and "+0x" not in name else "",
            source if source != before else "",
            _quoted(source, record) if source != before else "",
            (record.symbols.at(code.target) or "") if code.target is not None else "",
            code.address == picture.eip and model.fresh,
            code.address == pc,
            code.address in model.breaks,
            bool(pattern) and pattern in f"{name} {code.text}".lower(),
        )
        before = source


def _quoted(source: str, record: Record) -> str:
    """The source line itself, if the file is there to be read."""
    name, _, number = source.rpartition(":")
    lines = _file(str(Path(record.trace.path).parent), name)
    row = int(number or 0) - 1
    return lines[row].strip() if 0 <= row < len(lines) else ""


@lru_cache(maxsize=64)
def _file(folder: str, name: str) -> Sequence[str]:
    """The lines of a source file, looked for where it was compiled and beside the recording."""
    for path in (Path(name), Path(folder) / name):
        try:
            return path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
    return ()


# ---------------------------------------------------------------------------- how it looks


def draw(shown: Slice, size: Size) -> Lines:
    if not shown.rows:
        return [line(Span(shown.reason, Role.DIM))]
    arrows = gutter([row.code for row in shown.rows])
    lines: list[Line] = []
    at = 0
    for row, arrow in zip(shown.rows, arrows, strict=True):
        if row.label:
            lines.append(line(Span(f"{row.label}:", Role.SYMBOL)))
        if row.quoted and size.height >= TALL:
            lines.append(line(Span(f"  {row.source}  {row.quoted}", Role.SOURCE)))
        if row.here:
            at = len(lines)
        lines.append(_line(row, arrow, shown.focus, size.width))
    first = max(0, min(at - size.height // 3, len(lines) - size.height))
    return lines[first : first + size.height]


def _line(row: Row, arrow: str, focus: bool, room: int) -> Line:
    sign = "▶" if row.here else "●" if row.stop else "·" if row.event else " "
    stop = Span("●" if row.stop and row.here else " ", Role.ERROR)
    ground = (Role.CURSOR if focus else Role.SHADE) if row.here else Role.HIT if row.hit else None
    code = row.code
    bytes_ = (Span(f"{cut(code.bytes.hex(), 14):<15}", Role.DIM),) if room >= 64 else ()
    name = (Span(f"  {row.name}", Role.SYMBOL),) if row.name else ()
    head = 12 + (15 if bytes_ else 0) + len(arrow) + width(coloured(code.text)) + len(row.name) + 2
    source = f"{row.source:>{max(0, room - head)}}" if row.source and len(row.source) + 2 < room - head else ""
    spans = (
        Span(sign, Role.ERROR if sign == "●" else Role.NOW),
        stop,
        Span(f"{code.address:08x} ", Role.ADDRESS),
        *bytes_,
        Span(arrow, Role.DIM),
        *coloured(code.text),
        *name,
        Span(source, Role.SOURCE),
    )
    return tuple(span._replace(on=ground) for span in spans)


_TOKENS: Final[dict[Any, Role]] = {
    Token.Name.Function: Role.MNEMONIC,
    Token.Keyword: Role.MNEMONIC,
    Token.Name.Builtin: Role.REGISTER,
    Token.Literal.Number: Role.NUMBER,
}
_LEXER: Final = NasmLexer(stripnl=False, ensurenl=False)


@lru_cache(maxsize=4096)
def coloured(text: str) -> Line:
    """One instruction with its parts told apart."""
    name, _, rest = text.partition(" ")
    found = [Span(f"{name:<6} ", Role.MNEMONIC)]
    for token, part in _LEXER.get_tokens(f" {rest}"):
        role = next((role for kind, role in _TOKENS.items() if token in kind), Role.PLAIN)
        found.append(Span(part, Role.PLAIN if role is Role.MNEMONIC else role))
    found[1:2] = [found[1]._replace(text=found[1].text.removeprefix(" "))] if len(found) > 1 else []
    return tuple(span for span in found if span.text)


def gutter(codes: Sequence[Code]) -> list[str]:
    """For each row the arrows that pass it: from a jump to its target, if both are in sight; short ones inside."""
    at = {code.address: row for row, code in enumerate(codes)}
    arrows = sorted(
        (
            (min(row, at[code.target]), max(row, at[code.target]), at[code.target])
            for row, code in enumerate(codes)
            if code.jumps and code.target in at
        ),
        key=lambda arrow: arrow[1] - arrow[0],
    )
    lanes: list[list[tuple[int, int, int]]] = []
    for arrow in arrows:
        free = next((lane for lane in lanes if all(a[1] < arrow[0] or arrow[1] < a[0] for a in lane)), None)
        if free is not None:
            free.append(arrow)
        elif len(lanes) < LANES:
            lanes.append([arrow])
    if not lanes:
        return [""] * len(codes)
    return [_gutter_row(row, lanes) for row in range(len(codes))]


def _gutter_row(row: int, lanes: Sequence[Sequence[tuple[int, int, int]]]) -> str:
    """From the outermost lane to the innermost, and then the head of an arrow or nothing."""
    drawn, reach, head = "", False, False
    for lane in reversed(lanes):
        found = next((arrow for arrow in lane if arrow[0] <= row <= arrow[1]), None)
        if found is None:
            drawn += "─" if reach else " "
        elif row in found[:2]:
            corner = "╭" if row == found[0] else "╰"
            drawn += "─" if reach else "├" if found[0] == found[1] else corner
            reach, head = True, head or row == found[2]
        else:
            drawn += "┼" if reach else "│"
    return drawn + ("▸ " if head else "─ " if reach else "  ")


# ---------------------------------------------------------------------------- keys


def scrolled(model: Model, rows: int) -> Outcome:
    """Look so many instructions further on, or back."""
    picture = model.picture
    if picture is None:
        return said(model, "the machine is not there yet")
    at = picture.eip if model.code is None else model.code
    codes = backward(picture.peek, at, -rows, None, picture.bits) if rows < 0 else []
    if rows > 0:
        codes = forward(picture.peek, at, rows + 1, picture.bits)[-1:]
    if not codes:
        return said(model, "there is no code that way")
    return replace(model, code=codes[0].address), (Refresh(),)


def _follow(model: Model) -> Outcome:
    return replace(model, code=None), (Refresh(),)


def _break(model: Model) -> Outcome:
    """At the first row that is looked at, else at EIP."""
    picture = model.picture
    if picture is None:
        return said(model, "the machine is not there yet")
    return moves.toggle_break(model, picture.eip if model.code is None else model.code)


KEYS: Final = (
    Key(("down", "j"), "look further on", lambda model: scrolled(model, 1), "j/k scroll"),
    Key(("up", "k"), "look back", lambda model: scrolled(model, -1)),
    Key(("pagedown", "space"), "a page on", lambda model: scrolled(model, 16)),
    Key(("pageup", "b"), "a page back", lambda model: scrolled(model, -16)),
    Key((".", "home", "g"), "to EIP again", _follow, ". EIP"),
    Key(("B", "f2"), "breakpoint at the first row, or none any more", _break, "B break"),
)


def title(model: Model) -> str:
    return "disassembly" if model.code is None else f"disassembly from {model.code:08x}"


PANE: Final = Pane("disassembly", "4", title, read, draw, KEYS)
