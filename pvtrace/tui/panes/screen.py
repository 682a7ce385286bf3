"""The guest's text screen where one is."""

from dataclasses import dataclass
from typing import Final

from pvtrace.tui.lines import Lines, Size, Span, line
from pvtrace.tui.model import Model
from pvtrace.tui.panes.pane import Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role


@dataclass(frozen=True, slots=True)
class Slice:
    rows: tuple[str, ...]


def read(model: Model, record: Record, size: Size) -> Slice | None:
    del size
    return None if model.picture is None else Slice(tuple(record.voice.screen(model.picture.screen)))


def draw(shown: Slice | None, size: Size) -> Lines:
    """From the top; where there is less room than rows, the last ones that are not empty."""
    if shown is None:
        return [line(Span("the machine is being built", Role.DIM))]
    used = max((number + 1 for number, row in enumerate(shown.rows) if row.strip()), default=0)
    if not used:
        return [line(Span("the screen is empty", Role.DIM))]
    first = max(0, used - size.height)
    return [line(Span(row)) for row in shown.rows[first : first + size.height]]


def title(model: Model) -> str:
    del model
    return "screen"


PANE: Final = Pane("screen", "9", title, read, draw)
