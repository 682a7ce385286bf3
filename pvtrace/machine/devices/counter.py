"""One counter of an 8254, as a function of its clock: no state changes by the mere passing of time.

Time here is a count of the counter's own clock pulses (1193182 a second in a PC). A counter remembers when it was
loaded; its value and its output at any later clock follow by arithmetic, so nothing depends on how often anyone asks.
Source: Intel 82C54 data sheet (231244), "Mode definitions".
"""

from dataclasses import dataclass
from typing import Final

LOW: Final = 1
HIGH: Final = 2
BOTH: Final = 3
"""Access modes of the control word: which byte of the count is written and read."""


@dataclass(slots=True)
class Counter:
    """`start`: the clock at which the count was loaded, None until that happens (modes 1 and 5: until the trigger).

    `held`: the clock at which the gate stopped the count, None while it runs. `queued`: a count that is loaded later:
    in modes 2 and 3 at clock `boundary`, when the current period (mode 3: half-period) ends; where `boundary` is None,
    at the next edge of the gate.
    """

    mode: int = 0
    access: int = BOTH
    bcd: bool = False
    gate: bool = True
    count: int = 0  # as loaded, 1..65536 (10000 in BCD); 0: none written yet
    start: int | None = None
    held: int | None = None
    queued: int | None = None
    boundary: int | None = None
    low_byte: int | None = None  # first byte of a two-byte write
    high_next: bool = False  # second byte of a two-byte read comes next
    latched: int | None = None
    status: int | None = None  # latched status byte

    @property
    def _periodic(self) -> bool:
        return self.mode in (2, 3)

    @property
    def _triggered(self) -> bool:
        return self.mode in (1, 5)

    @property
    def _modulus(self) -> int:
        return 10_000 if self.bcd else 65_536

    def _loaded(self, clock: int) -> tuple[int, int] | None:
        """(count, clocks since it was loaded); None while nothing counts."""
        if self.start is None:
            return None
        seen = clock if self.held is None else self.held
        queued = self._queued()
        if queued is None or seen < queued[0]:
            return self.count, max(0, seen - self.start)
        return queued[1], seen - queued[2]

    def _queued(self) -> tuple[int, int, int] | None:
        """(boundary, count, start) of the count that takes over by itself. The start is where its period would have
        begun: in mode 3 a count may take over in the middle, when OUT falls."""
        if self.queued is None or self.boundary is None or self.start is None:
            return None
        falls = self.mode == 3 and (self.boundary - self.start) % self.count != 0
        return self.boundary, self.queued, self.boundary - (self.queued + 1) // 2 * falls

    def output(self, clock: int) -> bool:
        """The level of OUT. In mode 1 it falls with the trigger itself, up to one clock before the real one."""
        loaded = self._loaded(clock)
        if loaded is None or (self._periodic and not self.gate):
            return self.mode != 0
        count, passed = loaded
        match self.mode:
            case 0 | 1:
                return passed >= count
            case 2:
                return passed % count != count - 1 or count == 1
            case 3:
                return passed % count < (count + 1) // 2
            case _:
                return passed != count

    def value(self, clock: int) -> int:
        """The counting element: 0..65535 as a number, also in BCD."""
        loaded = self._loaded(clock)
        if loaded is None:
            return self.count % self._modulus
        count, passed = loaded
        match self.mode:
            case 2:
                value = count - passed % count
            case 3:
                phase, high = passed % count, (count + 1) // 2
                value = (count & ~1) - 2 * (phase if phase < high else phase - high)
            case _:
                value = count - passed
        return value % self._modulus

    def next_rise(self, clock: int) -> int | None:
        """The first clock after `clock` at which OUT goes from low to high by counting; None for never."""
        if self.start is None or self.held is not None:
            return None
        rise = self._rise_after(self.count, self.start, clock)
        queued = self._queued()
        if queued is None or (rise is not None and rise <= queued[0]):
            return rise
        boundary, count, start = queued
        return self._rise_after(count, start, max(clock, boundary))

    def _rise_after(self, count: int, start: int, clock: int) -> int | None:
        match self.mode:
            case 0 | 1:
                rise = start + count
            case 2 | 3 if count == 1:  # illegal (data sheet): OUT stays high
                return None
            case 2 | 3:
                rise = start + count * max(1, (clock - start) // count + 1)
            case _:
                rise = start + count + 1
        return rise if rise > clock else None

    def control(self, mode: int, access: int, bcd: bool) -> None:
        """A control word: the counter stops, and waits for a count."""
        self.mode, self.access, self.bcd = mode, access, bcd
        self.count = 0
        self.start = self.held = self.queued = self.low_byte = self.latched = self.status = None
        self.high_next = False

    def write(self, byte: int, clock: int) -> None:
        """A byte of the count. The count is loaded with the next clock pulse, where the mode loads it by itself."""
        if self.access == BOTH and self.low_byte is None:
            self.low_byte = byte
            if self.mode == 0:  # the first byte stops the count and lowers OUT at once
                self.start = self.held = None
            return
        raw = byte if self.access == LOW else byte << 8 | (self.low_byte or 0)
        self.low_byte = None
        self._load((_from_bcd(raw) if self.bcd else raw) or self._modulus, clock)

    def _load(self, count: int, clock: int) -> None:
        if self._periodic and self.start is not None and self.held is None:
            self._queue(count, self.start, clock)
        elif self._triggered and self.start is not None:  # the shot under way keeps its own count
            self.queued, self.boundary = count, None
        else:
            self.count, self.queued = count, None
            if not self._triggered:
                self.start = clock + 1
                self.held = None if self.gate else self.start

    def _queue(self, count: int, start: int, clock: int) -> None:
        """A new count while a period runs: it begins when this period (mode 2) or half-period (mode 3) ends."""
        queued = self._queued()
        if queued is not None and clock >= queued[0]:
            _, self.count, start = queued
            self.start = start
        begins = start + self.count * (max(0, clock - start) // self.count)
        half = begins + (self.count + 1) // 2
        self.boundary = half if self.mode == 3 and half > clock else begins + self.count
        self.queued = count

    def set_gate(self, gate: bool, clock: int) -> None:
        """The GATE input: a level in modes 0 and 4, a level with a reloading edge in 2 and 3, a trigger in 1 and 5."""
        rises, falls = gate and not self.gate, self.gate and not gate
        self.gate = gate
        if rises and self.count and (self._triggered or self._periodic):
            self.count = self.count if self.queued is None else self.queued
            self.start, self.held, self.queued = clock + 1, None, None
        elif rises and self.held is not None and self.start is not None:
            self.start += max(0, clock - self.held)
            self.held = None
        elif falls and not self._triggered and self.start is not None:
            self.held = max(clock, self.start)

    def latch(self, clock: int) -> None:
        """Keep the value for the next read; a value that is latched already stays."""
        if self.latched is None:
            self.latched = self._readable(clock)

    def latch_status(self, clock: int) -> None:
        """Keep the status byte (read-back command): OUT, null count, access, mode, BCD."""
        if self.status is None:
            queued = self.queued is not None and (self.boundary is None or clock < self.boundary)
            waiting = queued or self.start is None or clock < self.start
            self.status = self.output(clock) << 7 | waiting << 6 | self.access << 4 | self.mode << 1 | self.bcd

    def read(self, clock: int) -> int:
        """The next byte: a latched status first, then the latched or the present value, low byte first."""
        if self.status is not None:
            status, self.status = self.status, None
            return status
        value = self._readable(clock) if self.latched is None else self.latched
        high = self.access == HIGH or (self.access == BOTH and self.high_next)
        if self.access == BOTH:
            self.high_next = not self.high_next
        if not self.high_next:
            self.latched = None
        return value >> 8 if high else value & 0xFF

    def _readable(self, clock: int) -> int:
        value = self.value(clock)
        return _to_bcd(value) if self.bcd else value


def _from_bcd(raw: int) -> int:
    """Four BCD digits; a nibble above 9 counts as what it is, as in the counter's own decades."""
    return sum((raw >> 4 * digit & 15) * 10**digit for digit in range(4))


def _to_bcd(value: int) -> int:
    return sum((value // 10**digit % 10) << 4 * digit for digit in range(4))
