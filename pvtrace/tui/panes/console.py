"""What was said on the serial console until now, and what was typed."""

from dataclasses import dataclass
from typing import Final

from pvtrace.model.events import Event, Kind
from pvtrace.tui.lines import Line, Lines, Size, Span, line
from pvtrace.tui.messages import GoTo
from pvtrace.tui.model import Model
from pvtrace.tui.moves import CONSOLE
from pvtrace.tui.panes.pane import Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one event, in words that a terminal can show."""

    number: int
    event: Event
    text: str


@dataclass(frozen=True, slots=True)
class Slice:
    pieces: tuple[Piece, ...]
    pattern: str


def read(model: Model, record: Record, size: Size) -> Slice:
    """A line of the console is an event or more; a few more than fit are read for those that are none."""
    until = 0 if model.here.event is None else model.here.event + 1
    found = record.before(until, 2 * size.height, CONSOLE)
    pattern = model.pattern.text.lower() if model.pattern and model.pattern.where == "console" else ""
    return Slice(tuple(Piece(number, event, _text(event)) for number, event in found), pattern)


def _text(event: Event) -> str:
    data = event.args[0]
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else str(data)
    return "".join(letter if letter.isprintable() or letter == "\n" else "" for letter in text.expandtabs())


def draw(shown: Slice, size: Size) -> Lines:
    """The end of it: what was said last is on the last line."""
    lines: list[list[Span]] = [[]]
    for piece in shown.pieces:
        role = Role.CONSOLE if piece.event.kind is Kind.CONSOLE_OUT else Role.STRONG
        first, *others = piece.text.split("\n")
        for text in (first, *others):
            if text is not first:
                lines.append([])
            if text:
                ground = Role.HIT if shown.pattern and shown.pattern in text.lower() else None
                lines[-1].append(Span(text, role, ground, GoTo(piece.event.step, piece.number)))
    made: list[Line] = [tuple(spans) for spans in lines]
    while made and not made[-1]:
        made.pop()
    return made[-size.height :] if made else [line(Span("nothing was said until now", Role.DIM))]


def title(model: Model) -> str:
    del model
    return "console"


PANE: Final = Pane("console", "8", title, read, draw)
