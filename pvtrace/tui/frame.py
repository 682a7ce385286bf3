"""The whole screen as lines: the bar, the panes with their titles, the last line. Pure but for the rows it reads."""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from pvtrace.model.errors import PvtraceError
from pvtrace.model.step import Step
from pvtrace.tui import layout
from pvtrace.tui.keys import KEYS
from pvtrace.tui.layout import Placed
from pvtrace.tui.lines import EMPTY, Line, Lines, Size, Span, block, cells, cut, fit, line
from pvtrace.tui.messages import Focused
from pvtrace.tui.model import Model, Note
from pvtrace.tui.panes.help import shown
from pvtrace.tui.panes.table import PANES
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role
from pvtrace.tui.style import palette
from pvtrace.tui.svg import svg

PLACE: Final = 16
"""Cells for the name of where one is, before there is any for the time."""


def screen(model: Model, record: Record) -> list[Line]:
    """As many lines as the terminal has, each exactly as wide."""
    size = Size(model.width, model.height)
    if size.width < layout.SMALLEST[0] or size.height < layout.SMALLEST[1]:
        return too_small(size)
    body = [fit(EMPTY, size.width)] * (size.height - layout.BARS)
    return [bar(model, record), *_body(body, layout.placed(model), model, record), last(model)]


def too_small(size: Size) -> list[Line]:
    wide, high = layout.SMALLEST
    text = f"pvtrace needs {wide}x{high}; this terminal is {size.width}x{size.height}. q leaves."
    return block([line(part) for part in wrap(text, max(1, size.width))], size)


# ---------------------------------------------------------------------------- panes


def _body(body: list[Line], slots: Sequence[Placed], model: Model, record: Record) -> list[Line]:
    rows: list[list[tuple[int, Line]]] = [[] for _ in body]
    for slot in slots:
        left, top, wide, high = slot.box
        for number, made in enumerate(_slot(slot, Size(wide, high), model, record)):
            rows[top - 1 + number].append((left, made))
    return [_joined(row) if row else blank for row, blank in zip(rows, body, strict=True)]


def _joined(parts: Sequence[tuple[int, Line]]) -> Line:
    """Side by side, with a line between. Each is as wide as its slot, and together they are as wide as the screen."""
    spans: list[Span] = []
    for _, part in sorted(parts, key=lambda item: item[0]):
        if spans:
            spans.append(Span("│", Role.BORDER))
        spans += part
    return tuple(spans)


def _slot(slot: Placed, size: Size, model: Model, record: Record) -> list[Line]:
    if size.height < 1:
        return []
    inner = Size(size.width, size.height - 1)
    try:
        content = PANES[slot.seen].lines(model, record, inner)
    except PvtraceError as error:  # a damaged trace: the rest of it may still be seen
        content = [line(Span(part, Role.ERROR)) for part in wrap(str(error), max(8, size.width))]
    return [_title(slot, size.width, model), *block(content, inner)]


def _title(slot: Placed, room: int, model: Model) -> Line:
    """'─2:events 14 of 1,582  0:divergences ──────': the tabs of the slot, first the one that is seen."""
    spans: list[Span] = []
    for name in (slot.seen, *(item for item in slot.panes if item != slot.seen)):
        pane = PANES[name]
        seen = name == slot.seen
        focus = seen and (name == model.focus or model.over is not None)
        role = Role.FOCUS if focus else Role.TITLE if seen else Role.DIM
        words = pane.title(model) if seen else pane.name
        spans.append(Span(f"{'▌' if focus else '─' if seen else ' '}", role, None, Focused(name)))
        spans.append(Span(f"{pane.digit}:" if pane.digit.isdigit() else "", Role.KEY if seen else Role.DIM))
        spans.append(Span(f"{words} ", role, None, Focused(name)))
    rest = room - sum(cells(span.text) for span in spans)
    return fit((*spans, Span("─" * max(0, rest), Role.BORDER)), room)


# ---------------------------------------------------------------------------- bars


def bar(model: Model, record: Record) -> Line:
    """Where one is, in all coordinates."""
    recording, here = model.recording, model.here
    name = recording.path.rpartition("/")[2]
    parts = [Span(f" {cut(name, max(8, model.width // 5))} ", Role.STRONG)]
    parts.append(Span(f" step {here.step:,}", Role.STRONG))
    parts.append(Span(f"/{recording.last:,} "))
    picture = model.picture
    if picture is None or not model.fresh:
        return fit((*parts, Span(" …")), model.width, Role.BAR)
    believed = picture.belief.eflags
    level = f"  CPL {picture.registers.cpl}  IF {believed >> 9 & 1}  IOPL {believed >> 12 & 3}  "
    mode = f"VMI {picture.belief.generation} " if picture.belief.generation else "native "
    if picture.branched is not None:
        mode += f"what-if since {picture.branched:,} "
    room = model.width - sum(cells(part.text) for part in parts) - len(level) - len(mode)
    time = f" {picture.ticks / picture.hz:.6f} s  "
    if room > len(time) + PLACE:
        parts.append(Span(time))
        room -= len(time)
    parts += [Span(cut(record.place(picture.eip), max(6, room)), Role.STRONG), Span(level), Span(mode, Role.STRONG)]
    return fit(tuple(parts), model.width, Role.BAR)


def last(model: Model) -> Line:
    """What was said, or is being done, and the way out; else the keys that are live."""
    if model.pending:
        return fit(line(Span(f" {' '.join(map(shown, model.pending))} …", Role.KEY)), model.width)
    if model.busy is not None:
        return fit(line(Span(f" {_busy(model)}", Role.WARNING), Span("  Ctrl-C stops", Role.KEY)), model.width)
    if model.note is not None:
        return _said(model, model.note)
    return fit(tuple(_hints(model)), model.width)


def _said(model: Model, note: Note) -> Line:
    ways = tuple(span for text in _ways_out(model) for span in _hint(text))
    said = line(Span(f" {note.text}", Role.ERROR if note.wrong else Role.STRONG))
    room = model.width - sum(cells(span.text) for span in ways) - 1
    return (*fit(said, room), *fit(ways, model.width - room)) if cells(said[0].text) < room else fit(said, model.width)


def _busy(model: Model) -> str:
    assert model.busy is not None
    words, step = model.busy
    return words if step is None else f"{words}: step {step:,} {_share(model, step)}"


def _share(model: Model, step: Step) -> str:
    first, end = model.recording.first, model.recording.last
    return f"{100 * (step - first) // max(1, end - first)}%"


def _hints(model: Model) -> Iterator[Span]:
    pane = PANES[model.over or model.focus]
    used = 0
    must = _ways_out(model)
    tail = sum(len(text) + 2 for text in must)
    keys = pane.keys if model.over else (*pane.keys, *KEYS)
    for text in [key.short for key in keys if key.short and key.short not in must]:
        if used + len(text) + 2 > model.width - tail - 1:
            break
        used += len(text) + 2
        yield from _hint(text)
    for text in must:
        yield from _hint(text)


def _ways_out(model: Model) -> list[str]:
    return ["Esc back", "? help"] if model.over else ["? help", "q quit"]


def _hint(text: str) -> Iterator[Span]:
    key, _, words = text.partition(" ")
    yield Span(f" {key}", Role.KEY)
    yield Span(f" {words}", Role.DIM)


def plain(lines: Lines) -> str:
    """The screen as text alone."""
    return "".join("".join(span.text for span in item).rstrip() + "\n" for item in lines)


def written(lines: Lines, name: str, size: Size) -> str:
    """The screen as a file of this name holds it: SVG, or text."""
    return svg(lines, size, palette(), "pvtrace") if name.endswith(".svg") else plain(lines)
