"""The timer of a local APIC: a count-down as a function of virtual time.

It counts bus clocks, one for each tick of virtual time, divided by 1 to 128. No state changes by the mere passing of
time; `due` alone remembers which expiry comes next, and it does so only while that expiry would interrupt, so that
nothing depends on how often anyone asks. Source: SDM volume 3, 10.5.4.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class ApicTimer:
    """`initial`: the initial count; `divide`: the divide configuration register; `loaded`: the time at which the count
    stood at `initial` (one-shot: when it began), None while it stands at 0; `due`: when it interrupts next."""

    initial: int = 0
    divide: int = 0
    periodic: bool = False
    loaded: int | None = None
    due: int | None = None

    @property
    def divisor(self) -> int:
        """Bits 3, 1 and 0 together: 0 divides by 2, 6 by 128, 7 by 1."""
        code = self.divide & 3 | self.divide >> 1 & 4
        return 1 if code == 7 else 2 << code

    def count(self, now: int) -> int:
        """The current count."""
        if self.loaded is None:
            return 0
        passed = (now - self.loaded) // self.divisor
        return self.initial - passed % self.initial if self.periodic else max(0, self.initial - passed)

    def expiry(self, now: int) -> int | None:
        """The first time after `now` at which the count reaches zero."""
        if self.loaded is None:
            return None
        whole = self.initial * self.divisor
        first = self.loaded + whole
        if self.periodic:
            return self.loaded + whole * max(1, (now - self.loaded) // whole + 1)
        return first if first > now else None

    def load(self, count: int, now: int) -> None:
        """Write the initial count: it starts from there; 0 stops it."""
        self.initial = count
        self.loaded = now if count else None

    def configure(self, divide: int, periodic: bool, now: int) -> None:
        """Change divider or mode: the count goes on from where it stands; one that has run out stays at 0."""
        count = self.count(now)
        self.divide, self.periodic = divide & 0xB, periodic
        self.loaded = now - (self.initial - count) * self.divisor if count else None

    def arm(self, audible: bool, now: int) -> None:
        """Find the next expiry; `audible`: the timer's entry lets it through."""
        self.due = self.expiry(now) if audible else None
