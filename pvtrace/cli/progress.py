"""The one line on a terminal that shows how far a run has come; and numbers as people read them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

PATIENCE = 1.0
"""Seconds before the first line: what is quicker needs none."""

INTERVAL = 0.1
"""Seconds between two lines."""

ERASE = "\r\x1b[K"
"""To the start of the line, and clear to its end (ECMA-48 EL)."""


def size(count: int) -> str:
    """A number of bytes in at most four digits and a binary unit."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def line(doing: str, steps: int, events: int, written: int, seconds: float) -> str:
    """`written` in bytes; `seconds` of the host since the start, greater than 0."""
    parts = [f"{doing}: {steps:,} steps", f"{steps / seconds / 1e6:.1f} MIPS", f"{events:,} events"]
    return ", ".join([*parts, size(written)] if written else parts)


@dataclass(slots=True)
class Progress:
    """Draws on `stream`, and only if that is a terminal and `wanted`."""

    doing: str
    stream: TextIO
    wanted: bool = True
    clock: Callable[[], float] = time.monotonic
    _start: float = field(init=False)
    _next: float = field(init=False)
    _drawn: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.wanted = self.wanted and self.stream.isatty()
        self._start = self.clock()
        self._next = self._start + PATIENCE

    def show(self, steps: int, events: int, written: int) -> None:
        """The run has come this far; draws at most every INTERVAL."""
        now = self.clock()
        if not self.wanted or now < self._next:
            return
        self._next = now + INTERVAL
        self._drawn = True
        self.stream.write(ERASE + line(self.doing, steps, events, written, now - self._start))
        self.stream.flush()

    def clear(self) -> None:
        """Take the line away, before anything else is written to the terminal."""
        if self._drawn:
            self._drawn = False
            self.stream.write(ERASE)
            self.stream.flush()
