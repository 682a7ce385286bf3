"""The form of a pane, and of a key. No pane knows another; the table of all is panes/table.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pvtrace.tui.lines import Lines, Size
from pvtrace.tui.model import Model
from pvtrace.tui.moves import Outcome
from pvtrace.tui.record import Record

S = TypeVar("S")

Act = Callable[[Model], Outcome]
"""What a key does. Pure."""


@dataclass(frozen=True, slots=True)
class Key:
    """`names`: each a key, or several behind one another with a space: "] d"; * is any letter. A key is its letter, or
    a name of prompt_toolkit: "up", "c-d", "f7". `words`: for the help; `short`: a word for the last line, or none.
    `group`: the heading in the help. While `act` runs, `model.pending` holds the keys."""

    names: tuple[str, ...]
    words: str
    act: Act
    short: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Pane(Generic[S]):
    """`read` takes from model and recording the slice of data that is shown, and only as much as `size` needs; `draw`
    makes lines of it and is pure. `title`: what the frame says; `keys`: live while it has the focus."""

    name: str
    digit: str
    title: Callable[[Model], str]
    read: Callable[[Model, Record, Size], S]
    draw: Callable[[S, Size], Lines]
    keys: Sequence[Key] = ()

    def lines(self, model: Model, record: Record, size: Size) -> Lines:
        return self.draw(self.read(model, record, size), size)
