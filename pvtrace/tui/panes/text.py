"""What a command had to say, if that is more than a line."""

from dataclasses import dataclass
from typing import Final

from pvtrace.tui.lines import Lines, Size, line
from pvtrace.tui.model import Model
from pvtrace.tui.panes.help import scrolling
from pvtrace.tui.panes.pane import Pane
from pvtrace.tui.record import Record


@dataclass(frozen=True, slots=True)
class Slice:
    lines: tuple[str, ...]
    scroll: int


def read(model: Model, _record: Record, _size: Size) -> Slice:
    return Slice(model.text[1], model.scroll)


def draw(given: Slice, size: Size) -> Lines:
    first = min(given.scroll, max(0, len(given.lines) - size.height))
    return [line(text) for text in given.lines[first : first + size.height]]


def title(model: Model) -> str:
    return model.text[0]


def _length(model: Model, _size: Size) -> int:
    return len(model.text[1])


PANE: Final = Pane("text", "", title, read, draw, scrolling("text", _length))
