"""The interrupts of an MC146818 real-time clock: periodic, update-ended and alarm, and its register C.

Periodic edges and the ends of updates are computed from virtual time: seconds end where ticks do, whatever the guest
set the clock to. The alarm flag is kept only while its interrupt is enabled. Source: Motorola MC146818 data sheet.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from pvtrace.machine.devices.device import Line, State

PERIODIC, ALARM, UPDATED = 0x40, 0x20, 0x10
"""Flags in register C, and at the same place their enables in register B."""

ENABLES: Final = PERIODIC | ALARM | UPDATED
REQUEST: Final = 0x80  # register C
SET: Final = 0x80  # register B
CRYSTAL_HZ: Final = 32_768


def frequency(rate: int) -> int:
    """Periodic edges per second for bits 0-3 of register A; 0: none."""
    if rate == 0:
        return 0
    return CRYSTAL_HZ >> (rate + 7 if rate < 3 else rate) - 1


@dataclass(slots=True)
class Registers:
    """`since`: the time from which flags are computed, `flags`: those from before it. `asserted`: the line is high, and
    stays so until register C is read. `due`: when it may rise next."""

    rate: int = 0x06
    control: int = 0
    since: int = 0
    flags: int = 0
    asserted: bool = False
    due: int | None = None


class RtcInterrupts:
    """`hz`: ticks in a second of virtual time; `line`: IRQ 8."""

    def __init__(self, hz: int, line: Line) -> None:
        self._hz = hz
        self._line = line
        self._now = Registers()

    def configure(self, rate: int, control: int, now: int) -> None:
        """Register A or B was written: `rate`, bits 0-3 of A; `control`, all of B."""
        state = self._now
        state.flags, state.since = self._flags(now), now
        state.rate, state.control = rate, control
        self._request(now)

    def acknowledge(self, now: int) -> int:
        """Register C: the flags, which reading clears, and with them the line."""
        state = self._now
        flags = self._flags(now)
        state.flags, state.since = 0, now
        if state.asserted:
            state.asserted = False
            self._line(False)
        state.due = self._next(now)
        return flags | REQUEST * bool(flags & state.control & ENABLES)

    def next_event(self, now: int) -> int | None:
        due = self._now.due
        return None if due is None else max(now, due)

    def advance(self, now: int, alarm: Callable[[], bool]) -> None:
        """`alarm`: whether the clock shows the alarm's time; asked at the end of each update."""
        state = self._now
        if state.due is None or state.due > now:
            return
        if state.control & ALARM and state.due % self._hz == 0 and alarm():
            state.flags |= ALARM
        self._request(now)

    def save(self) -> State:
        return asdict(self._now)

    def load(self, state: State) -> None:
        self._now = Registers(**state)

    def _flags(self, now: int) -> int:
        state, hz = self._now, self._hz
        often = frequency(state.rate)
        periodic = PERIODIC * (now * often // hz > state.since * often // hz)
        updated = UPDATED * (now // hz > state.since // hz and not state.control & SET)
        return state.flags | periodic | updated

    def _request(self, now: int) -> None:
        """Raise the line if a flag asks for it; else look again at the next edge that may."""
        state = self._now
        if self._flags(now) & state.control & ENABLES:
            state.due = None
            if not state.asserted:
                state.asserted = True
                self._line(True)
        else:
            state.due = None if state.asserted else self._next(now)

    def _next(self, now: int) -> int | None:
        state, hz, times = self._now, self._hz, []
        often = frequency(state.rate)
        if state.control & PERIODIC and often:
            times.append(-(-(now * often // hz + 1) * hz // often))
        if state.control & (ALARM | UPDATED) and not state.control & SET:
            times.append((now // hz + 1) * hz)
        return min(times, default=None)
