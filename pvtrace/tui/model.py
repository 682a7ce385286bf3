"""All that the screen is made from, as one frozen value. No rows of the recording and no terminal.

What changes it is in update.py and beside the panes; how it looks is in the panes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pvtrace.model.events import Kind
from pvtrace.model.findings import Finding, Judgement, Standing
from pvtrace.model.step import Step
from pvtrace.store.bookmarks import Bookmark
from pvtrace.tui.answer import Answer
from pvtrace.tui.picture import Picture, Wanted
from pvtrace.tui.strip import Strip

JUMPS: Final = 100
"""How many places the jump list remembers."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What does not change while one looks. `events`: how many there are; `hz`: ticks in a second of virtual time."""

    path: str
    first: Step
    last: Step
    events: int
    hz: int


class Here(NamedTuple):
    """Where one is, or wants to be: `event` is the number of the event that is selected, the last one at or before
    `step`; None before the first one."""

    step: Step
    event: int | None = None


class Busy(NamedTuple):
    """What the worker is doing, in words, and how far it has come."""

    words: str
    step: Step | None = None


class Note(NamedTuple):
    """What the last line says until the next key."""

    text: str
    wrong: bool = False


class Pattern(NamedTuple):
    """What was searched for last, and where (the name of a pane)."""

    text: str
    where: str


class Writer(NamedTuple):
    """Who wrote a byte last, seen from step `seen`: the step in front of the store, None if nothing ever did."""

    address: int
    seen: Step
    step: Step | None
    text: str


class Jumps(NamedTuple):
    """Places to go back to and forth to, as in a browser; the nearest is last."""

    back: tuple[Step, ...] = ()
    ahead: tuple[Step, ...] = ()


NOWHERE: Final = Jumps()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A line that is being typed: `sign` is : ; / or ? and what it begins with."""

    sign: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class MemoryView:
    """The memory pane. `address`: of the byte under the cursor (linear); None: it follows the top of the stack."""

    address: int | None = None
    writers: tuple[Writer, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    recording: Recording
    here: Here
    width: int = 80
    height: int = 24
    wishes: int = 0
    """How many places were asked for. Of an answer to an older one only the picture counts."""
    picture: Picture | None = None
    busy: Busy | None = None
    note: Note | None = None
    # panes
    focus: str = "events"
    zoomed: bool = False
    over: str | None = None
    """The pane that covers the body for now: help, divergence, answer, text."""
    hidden: frozenset[str] = frozenset()
    recent: tuple[str, ...] = ()
    """Panes in the order in which they had the focus, the last first: decides which of a slot is seen."""
    pending: tuple[str, ...] = ()
    """Keys of a sequence that is not complete."""
    prompt: Prompt | None = None
    # events
    kinds: frozenset[Kind] | None = None
    """The filter: only these are listed; None: all."""
    pattern: Pattern | None = None
    # places
    marks: Mapping[str, Step] = field(default_factory=dict)
    bookmarks: tuple[Bookmark, ...] = ()
    jumps: Jumps = NOWHERE
    breaks: frozenset[int] = frozenset()
    """Linear addresses of breakpoints."""
    theme: str = "auto"
    """Which grounds there are: style.THEMES."""
    follow: bool = True
    """Whether gdb's moves move the screen, and the other way round."""
    # what panes look at
    code: int | None = None
    """First address of the disassembly; None: around EIP."""
    memory: MemoryView = field(default_factory=MemoryView)
    strip: Strip = field(default_factory=Strip)
    judgement: Judgement | None = None
    judging: Step | None = None
    """How far the recording has been judged, while it is."""
    unjudged: str = ""
    """Why it cannot be."""
    finding: int | None = None
    """Index of the finding that is open, of `findings`."""
    answer: Answer | None = None
    text: tuple[str, tuple[str, ...]] = ("", ())
    """Title and lines of the pane `text`: what a command had to say."""
    scroll: int = 0
    """First line of what covers the body."""
    leaving: bool = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """In the order of steps; empty until the recording was judged."""
        return () if self.judgement is None else self.judgement.findings

    @property
    def verdict(self) -> str:
        """What there is to say where no divergence can be shown."""
        if self.judgement is not None:
            return "no difference from native hardware was found"
        return self.unjudged or "this recording is being judged; divergences appear in a moment"

    @property
    def telling(self) -> tuple[int, ...]:
        """Indices of the findings that people look for: where something does differ, or surprises."""
        return tuple(n for n, item in enumerate(self.findings) if item.standing is not Standing.POTENTIAL)

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.code, self.memory.address)

    @property
    def fresh(self) -> bool:
        """Whether the picture is of where one is."""
        return self.picture is not None and self.picture.step == self.here.step
