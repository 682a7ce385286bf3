"""How far apart a recording has its checkpoints: by what it takes to run again what lies between two of them.

Pure, and of the guest alone, so that the same guest has the same checkpoints on every host.
"""

from typing import Final, NamedTuple

from pvtrace.model.step import Step

STEPS: Final = 20_000_000
"""Of a guest that only computes: some 30 ms."""

EVENTS: Final = 40_000
"""Of one that does nothing but cause them: 160 ms. Its checkpoints are dearer as well, for it writes to more pages."""

LOOK: Final = 1_000_000
"""Steps between two looks at how many events there were."""


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

    def look(self, last: Place, step: int) -> Step:
        """Behind `step`: where to ask again."""
        return Step(step // LOOK * LOOK + LOOK if self.every is None else last.step + self.every)
