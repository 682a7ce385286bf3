"""The rows that a question in SQL was answered with; those that name a step jump there."""

from dataclasses import dataclass, replace
from typing import Final

from pvtrace.model.step import Step
from pvtrace.tui import moves, panels
from pvtrace.tui.answer import Answer
from pvtrace.tui.lines import Line, Lines, Size, Span, cells, cut, line, linked
from pvtrace.tui.messages import GoTo
from pvtrace.tui.model import Model
from pvtrace.tui.moves import NOTHING, Outcome
from pvtrace.tui.panes.pane import Act, Key, Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role

WIDEST: Final = 40
"""Cells of a column at the most, but for the last one that is seen."""

NUMBERS: Final = frozenset("0123456789-+.xabcdef")


@dataclass(frozen=True, slots=True)
class Slice:
    """`rows`: those that are seen, from number `start` on."""

    answer: Answer | None
    start: int
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]


def read(model: Model, record: Record, size: Size) -> Slice:
    del record
    answer = model.answer
    if answer is None:
        return Slice(None, 0, (), ())
    room = max(1, size.height - 1)
    start = max(0, min(answer.row - room // 2, len(answer.rows) - room))
    rows = answer.rows[start : start + room]
    widths = tuple(
        min(WIDEST, max([cells(name), *(cells(row[index]) for row in rows)]))
        for index, name in enumerate(answer.columns)
    )
    return Slice(answer, start, rows, widths)


def draw(shown: Slice, size: Size) -> Lines:
    answer = shown.answer
    if answer is None:
        return [line(Span(" nothing was asked yet; ; asks", Role.DIM))]
    if not answer.rows:
        return [line(Span(f" no rows: {answer.sql}", Role.DIM))]
    header = _cells(answer.columns, shown, answer.left)
    lines: list[Line] = [line(Span(f" {header}", Role.DIM))]
    for offset, row in enumerate(shown.rows):
        number = shown.start + offset
        at = number == answer.row
        ground = Role.CURSOR if at else None
        step = answer.steps[number]
        spans = (Span("▸" if at else " ", Role.NOW, ground), Span(_cells(row, shown, answer.left), Role.PLAIN, ground))
        filled = (*spans, Span(" " * size.width, Role.PLAIN, ground))
        lines.append(filled if step is None else linked(filled, GoTo(Step(step))))
    return lines


def _cells(row: tuple[str, ...], shown: Slice, left: int) -> str:
    found = []
    for text, width in list(zip(row, shown.widths, strict=True))[left:]:
        fitted = cut(text, width)
        room = " " * (width - cells(fitted))
        found.append(room + fitted if text and set(text) <= NUMBERS else fitted + room)
    return "  ".join(found)


# ---------------------------------------------------------------------------- keys


def _by(count: int) -> Act:
    def act(model: Model) -> Outcome:
        answer = model.answer
        if answer is None or not answer.rows:
            return model, NOTHING
        row = min(max(answer.row + count, 0), len(answer.rows) - 1)
        return replace(model, answer=replace(answer, row=row)), NOTHING

    return act


def _page(way: int) -> Act:
    return lambda model: _by(way * max(1, panels.rows_of(model, "answer") - 2))(model)


def _sideways(way: int) -> Act:
    def act(model: Model) -> Outcome:
        answer = model.answer
        if answer is None:
            return model, NOTHING
        left = min(max(answer.left + way, 0), max(0, len(answer.columns) - 1))
        return replace(model, answer=replace(answer, left=left)), NOTHING

    return act


def _go(model: Model) -> Outcome:
    answer = model.answer
    step = answer.steps[answer.row] if answer is not None and answer.rows else None
    if step is None:
        return moves.said(model, "this row names no step; ask for a column called step")
    return moves.jump(replace(model, over=None), Step(step))


KEYS: Final = (
    Key(("j", "down"), "next row", _by(1), "j/k row", "SQL answer"),
    Key(("k", "up"), "previous row", _by(-1), "", "SQL answer"),
    Key(("pagedown", "space"), "a page on", _page(1), "", "SQL answer"),
    Key(("pageup", "b"), "a page back", _page(-1), "", "SQL answer"),
    Key(("g", "home"), "first row", _by(-(1 << 30)), "", "SQL answer"),
    Key(("G", "end"), "last row", _by(1 << 30), "", "SQL answer"),
    Key(("l", "right"), "columns further right", _sideways(1), "h/l columns", "SQL answer"),
    Key(("h", "left"), "columns further left", _sideways(-1), "", "SQL answer"),
    Key(("enter",), "to the step of this row", _go, "Enter go there", "SQL answer"),
)


def title(model: Model) -> str:
    answer = model.answer
    if answer is None:
        return "SQL"
    many = f"first {len(answer.rows):,}" if answer.cut else f"{len(answer.rows):,}"
    return f"SQL: row {answer.row + 1 if answer.rows else 0:,} of {many}"


PANE: Final = Pane("answer", "", title, read, draw, KEYS)
