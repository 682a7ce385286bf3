"""The part of the guest's state that exists only because the guest speaks VMI.

Frozen values alone live here; they are replaced whole by the effect SetVmi. What VMI calls change of the CPU itself
(virtual IF, kernel stack, debug registers ...) lives in x86.state.System.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from rom.abi import Generation

MAPPING_SLOTS: Final = 4


@dataclass(frozen=True, slots=True)
class Alarm:
    """An armed alarm. `expiry` is absolute and `period` relative, both in cycles of the alarm's own counter.

    `period` 0: it fires once. `flags`: the whole word of SetAlarm.
    """

    expiry: int
    period: int
    flags: int


@dataclass(frozen=True, slots=True)
class LinearMapping:
    """SetLinearMapping: `pages` pages from linear address `base` are the page frames from `pfn` on."""

    base: int
    pages: int
    pfn: int


@dataclass(frozen=True, slots=True)
class Held:
    """A call that waits to be applied (see vmi.deferral): what it was called with, and where."""

    generation: Generation
    number: int
    eax: int
    edx: int
    ecx: int
    stack: tuple[int, int]
    site: int


@dataclass(frozen=True, slots=True)
class VmiState:
    """`virtual_top`: first linear address that the hypervisor takes at Init, as in the ROM header; 0 takes none.

    `generation`: whose Init made the CPU paravirtual; None before. `start`: ticks at Init, where the real counter
    begins; `stolen`: ticks since then in which the guest was ready, but something else ran. `alarms`: of the real and
    of the available counter. `page_types`: (page frame, type bits PT 1, PD 2, PDP 4, PML4 8) of the announced pages,
    sorted; `told`: the frames that were used without, sorted. `lazy`: mode of SetLazyMode (0 none, 1 MMU, 2 CPU).
    `wallclock_origin`: the wallclock in ns at which the real counter was zero, as known at the last look that told the
    guest; None before. `held`: the calls that wait, oldest first.
    """

    virtual_top: int = 0
    generation: Generation | None = None
    start: int = 0
    stolen: int = 0
    alarms: tuple[Alarm | None, Alarm | None] = (None, None)
    mappings: tuple[LinearMapping | None, ...] = (None,) * MAPPING_SLOTS
    page_types: tuple[tuple[int, int], ...] = ()
    told: tuple[int, ...] = ()
    lazy: int = 0
    wallclock_origin: int | None = None
    ap_states: tuple[tuple[int, str], ...] = ()
    held: tuple[Held, ...] = ()

    def page_type(self, pfn: int) -> int:
        """Type bits of an announced page; 0 if it is not announced."""
        at = bisect_left(self.page_types, (pfn, 0))
        if at < len(self.page_types) and self.page_types[at][0] == pfn:
            return self.page_types[at][1]
        return 0

    def with_page_type(self, pfn: int, kind: int) -> tuple[tuple[int, int], ...]:
        """The page_types field with one page announced; `kind` 0 takes it out."""
        at = bisect_left(self.page_types, (pfn, 0))
        after = at + int(at < len(self.page_types) and self.page_types[at][0] == pfn)
        here = ((pfn, kind),) if kind else ()
        return self.page_types[:at] + here + self.page_types[after:]

    def with_mapping(self, slot: int, mapping: LinearMapping) -> tuple[LinearMapping | None, ...]:
        """The mappings field with one slot changed."""
        return (*self.mappings[:slot], mapping, *self.mappings[slot + 1 :])

    def with_alarm(self, counter: int, alarm: Alarm | None) -> tuple[Alarm | None, Alarm | None]:
        """The alarms field with one alarm armed, or disarmed by None."""
        real, available = self.alarms
        return (alarm, available) if counter == 0 else (real, alarm)
