"""What a device is, seen from the bus, and the wires that leave it.

A device knows the offset of an access inside its own registers, never a port number; it knows the time only as the
`now` of an access. Its *state* is plain data in one object that `load` replaces whole; its *wiring* (interrupt lines,
where bytes go) is given at construction and is no part of the state.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pvtrace.model.stops import Why

State = Mapping[str, Any]
"""A saved state: integers, booleans, strings, None, and lists and string-keyed mappings of these; fit for JSON.
Equal states of a device save to equal data."""

Line = Callable[[bool], None]
"""An interrupt line: called with its level whenever the device drives it."""

EndRun = Callable[[Why, int], None]
"""A device's wish that the run ends: why, and the guest's exit code."""


class Device(Protocol):
    """Registers behind I/O ports. `offset` counts from the device's first register; `now` is virtual time in ticks."""

    @property
    def width(self) -> int:
        """The widest access in bytes that the device understands; the bus splits wider ones."""
        ...

    def read(self, offset: int, width: int, now: int, /) -> int: ...
    def write(self, offset: int, width: int, value: int, now: int, /) -> None: ...
    def save(self) -> State: ...
    def load(self, state: State, /) -> None: ...


class Timer(Protocol):
    """A device that does something by itself when time passes."""

    def next_event(self, now: int) -> int | None:
        """The time in ticks, not before `now`, at which `advance` has something to do; None for never."""
        ...

    def advance(self, now: int) -> None:
        """Do all that is due up to and including `now`. advance(a); advance(b) equals advance(b) for a <= b."""
        ...
