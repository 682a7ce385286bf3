"""The list of divergences, by step. Potential ones are left out: nothing differed there."""

from bisect import bisect_right
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import Final

from pvtrace.model.findings import Finding
from pvtrace.tui import moves, panels
from pvtrace.tui.lines import Line, Lines, Size, Span, cut, line, linked
from pvtrace.tui.messages import OpenFinding
from pvtrace.tui.model import Model
from pvtrace.tui.moves import NOTHING, Outcome
from pvtrace.tui.panes.pane import Act, Key, Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import STANDING, Role


@dataclass(frozen=True, slots=True)
class Row:
    """`number`: the finding's index. `cursor`: it is open, or the last one before where one is."""

    number: int
    finding: Finding
    place: str
    cursor: bool


@dataclass(frozen=True, slots=True)
class Slice:
    rows: tuple[Row, ...]
    verdict: str
    digits: int
    focus: bool


def telling(model: Model) -> list[int]:
    """Indices of the findings that are listed."""
    return list(model.telling)


def current(model: Model, listed: list[int]) -> int | None:
    """Where in the list one is: at the open finding, else at the last one at or before here; None before the first."""
    if model.finding in listed and model.findings[model.finding or 0].step == model.here.step:
        return listed.index(model.finding or 0)
    at = bisect_right(listed, model.here.step, key=lambda number: model.findings[number].step) - 1
    return at if at >= 0 else None


def read(model: Model, record: Record, size: Size) -> Slice:
    listed = telling(model)
    at = current(model, listed)
    rows = max(1, size.height - 1)
    start = max(0, min((at or 0) - rows // 2, len(listed) - rows))
    shown = tuple(
        Row(number, model.findings[number], record.place(model.findings[number].pc), start + offset == at)
        for offset, number in enumerate(listed[start : start + rows])
    )
    return Slice(shown, model.verdict, len(f"{model.recording.last:,}"), model.focus == "divergences")


def draw(shown: Slice, size: Size) -> Lines:
    if not shown.rows:
        return [line(Span(f" {part}", Role.DIM)) for part in wrap(shown.verdict, max(8, size.width - 1))]
    places = max(12, min(24, size.width // 5))
    header = f" {'step':>{shown.digits}}   {'place':<{places}} {'rule':<16} what differs"
    return [line(Span(header, Role.DIM)), *(_line(row, shown, places) for row in shown.rows)]


def _line(row: Row, shown: Slice, places: int) -> Line:
    finding = row.finding
    glyph, _, role = STANDING[finding.standing]
    ground = (Role.CURSOR if shown.focus else Role.SHADE) if row.cursor else None
    spans = (
        Span("▸" if row.cursor else " ", Role.NOW),
        Span(f"{finding.step:>{shown.digits},} ", Role.STEP),
        Span(f"{glyph} ", role),
        Span(f"{cut(row.place, places):<{places}} ", Role.SYMBOL),
        Span(f"{finding.rule:<16} ", role),
        Span(finding.text),
        Span(""),
    )
    return linked(tuple(span._replace(on=ground) for span in spans), OpenFinding(row.number))


# ---------------------------------------------------------------------------- keys


def _by(count: int) -> Act:
    def act(model: Model) -> Outcome:
        listed = telling(model)
        if not listed:
            return model, NOTHING
        at = current(model, listed)
        wanted = count - 1 if at is None and count > 0 else (at or 0) + count
        return moves.open_finding(model, listed[min(max(wanted, 0), len(listed) - 1)])

    return act


def _page(way: int) -> Act:
    return lambda model: _by(way * max(1, panels.rows_of(model, "divergences") - 2))(model)


def _split(model: Model) -> Outcome:
    listed = telling(model)
    at = current(model, listed)
    if at is None:
        return _by(1)(model)
    moved, effects = moves.open_finding(model, listed[at])
    return panels.cover(replace(moved, note=None), "divergence"), effects


KEYS: Final = (
    Key(("j", "down"), "next divergence", _by(1), "", "Divergences"),
    Key(("k", "up"), "previous divergence", _by(-1), "", "Divergences"),
    Key(("pagedown", "space"), "a page on", _page(1), "", "Divergences"),
    Key(("pageup", "b"), "a page back", _page(-1), "", "Divergences"),
    Key(("enter",), "native and paravirtual side by side", _split, "Enter split", "Divergences"),
)


def title(model: Model) -> str:
    if model.unjudged:
        return "divergences: not known"
    if model.judgement is None:
        done = "" if model.judging is None else f" {100 * model.judging // max(1, model.recording.last)}%"
        return f"divergences: being judged{done}"
    listed = telling(model)
    at = current(model, listed)
    return f"divergences {0 if at is None else at + 1:,} of {len(listed):,}"


PANE: Final = Pane("divergences", "0", title, read, draw, KEYS)
