"""Virtual time: a pure function of the step count and of the jumps that a machine makes that halts, or that waits by a
slow port.

Units: *ticks* are cycles of virtual time, `hz` of them in a second, one for each step. No clock of the host is read
here; with a host clock, the times that it gives come through the tape and enter by `jumped_to`.
"""

from dataclasses import dataclass, replace
from typing import Final

from pvtrace.model.step import RESET, Step

DEFAULT_HZ: Final = 100_000_000

DEFAULT_EPOCH_NS: Final = 1_142_208_000 * 1_000_000_000
"""2006-03-13T00:00:00Z in nanoseconds since 1970: what the wall clock shows at reset, unless told otherwise."""

NS_PER_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """At step `base_step` the time was `base_ticks`; since then one tick has passed with each step.

    `epoch_ns` is the wall-clock time of tick 0, in nanoseconds since 1970-01-01 UTC.
    """

    hz: int = DEFAULT_HZ
    base_ticks: int = 0
    base_step: Step = RESET
    epoch_ns: int = DEFAULT_EPOCH_NS

    def __post_init__(self) -> None:
        if self.hz <= 0:
            raise ValueError(f"a clock of {self.hz} Hz does not run")

    def ticks(self, step: Step) -> int:
        """Virtual time at a step, which must not lie before the last jump."""
        return self.base_ticks + (step - self.base_step)

    def step_of(self, ticks: int) -> Step:
        """The first step since the last jump at which that many ticks have passed."""
        return Step(self.base_step + max(0, ticks - self.base_ticks))

    def jumped_to(self, ticks: int, step: Step) -> "Clock":
        """The clock after time moved to `ticks` at `step`. Time never goes backwards: an earlier time changes nothing
        but where the clock counts from."""
        return replace(self, base_ticks=max(ticks, self.ticks(step)), base_step=step)

    def wallclock_at(self, ticks: int) -> int:
        """Nanoseconds since 1970-01-01 UTC at a virtual time, rounded down."""
        return self.epoch_ns + ticks * NS_PER_SECOND // self.hz

    def wallclock_ns(self, step: Step) -> int:
        """Nanoseconds since 1970-01-01 UTC at a step."""
        return self.wallclock_at(self.ticks(step))
