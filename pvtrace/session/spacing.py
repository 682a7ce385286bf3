"""How far apart a recording has its checkpoints: by what it takes to run again what lies between two of them.

Pure, and of the guest alone, so that the same guest has the same checkpoints on every host.
"""

from typing import Final, NamedTuple

from pvtrace.model.step import Step

STEPS: Final = 20_000_000
"""Of a guest that only computes: some 30 ms."""

EVENTS: Final = 40_000
"""Of one that does nothing but cause them: 100 ms. Its checkpoints are dearer as well, for it writes to more pages."""

SHORTEST: Final = 1 << 14
LONGEST: Final = 1 << 20
"""Steps between two looks at how many events there were: the fewer, the denser the events are."""


class Place(NamedTuple):
    """A step, and how many events there were until there."""

    step: int
    events: int


class Spacing(NamedTuple):
    """`every`: a distance in steps that somebody has chosen."""

    every: int | None = None

    def is_due(self, last: Place, here: Place) -> bool:
        """Whether it is time for the next checkpoint."""
        steps = here.step - last.step
        if self.every is not None:
            return steps >= self.every
        return steps * EVENTS + (here.events - last.events) * STEPS >= STEPS * EVENTS

    def look(self, last: Place, before: Place | None, here: Place) -> Step:
        """Where to ask again. `last`: of the last checkpoint; `before`: where it was asked the last time."""
        if self.every is not None:
            return Step(last.step + self.every)
        if before is None:
            return Step(here.step + SHORTEST)
        distance, events = here.step - before.step, here.events - before.events
        if events > EVENTS // 8:
            distance //= 2
        elif events < EVENTS // 32:
            distance *= 2
        return Step(here.step + min(max(distance, SHORTEST), LONGEST))
