"""What an update asks for beside a new model. Frozen values only.

A Look is answered at once, by the screen's own thread; Work is done by the worker, one piece after the other, and may
take its time. Both are answered by messages.
"""

from dataclasses import dataclass

from pvtrace.model.events import Kind
from pvtrace.model.step import Step
from pvtrace.timeline.stops import Way

# ---------------------------------------------------------------------------- what is asked for at once


@dataclass(frozen=True, slots=True)
class Choose:
    """The event that is `by` further among those of `kinds` (None: all), counted from event `since`; if there are not
    so many, the last one on that side."""

    since: int
    by: int
    kinds: frozenset[Kind] | None


@dataclass(frozen=True, slots=True)
class Alike:
    """The event that is `by` further among those of the same kind as event `since`; calls: of the same call."""

    since: int
    by: int


@dataclass(frozen=True, slots=True)
class KindOf:
    """The kind of an event, for the filter: `only` this is to be listed, or all but this."""

    event: int
    only: bool


@dataclass(frozen=True, slots=True)
class Locate:
    """The last event at or before a step."""

    step: Step


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that brought this one about."""

    event: int


@dataclass(frozen=True, slots=True)
class Consequence:
    """The first event that this one brought about, `skip` of them left out."""

    event: int
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Copy:
    """Text for the clipboard."""

    text: str


@dataclass(frozen=True, slots=True)
class Export:
    """Write the screen to a file, as SVG or as text by its suffix."""

    name: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop what the worker does."""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Back to the shell, as Ctrl-Z."""


@dataclass(frozen=True, slots=True)
class Redraw:
    """Everything from scratch."""


Look = Choose | Alike | KindOf | Locate | Cause | Consequence | Copy | Export | Interrupt | Suspend | Redraw

# ---------------------------------------------------------------------------- what takes time


@dataclass(frozen=True, slots=True)
class Seek:
    """`wish`: which one of all."""

    step: Step
    wish: int = 0


@dataclass(frozen=True, slots=True)
class SeekTime:
    """To the first step at which so many seconds of virtual time have passed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SeekName:
    """To a bookmark; else on to where the function of this name is next. `anywhere`: if that is nowhere, back to where
    it was last."""

    name: str
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Refresh:
    """Another picture of where the machine is: other memory is wanted, or somebody moved it. `wish`: it stands for this
    one, which was given up."""

    wish: int = 0


@dataclass(frozen=True, slots=True)
class StepOver:
    """One instruction, but a whole CALL or INT; backwards past one that has just returned."""

    way: Way


@dataclass(frozen=True, slots=True)
class Finish:
    """Out of the function that one is in."""

    way: Way


@dataclass(frozen=True, slots=True)
class Go:
    """To the next breakpoint; `address`: to there, too, for this once."""

    way: Way
    address: int | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """Breakpoints are these, by linear address."""

    addresses: frozenset[int]


@dataclass(frozen=True, slots=True)
class LastWrite:
    """Who wrote the byte last; `go`: and go there."""

    address: int
    go: bool


@dataclass(frozen=True, slots=True)
class Perform:
    """A command of session.commands."""

    line: str


@dataclass(frozen=True, slots=True)
class Query:
    sql: str


@dataclass(frozen=True, slots=True)
class Find:
    """Text in the words of events, from an event on (not included)."""

    text: str
    since: int
    forward: bool
    kinds: frozenset[Kind] | None


@dataclass(frozen=True, slots=True)
class FindCode:
    """Text in the disassembly, from a linear address on (not included)."""

    text: str
    since: int
    forward: bool


@dataclass(frozen=True, slots=True)
class Keep:
    """A bookmark; empty name: only list them."""

    name: str
    step: Step
    note: str = ""


@dataclass(frozen=True, slots=True)
class Follow:
    """Whether gdb and the screen move together."""

    on: bool


Work = (
    Seek
    | SeekTime
    | SeekName
    | Refresh
    | StepOver
    | Finish
    | Go
    | Break
    | LastWrite
    | Perform
    | Query
    | Find
    | FindCode
    | Keep
    | Follow
)

Effect = Look | Work
