"""What was found of differences between this machine and native hardware: the words, and the finding itself.

Numbers are stored in traces and never change. How findings are made is in pvtrace.divergence.
"""

from dataclasses import dataclass
from enum import IntEnum

from pvtrace.model.step import Step

Shown = int | str | None
"""A value as evidence: a number, or words where a number says nothing."""


class Standing(IntEnum):
    """How much a finding claims."""

    POTENTIAL = 0  # what it takes for a difference was there, but the outcomes were equal
    PROVEN = 1  # the native and the paravirtual outcome differ
    HAZARD = 2  # surprising, and just the same on native hardware

    @property
    def word(self) -> str:
        """As people and JSON have it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference at one moment.

    `step`: the step count after it, as in events; `pc`: linear address of the instruction or call site; `code`: the
    bytes there. `what`: the state that differs ("eflags.IF", "cs.RPL", "eax", "mem:c0101000"); `before`: that state
    before it. `native`, `paravirtual`: the outcomes. `text`: one sentence for people. `event`: number of the event that
    shows it, None if none does. `setting`: the latitude that brought it about, as --latitude takes it; empty if none.
    `opened_by`: index, among the trace's findings, of the one whose consequence this is. `times`: how often it was seen
    here; more than one only for potential ones and for reads of the same value, of which the first is kept.
    """

    rule: str
    step: Step
    pc: int
    standing: Standing
    what: str
    before: Shown
    native: Shown
    paravirtual: Shown
    text: str
    code: bytes = b""
    event: int | None = None
    setting: str = ""
    opened_by: int | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """A critical section that is none here: from the finding since which native IF is off, while this machine's is on,
    to where native IF comes on again.

    `opened_by`: index of that finding, which says where and by what. `start`, `end`: steps; `start_ticks`, `end_ticks`:
    virtual time, which is the TSC. `ended`: False if native IF never came on again; `end` is then where the recording
    ends, or where it turned out that nobody returns to the section. `handlers`: ticks from each entry to the return to
    the section, less the stolen ones; `stolen`: ticks in which the hypervisor ran something else. `interrupts`,
    `faults`, `reschedules`: how often each came inside.
    """

    opened_by: int
    start: Step
    end: Step
    start_ticks: int
    end_ticks: int
    ended: bool
    handlers: int = 0
    stolen: int = 0
    interrupts: int = 0
    faults: int = 0
    reschedules: int = 0

    @property
    def length(self) -> int:
        """Ticks, as its own code would measure them by the TSC."""
        return self.end_ticks - self.start_ticks

    @property
    def own(self) -> int:
        """Ticks that its own code ran."""
        return self.length - self.handlers - self.stolen


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a recording was found to hold. `until`: it was looked at up to this step; `rules`: digest of the rules'
    generation, so that findings of older rules are not taken for those of today. `sections`: in the order in which they
    began."""

    until: Step
    rules: str
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...] = ()
