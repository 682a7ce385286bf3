"""How long each critical section was, and what came inside: gathered while the shadow moves.

A section is one thread's: the thread is in it while Shadow.masked says so, and still inside while it waits for the
return to it (Shadow.left).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pvtrace.divergence.shadow import Shadow
from pvtrace.model.findings import Finding, Section
from pvtrace.model.step import Step

INTERRUPTED: Final = "interrupted"
FAULT: Final = "fault-in-section"
RESCHEDULED: Final = "rescheduled"
NOT_RESTORED: Final = "not-restored"
"""Ids of rules about sections (rules.consequences)."""


def away(shadow: Shadow) -> set[int]:
    """The sections that were left for the kernel."""
    return {entry.section for entry in shadow.left.values()}


def inside(shadow: Shadow) -> set[int]:
    """The sections that somebody is in."""
    return away(shadow) | (set() if shadow.masked is None else {shadow.masked})


@dataclass(frozen=True, slots=True)
class _Open:
    """A section that goes on. `left_at`: ticks at the entry that is not over, moved on by what was stolen since."""

    opened_by: int
    start: Step
    start_ticks: int
    handlers: int = 0
    stolen: int = 0
    left_at: int | None = None

    def left(self, ticks: int) -> "_Open":
        return self if self.left_at is not None else replace(self, left_at=ticks)

    def back(self, ticks: int) -> "_Open":
        if self.left_at is None:
            return self
        return replace(self, handlers=self.handlers + ticks - self.left_at, left_at=None)

    def without(self, ticks: int) -> "_Open":
        """So many ticks were stolen."""
        left_at = None if self.left_at is None else self.left_at + ticks
        return replace(self, stolen=self.stolen + ticks, left_at=left_at)

    def until(self, step: Step, ticks: int, *, ended: bool) -> Section:
        handlers = self.back(ticks).handlers
        return Section(self.opened_by, self.start, step, self.start_ticks, ticks, ended, handlers, self.stolen)


class Ledger:
    """Told of each change of the shadow, in order."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._over: list[Section] = []

    def moved(self, before: Shadow, after: Shadow, step: Step, ticks: int, *, ended: bool) -> None:
        """`ended`: False if a section that nobody is in any more has lost its frame to somebody else's."""
        if before.masked == after.masked and before.left is after.left:
            return
        gone, waiting = set(self._open), away(after)
        for section in inside(after):
            known = self._open.get(section) or _Open(section, step, ticks)
            self._open[section] = known.left(ticks) if section in waiting else known.back(ticks)
            gone.discard(section)
        for section in gone:
            self._over.append(self._open.pop(section).until(step, ticks, ended=ended))

    def stolen(self, ticks: int) -> None:
        """The hypervisor ran something else for so long, until now."""
        self._open = {section: each.without(ticks) for section, each in self._open.items()}

    def sections(self, findings: Sequence[Finding], step: Step, ticks: int) -> tuple[Section, ...]:
        """All until now, in the order in which they began."""
        going_on = [each.until(step, ticks, ended=False) for each in self._open.values()]
        counts = Counter((finding.opened_by, finding.rule) for finding in findings)
        found = [
            replace(
                each,
                interrupts=counts[each.opened_by, INTERRUPTED],
                faults=counts[each.opened_by, FAULT],
                reschedules=counts[each.opened_by, RESCHEDULED],
            )
            for each in (*self._over, *going_on)
        ]
        return tuple(sorted(found, key=lambda each: (each.start, each.opened_by)))
