"""The list of events around where one is. However many there are, only those that are seen are read."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from pvtrace.model.events import KINDS, Event, Kind
from pvtrace.model.findings import Finding, Standing
from pvtrace.model.step import Step
from pvtrace.tui.lines import Line, Lines, Size, Span, cut, line
from pvtrace.tui.messages import GoTo
from pvtrace.tui.model import Model
from pvtrace.tui.panes.pane import Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import CPL, STANDING, Role, family

LETTERS: Final = {
    "call": "V",
    "fault": "F",
    "interrupt": "I",
    "return": "R",
    "flag": "f",
    "port": "p",
    "console": "c",
    "instruction": "e",
    "mode": "M",
    "time": "t",
    "note": "N",
}
"""A letter for each family of events, so that they can be told without colour."""

SIGNS: Final = (
    ("▸", "where you are"),
    *((glyph, f"a divergence: {word}") for glyph, word, _ in STANDING.values() if glyph.strip()),
    *((letter, name) for name, letter in LETTERS.items()),
)
"""What the signs in front of an event mean."""

Found = tuple[int, Finding]
"""A finding with its index."""

GRAVEST: Final = (Standing.PROVEN, Standing.HAZARD)

WIDE: Final = 100
"""Cells from which on there is room for the IOPL."""


@dataclass(frozen=True, slots=True)
class Row:
    """`cursor`: it is selected. `finding`: what was found there. `hit`: what was searched for is in it."""

    number: int
    event: Event
    place: str
    words: str
    cursor: bool
    finding: Standing | None
    hit: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """`above` of the rows are in front of where one is. `between`: one is at no event that is listed. `found`: what was
    found there all the same."""

    rows: tuple[Row, ...]
    above: int
    between: bool
    found: Finding | None
    now: Step
    digits: int
    focus: bool


def read(model: Model, record: Record, size: Size) -> Slice:
    """The cursor stays in the middle, and the list moves; at an end of the recording the cursor moves."""
    rows = max(1, size.height - 1)
    here = model.here
    cursor = -1 if here.event is None else here.event
    before = record.before(cursor + 1, rows, model.kinds)
    after = record.after(cursor + 1, rows, model.kinds)
    listed = bool(before) and before[-1][0] == cursor and before[-1][1].step == here.step
    room = rows - (0 if listed else 1)
    above = min(len(before), max(rows // 2, room - len(after)))
    shown = before[len(before) - above :] + after[: max(0, room - above)]
    pattern = model.pattern.text.lower() if model.pattern and model.pattern.where == "events" else ""
    made = tuple(_row(number, event, model, record, pattern, listed and number == cursor) for number, event in shown)
    digits = len(f"{model.recording.last:,}")
    found = next((item for _, item in silent(model)), None)
    return Slice(made, above, not listed, found, here.step, digits, model.focus == "events")


def _row(number: int, event: Event, model: Model, record: Record, pattern: str, cursor: bool) -> Row:
    words = record.words(event)
    place = record.place(event.pc)
    hit = bool(pattern) and pattern in f"{place} {words}".lower()
    return Row(number, event, place, words, cursor, standing(model, number, event), hit)


def standing(model: Model, number: int, event: Event) -> Standing | None:
    """Of the gravest finding that belongs to this event, if there is any that tells something."""
    return min((item.standing for _, item in belonging(model, number, event)), key=GRAVEST.index, default=None)


def belonging(model: Model, number: int, event: Event) -> Iterator[Found]:
    """Findings that belong to an event, with their indices; none that makes no difference."""
    return (found for found in _at(model, event.step) if found[1].event in (number, None))


def silent(model: Model) -> Iterator[Found]:
    """Findings where one is that no event shows."""
    return (found for found in _at(model, model.here.step) if found[1].event is None)


def _at(model: Model, step: Step) -> Iterator[Found]:
    findings = model.findings
    first = bisect_left(findings, step, key=lambda item: item.step)
    there = takewhile(lambda number: findings[number].step == step, range(first, len(findings)))
    return ((n, findings[n]) for n in there if findings[n].standing is not Standing.POTENTIAL)


def draw(shown: Slice, size: Size) -> Lines:
    places = max(12, min(28, size.width // 4))
    wide = size.width >= WIDE
    lines = [_header(shown.digits, places, wide)]
    for index, row in enumerate(shown.rows):
        if shown.between and index == shown.above:
            lines.append(_now(shown))
        lines.append(_line(row, shown, places, wide))
    if shown.between and shown.above >= len(shown.rows):
        lines.append(_now(shown))
    return lines


def _header(digits: int, places: int, wide: bool) -> Line:
    levels = "CPL IF IOPL" if wide else "CPL IF"
    return line(Span(f" {'step':>{digits}} {levels} {'place':<{places}}   event", Role.DIM))


def _now(shown: Slice) -> Line:
    ground = Role.CURSOR if shown.focus else Role.SHADE
    spans = [Span(f"▸{shown.now:>{shown.digits},}", Role.NOW, ground), Span(" here ", Role.PLAIN, ground)]
    if shown.found is not None:
        glyph, _, role = STANDING[shown.found.standing]
        spans.append(Span(f" {glyph} {shown.found.text}", role, ground))
    return tuple(spans)


def _line(row: Row, shown: Slice, places: int, wide: bool) -> Line:
    event = row.event
    role = family(event.kind)
    cpl, interrupts = event.flags >> 35 & 3, event.flags >> 32 & 1
    ground = (Role.CURSOR if shown.focus else Role.SHADE) if row.cursor else Role.HIT if row.hit else None
    link = GoTo(event.step, row.number)
    glyph, _, grave = STANDING[row.finding or Standing.POTENTIAL]
    spans = (
        Span("▸" if row.cursor else " ", Role.NOW),
        Span(f"{event.step:>{shown.digits},} ", Role.STEP),
        Span(f"{cpl:>3}", CPL[cpl]),
        Span(f" {interrupts:>2} ", Role.SET if interrupts else Role.DIM),
        Span(f"{event.flags >> 33 & 3:>4} " if wide else "", Role.DIM),
        Span(f"{cut(row.place, places):<{places}} ", Role.SYMBOL),
        Span(glyph, grave),
        Span(LETTERS[KINDS[event.kind].family] + " ", role),
        Span(row.words, role),
        Span(""),
    )
    return tuple(span._replace(on=span.on or ground, link=link) for span in spans)


def title(model: Model) -> str:
    """With the filter, if there is one."""
    if model.kinds is None:
        return f"events {_which(model)}"
    few = len(model.kinds) * 2 < len(Kind)
    named = sorted({KINDS[kind].name.replace("_", " ") for kind in (model.kinds if few else set(Kind) - model.kinds)})
    return f"events {_which(model)}{':' if few else ' without'} {', '.join(named)}"


def _which(model: Model) -> str:
    number = 0 if model.here.event is None else model.here.event + 1
    return f"{number:,} of {model.recording.events:,}"


PANE: Final = Pane("events", "2", title, read, draw)
