"""What can happen to the model: keys and mouse, what people typed, and the answers to what was asked for (effects.py).
Frozen values only."""

from typing import NamedTuple

from pvtrace.model.events import Kind
from pvtrace.model.findings import Judgement
from pvtrace.model.step import Step
from pvtrace.store.bookmarks import Bookmark
from pvtrace.tui.answer import Answer
from pvtrace.tui.model import Writer
from pvtrace.tui.picture import Picture


class Pressed(NamedTuple):
    """One key: its letter, or the name that prompt_toolkit has for it; space, tab and enter are named so."""

    key: str


class Wheel(NamedTuple):
    """Turned over a pane; -1 is up."""

    pane: str
    turns: int


class Focused(NamedTuple):
    pane: str


class GoTo(NamedTuple):
    """To a step, and to an event there; remembered in the jump list."""

    step: Step
    event: int | None = None


class OpenFinding(NamedTuple):
    """By its index among the findings."""

    number: int


class Entered(NamedTuple):
    """A line was typed and entered behind `sign`; an empty one closes the prompt."""

    sign: str
    text: str


class Resized(NamedTuple):
    width: int
    height: int


class Chosen(NamedTuple):
    """The answer to Choose and Locate. None: there is no such event."""

    step: Step | None
    event: int | None
    move: bool = True


class KindIs(NamedTuple):
    """The answer to KindOf."""

    kind: Kind
    only: bool


class Arrived(NamedTuple):
    """The machine stands somewhere. `words`: why it stopped, if that needs saying; `wish`: which of the places that the
    screen asked for was come to last (Model.wishes)."""

    picture: Picture
    words: str = ""
    wish: int = 0


class Doing(NamedTuple):
    """What the worker does now; empty words: nothing."""

    words: str
    step: Step | None = None


class Said(NamedTuple):
    """For the last line."""

    text: str
    wrong: bool = False


class Told(NamedTuple):
    """What a command had to say; many lines get a pane of their own."""

    title: str
    text: str


class Answered(NamedTuple):
    answer: Answer


class FoundEvent(NamedTuple):
    """A search ended at an event; None: there is none."""

    step: Step | None
    event: int | None


class FoundCode(NamedTuple):
    """A search in the disassembly ended at this linear address; None: there is none."""

    address: int | None


class Wrote(NamedTuple):
    writer: Writer


class Judging(NamedTuple):
    """The recording is being judged, and has been up to here."""

    step: Step


class Judged(NamedTuple):
    judgement: Judgement


class Unjudged(NamedTuple):
    """The recording cannot be judged: why, in one sentence."""

    text: str


class Bookmarked(NamedTuple):
    bookmarks: tuple[Bookmark, ...]


class Failed(NamedTuple):
    """The worker cannot go on: the reason, one sentence."""

    text: str


Message = (
    Pressed
    | Wheel
    | Focused
    | GoTo
    | OpenFinding
    | Entered
    | Resized
    | Chosen
    | KindIs
    | Arrived
    | Doing
    | Said
    | Told
    | Answered
    | FoundEvent
    | FoundCode
    | Wrote
    | Judging
    | Judged
    | Unjudged
    | Bookmarked
    | Failed
)
