"""Places that a machine can be put back to, kept in memory under a budget.

Which of them are kept is a pure function (`thinned`): close together near the present, geometrically sparser away
from it, so that a short way back is quick and a long one is never hopeless.
"""

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pvtrace.model.digest import Mark
from pvtrace.model.snapshot import PAGE
from pvtrace.model.step import Step

ENTRY: Final = 100
"""Bytes of an entry in a place's own table of pages, about."""


@dataclass(frozen=True, slots=True)
class Place:
    """The machine's state, and all frames that are not zero; `mark`: how many inputs and events there were."""

    step: Step
    mark: Mark
    state: bytes
    pages: Mapping[int, bytes]


def thinned(steps: Sequence[int], here: int) -> int:
    """Which of these places to give up first: the index of the one whose absence hurts least.

    That is the one whose two neighbours are closest together, measured by their distance from `here`. `steps` ascend
    and are at least two; the first one is never given up.
    """

    def harm(index: int) -> tuple[float, int]:
        gap = (steps[index + 1] if index + 1 < len(steps) else steps[index]) - steps[index - 1]
        distance = abs(steps[index] - here) + 1
        return gap / distance, -distance

    return min(range(1, len(steps)), key=harm)


@dataclass(slots=True)
class Places:
    """`budget` in bytes; pages that places share count once."""

    budget: int
    _by_step: dict[int, Place] = field(default_factory=dict)
    _steps: list[int] = field(default_factory=list)
    _users: Counter[int] = field(default_factory=Counter)  # by id of the page's bytes: how many places have it
    _own: int = 0

    @property
    def steps(self) -> Sequence[int]:
        """Ascending."""
        return self._steps

    @property
    def size(self) -> int:
        """Bytes, about."""
        return PAGE * len(self._users) + self._own

    def before(self, step: int) -> Place | None:
        """The last one at or before `step`."""
        index = bisect_right(self._steps, step) - 1
        return self._by_step[self._steps[index]] if index >= 0 else None

    def add(self, place: Place, here: int) -> None:
        """Keep a place; others are given up for it."""
        if place.step in self._by_step:
            return
        insort(self._steps, place.step)
        self._by_step[place.step] = place
        self._users.update(map(id, place.pages.values()))
        self._own += _own(place)
        while self.size > self.budget and len(self._steps) > 2:
            self._give_up(self._steps[thinned(self._steps, here)])

    def forget_from(self, step: int) -> None:
        """Those at `step` and behind it are not what will be there."""
        for later in [kept for kept in self._steps if kept >= step]:
            self._give_up(later)

    def _give_up(self, step: int) -> None:
        place = self._by_step.pop(step)
        self._steps.remove(step)
        self._own -= _own(place)
        for page in place.pages.values():
            self._users[id(page)] -= 1
            if not self._users[id(page)]:
                del self._users[id(page)]


def _own(place: Place) -> int:
    return len(place.state) + ENTRY * len(place.pages)
