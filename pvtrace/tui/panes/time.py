"""The time strip: lanes of what happens, over the steps of the recording, and where one is."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from pvtrace.model.findings import Finding, Standing
from pvtrace.model.step import Step
from pvtrace.tui import moves, strip
from pvtrace.tui.lanes import LANES, Lanes, lanes
from pvtrace.tui.lines import EMPTY, Line, Lines, Size
from pvtrace.tui.lines import Span as Text
from pvtrace.tui.messages import GoTo, Message, OpenFinding
from pvtrace.tui.model import Model
from pvtrace.tui.moves import NOTHING, Outcome
from pvtrace.tui.panes.pane import Act, Key, Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import CPL, Role

LABEL: Final = 12
"""Cells for the name of a lane."""

BARS: Final = " ▁▂▃▄▅▆▇█"
MET: Final = "▪"
"""What stands for any number of events, where they are not counted."""

DIFFERENT: Final = "◆"
SURPRISING: Final = "◇"
NOW: Final = "▼"
QUIET: Final = "·"

SIGNS: Final = (
    (f"{BARS[1]} to {BARS[-1]}", "how many events, against the fullest column of the lane"),
    (MET, "some events: there are too many in sight to count"),
    (DIFFERENT, "native hardware would have done something else: proven"),
    (SURPRISING, "a hazard: it surprises on native hardware just the same"),
    ("?", "not judged yet"),
    ("0 1 3", "the privilege level at the end of the column"),
)
"""What the signs in the lanes mean."""

ROLES: Final = {"calls": Role.CALL, "faults": Role.FAULT, "interrupts": Role.INTERRUPT, "flags": Role.FLAG}
_FEWEST: Final = 8
"""Columns that the lanes have at the least."""


@dataclass(frozen=True, slots=True)
class Marked:
    """The most telling finding of a column: its index, and whether it is proven."""

    number: int
    proven: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """`found`: by column. `now`: the column where one is, None if that is not seen."""

    seen: strip.Span
    here: Step
    hz: int
    lanes: Lanes
    found: tuple[Marked | None, ...]
    now: int | None
    judged: bool


def read(model: Model, record: Record, size: Size) -> Slice:
    first, last = model.recording.first, model.recording.last
    seen = strip.span(model.strip, first, last)
    width = columns(size.width)
    return Slice(
        seen=seen,
        here=model.here.step,
        hz=model.recording.hz,
        lanes=lanes(record, seen, width),
        found=_found(model, seen, width),
        now=seen.column(model.here.step, width),
        judged=model.judgement is not None,
    )


def columns(width: int) -> int:
    return max(_FEWEST, width - LABEL)


def _found(model: Model, seen: strip.Span, width: int) -> tuple[Marked | None, ...]:
    """By a jump from column to column: there may be more findings than can be looked at for each key."""
    findings = model.findings
    starts = [seen.start(column, width) for column in range(width + 1)]
    edges = [bisect_left(findings, start, key=lambda item: item.step) for start in starts]
    return tuple(_gravest(findings, first, end) for first, end in pairwise(edges))


def _gravest(findings: Sequence[Finding], first: int, end: int) -> Marked | None:
    mark = None
    for number in range(first, end):
        standing = findings[number].standing
        if standing is Standing.PROVEN:
            return Marked(number, True)
        if standing is Standing.HAZARD and mark is None:
            mark = Marked(number, False)
    return mark


# ---------------------------------------------------------------------------- lines


def draw(shown: Slice, size: Size) -> Lines:
    """All lanes where there is room; else the most telling ones, the fuller the terminal the more."""
    made = {
        "axis": _axis(shown, columns(size.width)),
        **{name: _lane(shown, name) for name in LANES},
        "divergences": _divergences(shown),
        "CPL": _levels(shown),
    }
    order = list(made)
    for least in ("axis", "CPL", "calls", "interrupts", "faults"):
        if len(order) > size.height:
            order.remove(least)
    return [made[name] for name in order[: size.height]]


def _axis(shown: Slice, width: int) -> Line:
    """Where the seen stretch begins and ends, and where one is between."""
    begin, end = f"{shown.seen.since:,}", f"{shown.seen.until - 1:,}"
    label = Text(" " * LABEL)
    if shown.now is None:
        return (label, Text(f"{begin}{end:>{max(1, width - len(begin))}}", Role.STEP))
    here, start = f"{NOW} {shown.here:,}", shown.now
    if start + len(here) + len(end) >= width:  # near the right end: the step stands to the left
        here = f"{shown.here:,} {NOW}"
        start = max(0, start + 1 - len(here))
        end = ""
    behind = max(0, width - start - len(here))
    return (
        label,
        Text(f"{begin if len(begin) < start else '':<{start}}", Role.STEP),
        Text(here, Role.NOW),
        Text(f"{end:>{behind}}", Role.STEP),
    )


def _lane(shown: Slice, name: str) -> Line:
    counts = shown.lanes.counts[name]
    most = max(counts, default=0)
    cells = [(_bar(count, most, shown.lanes.exact), ROLES[name], None) for count in counts]
    return _row(shown, name, cells)


def _bar(count: int, most: int, exact: bool) -> str:
    if not count:
        return QUIET
    return BARS[1 + (len(BARS) - 2) * count // most] if exact else MET


def _divergences(shown: Slice) -> Line:
    cells: list[tuple[str, Role, Message | None]] = []
    for mark in shown.found:
        if mark is None:
            cells.append((QUIET if shown.judged else "?", Role.DIM, None))
        else:
            role, glyph = (Role.DIVERGENCE, DIFFERENT) if mark.proven else (Role.WARNING, SURPRISING)
            cells.append((glyph, role, OpenFinding(mark.number)))
    return _row(shown, "divergences", cells)


def _levels(shown: Slice) -> Line:
    cells = [(" ", Role.DIM, None) if level is None else (f"{level}", CPL[level], None) for level in shown.lanes.cpl]
    return _row(shown, "CPL", cells)


def _row(shown: Slice, name: str, cells: Sequence[tuple[str, Role, Message | None]]) -> Line:
    width = len(cells)
    spans = [Text(f"{name:<{LABEL}}", Role.DIM)]
    for column, (glyph, role, link) in enumerate(cells):
        on = Role.NOW if column == shown.now else None
        step = Step(shown.seen.start(column, width))
        plain = Role.DIM if glyph == QUIET else role
        spans.append(Text(glyph, plain, on, link or GoTo(step)))
    return tuple(spans) or EMPTY


# ---------------------------------------------------------------------------- keys


def _zoom(closer: bool) -> Act:
    def act(model: Model) -> Outcome:
        recording = model.recording
        seen = strip.zoomed(model.strip, recording.first, recording.last, model.here.step, closer)
        return replace(model, strip=seen), NOTHING

    return act


def _pan(way: int) -> Act:
    def act(model: Model) -> Outcome:
        recording = model.recording
        return replace(model, strip=strip.panned(model.strip, recording.first, recording.last, way)), NOTHING

    return act


def _column(way: int) -> Act:
    """To the next column of the screen."""

    def act(model: Model) -> Outcome:
        recording = model.recording
        seen = strip.span(model.strip, recording.first, recording.last)
        by = max(1, seen.length // columns(model.width))
        moved, effects = moves.stand(model, Step(max(recording.first, model.here.step + way * by)))
        there = strip.following(moved.strip, recording.first, recording.last, moved.here.step)
        return replace(moved, strip=there), effects

    return act


def _all(model: Model) -> Outcome:
    return replace(model, strip=strip.Strip()), NOTHING


def _to_here(model: Model) -> Outcome:
    recording = model.recording
    there = strip.following(model.strip, recording.first, recording.last, model.here.step)
    return replace(model, strip=there), NOTHING


KEYS: Final = (
    Key(("+", "="), "closer to where you are", _zoom(True), "+/- zoom", "Time strip"),
    Key(("-", "_"), "further away", _zoom(False), "", "Time strip"),
    Key(("left", "h"), "a column back", _column(-1), "", "Time strip"),
    Key(("right", "l"), "a column on", _column(1), "", "Time strip"),
    Key(("H", "s-left"), "look further back", _pan(-1), "H/L move", "Time strip"),
    Key(("L", "s-right"), "look further on", _pan(1), "", "Time strip"),
    Key((".",), "look where you are", _to_here, "", "Time strip"),
    Key(("a",), "the whole recording", _all, "a all", "Time strip"),
)


def title(model: Model) -> str:
    """Which steps are seen, and the time where one is."""
    recording = model.recording
    seen = strip.span(model.strip, recording.first, recording.last)
    words = f"time  step {model.here.step:,}"
    if model.picture is not None and model.fresh:
        words += f", {model.picture.ticks / model.picture.hz:.6f} s"
    if seen.length < recording.last + 1 - recording.first:
        words += f"  shown: {seen.since:,} to {seen.until - 1:,}"
    return words


PANE: Final = Pane("time", "1", title, read, draw, KEYS)
