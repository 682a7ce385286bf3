"""The calls that the CPU answers by itself (engine/answers.c): which, when, and what becomes of them.

The handlers in vmi are the specification: who answers changes nothing that a guest or a recording shows. A witness is
not shown such calls; it hears of them by their events.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pvtrace.machine.calls import results
from pvtrace.model.answers import Answer, Answerable, Facts
from pvtrace.model.events import Kind
from pvtrace.model.exits import Exit
from pvtrace.model.step import Step
from pvtrace.x86.machine_specific import TSC
from pvtrace.x86.state import System
from rom.abi import Generation, calls, unified

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

HOW: Final = {
    "Pause": Answer.NOTHING,
    "IODelay": Answer.NOTHING,
    "EnableInterrupts": Answer.ENABLE,
    "DisableInterrupts": Answer.DISABLE,
    "GetInterruptMask": Answer.GET_MASK,
    "SetInterruptMask": Answer.SET_MASK,
    "RDTSC": Answer.TSC,
    "GetCycleCounter": Answer.COUNTER,
    "GetCR2": Answer.CR2,
    "GetCR3": Answer.CR3,
    "InvalPage": Answer.FLUSH,
    "FlushTLB": Answer.FLUSH,
}
"""By the call's name in rom.abi. None of them has arguments on the stack."""

_MASK64: Final = (1 << 64) - 1


def answerable() -> Iterator[Answerable]:
    """What the CPU is to know of the calls in HOW, in both generations."""
    for generation in Generation:
        for number, info in calls(generation).items():
            if info.name in HOW:
                yield Answerable(unified(generation, number), HOW[info.name], info.segments, results(info))


class Answers:
    """Runs the CPU of one machine and takes over what it has answered. `allowed`: whether it may answer at all."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._system, self._vmi, self._clock = machine.system, machine.vmi, machine.clock
        self._pending = self._on = False
        self._twins = (machine.system, replace(machine.system, vif=not machine.system.vif))
        self.allowed = True
        machine.cpu.answer_calls(tuple(answerable()))

    def run(self, until: Step, pending: bool) -> Exit:
        """Cpu.run; an answer that lets an interrupt in ends it, too. `pending`: one waits for the guest's IF."""
        machine = self._machine
        on = self.allowed
        if machine.system is not self._system and self._differ_in_vif(machine.system, self._system):
            machine.cpu.vif = machine.system.vif  # the change that is frequent
            self._system = machine.system
        if (  # frozen values: what is the same object has not changed
            machine.system is not self._system
            or machine.vmi is not self._vmi
            or machine.clock is not self._clock
            or pending is not self._pending
            or on is not self._on
        ):
            self._system, self._vmi, self._clock = machine.system, machine.vmi, machine.clock
            self._pending, self._on = pending, on
            machine.cpu.tell(self._facts())
        exit_ = machine.cpu.run(until)
        if machine.cpu.answered:
            self._take_over()
        return exit_

    def _facts(self) -> Facts:
        system, vmi, clock = self._system, self._vmi, self._clock
        return Facts(
            on=self._on and system.paravirtual and not vmi.held,
            vif=system.vif,
            pending=self._pending,
            viopl=system.viopl,
            hole=system.hole,
            ticks=(clock.base_ticks - clock.base_step) & _MASK64,
            tsc=system.msr(TSC),
            start=vmi.start,
            stolen=vmi.stolen,
        )

    def _take_over(self) -> None:
        """Log what was answered, and keep the guest's IF as it was left."""
        machine = self._machine
        cpu, journal = machine.cpu, machine.journal
        if cpu.vif is not machine.system.vif:
            self._system = machine.system = self.flipped(machine.system)  # the CPU knows
        journal.saw_all(cpu.take_answers(journal.count, Kind.HYPERCALL, Kind.FLAG_TRANSITION))

    def flipped(self, system: System) -> System:
        """With the other virtual IF. It changes to and fro, so the last two are kept."""
        first, second = self._twins
        if system is first:
            return second
        if system is not second:
            first, second = self._twins = (replace(system, vif=not system.vif), system)
        return first

    def _differ_in_vif(self, one: System, other: System) -> bool:
        first, second = self._twins
        return (one is first and other is second) or (one is second and other is first)
