"""What comes from outside the machine, and the one object that brings it.

A recording and a replay differ in their Tape and in nothing else.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from pvtrace.model.events import Event
from pvtrace.model.packed import Packed
from pvtrace.model.step import Step


class InputKind(IntEnum):
    """Stored numbers: they never change."""

    CONSOLE = 1  # bytes arrived at the serial console
    WALLCLOCK = 2  # value: nanoseconds since 1970-01-01 UTC, asked for by the guest (host clock only)
    CLOCK = 3  # value: the virtual time in ticks that the host's clock has reached (host clock only)
    WAKE = 4  # value: ticks at which a halted machine was woken from outside; data: see tape.recording
    KEYS = 5  # keys were pressed or released: scan codes of set 1


INPUT_DOC = {
    InputKind.CONSOLE: "bytes that arrived at the serial console",
    InputKind.WALLCLOCK: "a wall-clock read by the guest, ns since 1970 (with --clock host)",
    InputKind.CLOCK: "virtual time in ticks that the host's clock had reached (with --clock host)",
    InputKind.WAKE: "ticks at which a halted machine was woken from outside",
    InputKind.KEYS: "scan codes (set 1) of keys that were pressed or released",
}


class Input(NamedTuple):
    """`step` is the step count when the machine saw it."""

    step: Step
    kind: InputKind
    value: int | None = None
    data: bytes = b""


class Tape(Protocol):
    """The outside world, live or recorded.

    The machine asks in this order at every stop, and calls `saw` for everything that happens, in order.
    """

    def read(self, step: Step, kind: InputKind) -> Input:
        """The guest asks for a value (WALLCLOCK)."""
        ...

    def due(self, step: Step) -> Step:
        """Run no further than this before asking `take` again. Always greater than `step`."""
        ...

    def take(self, step: Step) -> Sequence[Input]:
        """What arrived unasked at this step (CONSOLE, CLOCK, KEYS)."""
        ...

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        """The CPU is halted at virtual time `now` (ticks); the next timer is due at `alarm`, None for never.

        A WAKE input says that the outside ends the halt at its ticks; None means that nothing came from outside: time
        jumps to the alarm, or without one the machine is idle for ever. May block while it is recording.
        """
        ...

    def saw(self, event: Event) -> None:
        """The machine did this: a recording appends it, a replay compares it (and raises Diverged)."""
        ...

    def saw_many(self, events: Packed) -> None:
        """The machine did these, one after the other."""
        ...
