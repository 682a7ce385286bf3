"""The stretch of time that the time strip shows, how it is zoomed and moved, and which column a step falls in. Pure."""

from dataclasses import dataclass
from typing import Final

from pvtrace.model.step import Step

ZOOM: Final = 4
"""How many times closer one look is than the one before."""

SHORTEST: Final = 16
"""Steps; nearer than this one does not come."""

PAN: Final = 4
"""A move goes by this part of what is seen."""


@dataclass(frozen=True, slots=True)
class Strip:
    """From the first step to the last; None: the whole recording."""

    since: Step | None = None
    until: Step | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Steps, the last one not included. Never empty."""

    since: int
    until: int

    @property
    def length(self) -> int:
        return self.until - self.since

    def column(self, step: int, width: int) -> int | None:
        """The column of a step; None outside."""
        if not self.since <= step < self.until:
            return None
        return (step - self.since) * width // self.length

    def start(self, column: int, width: int) -> int:
        """The first step of a column, and the end of the one before."""
        return self.since + -(-column * self.length // width)


def span(strip: Strip, first: int, last: int) -> Span:
    """What is seen of a recording from step `first` to `last`."""
    since = first if strip.since is None else max(first, min(strip.since, last))
    until = last + 1 if strip.until is None else min(strip.until, last) + 1
    return Span(since, max(until, since + 1))


def zoomed(strip: Strip, first: int, last: int, here: int, closer: bool) -> Strip:
    """Closer to `here`, which keeps its place on the screen, or further away."""
    seen = span(strip, first, last)
    length = max(SHORTEST, seen.length // ZOOM) if closer else seen.length * ZOOM
    if length >= last + 1 - first:
        return Strip()
    here = min(max(here, seen.since), seen.until - 1)
    since = here - (here - seen.since) * length // seen.length
    return _placed(since, length, first, last)


def panned(strip: Strip, first: int, last: int, way: int) -> Strip:
    """Along by a part of what is seen; `way` -1 is back."""
    seen = span(strip, first, last)
    if seen.length >= last + 1 - first:
        return Strip()
    return _placed(seen.since + way * max(1, seen.length // PAN), seen.length, first, last)


def following(strip: Strip, first: int, last: int, here: int) -> Strip:
    """The same length, but where `here` can be seen."""
    seen = span(strip, first, last)
    if seen.since <= here < seen.until or strip == Strip():
        return strip
    return _placed(here - seen.length // 2, seen.length, first, last)


def _placed(since: int, length: int, first: int, last: int) -> Strip:
    since = min(max(since, first), last + 1 - length)
    return Strip(Step(since), Step(since + length - 1))
