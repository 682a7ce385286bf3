"""The 8254 interval timer of a PC: three counters at 1193182 Hz; the output of counter 0 is IRQ 0.

Registers by offset: 0-2 counters, 3 control word. A clock pulse of the counters is computed from virtual time by
integer arithmetic, so nothing drifts. Sources: Intel 82C54 data sheet (231244); IBM PC AT technical reference.
"""

from dataclasses import asdict
from typing import Final

from pvtrace.machine.devices.counter import BOTH, LOW, Counter
from pvtrace.machine.devices.device import Line, State

PIT_HZ: Final = 1_193_182
READ_BACK: Final = 3
OPEN_BUS: Final = 0xFF


class Pit:
    """`hz`: ticks in a second of virtual time. `line` is pulsed at each rise of counter 0's output."""

    width = 1

    def __init__(self, hz: int, line: Line) -> None:
        self._hz = hz
        self._line = line
        self._counters = (Counter(), Counter(), Counter(gate=False))
        self._rise: int | None = None  # the clock at which counter 0's output rises next

    @classmethod
    def left_by_bios(cls, hz: int, line: Line) -> "Pit":
        """As a PC BIOS leaves it: counter 0 at 18.2 Hz (mode 3, 65536), counter 1 for memory refresh (mode 2, 18)."""
        pit = cls(hz, line)
        for counter, mode, access, count in ((0, 3, BOTH, 0), (1, 2, LOW, 18)):
            pit._counters[counter].control(mode, access, bcd=False)
            pit.write(counter, 1, count & 0xFF, 0)
            if access == BOTH:
                pit.write(counter, 1, count >> 8, 0)
        return pit

    def clock(self, now: int) -> int:
        """Clock pulses that the counters have had at virtual time `now`."""
        return now * PIT_HZ // self._hz

    def ticks(self, clock: int) -> int:
        """The first virtual time at which they have had that many."""
        return -(-clock * self._hz // PIT_HZ)

    def next_event(self, now: int) -> int | None:
        """When IRQ 0 is raised next by counting."""
        return None if self._rise is None else max(now, self.ticks(self._rise))

    def advance(self, now: int) -> None:
        """Raise IRQ 0 if the output of counter 0 rose. Several rises since the last call are one edge for the PIC,
        which latches it; whoever stops at every `next_event` sees them all."""
        clock = self.clock(now)
        if self._rise is not None and self._rise <= clock:
            self._pulse()
            self._rise = self._counters[0].next_rise(clock)

    def read(self, offset: int, _width: int, now: int) -> int:
        return OPEN_BUS if offset == 3 else self._counters[offset].read(self.clock(now))

    def write(self, offset: int, _width: int, value: int, now: int) -> None:
        self.advance(now)
        clock = self.clock(now)
        before = self._counters[0].output(clock)
        if offset == 3:
            self._control(value, clock)
        else:
            self._counters[offset].write(value, clock)
        if self._counters[0].output(clock) and not before:
            self._pulse()
        self._rise = self._counters[0].next_rise(clock)

    def set_gate(self, gate: bool, now: int) -> None:
        """GATE of counter 2; the other two are tied high."""
        self._counters[2].set_gate(gate, self.clock(now))

    def output(self, counter: int, now: int) -> bool:
        return self._counters[counter].output(self.clock(now))

    def save(self) -> State:
        return {"counters": [asdict(counter) for counter in self._counters], "rise": self._rise}

    def load(self, state: State) -> None:
        first, second, third = (Counter(**counter) for counter in state["counters"])
        self._counters = (first, second, third)
        self._rise = state["rise"]

    def _pulse(self) -> None:
        """One edge. The line is not left high: only the edge matters to an input that is always edge-triggered, and so
        the PIC's state depends on edges alone, not on when the falls between them were looked at."""
        self._line(True)
        self._line(False)

    def _control(self, value: int, clock: int) -> None:
        select, access, mode = value >> 6, value >> 4 & 3, value >> 1 & 7
        if select == READ_BACK:
            for number, counter in enumerate(self._counters):
                if value >> number + 1 & 1:
                    if not value & 0x20:
                        counter.latch(clock)
                    if not value & 0x10:
                        counter.latch_status(clock)
        elif access == 0:
            self._counters[select].latch(clock)
        else:
            self._counters[select].control(mode if mode < 6 else mode & 3, access, bcd=bool(value & 1))
