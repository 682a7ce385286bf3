"""What the CPU answers by itself (engine/answers.c): which calls and instructions, when, and what becomes of them.

The handlers in vmi and x86 are the specification: who answers changes nothing that a guest or a recording shows. A
witness of exits is not shown the calls of `HOW` up to FLUSH, which it hears of by their events, and everything else by
exits.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pvtrace.machine.calls import entry_of, results
from pvtrace.machine.journal import LINE
from pvtrace.model.answers import NOT, Answer, Answerable, Facts, Ports
from pvtrace.model.exits import Exit
from pvtrace.model.step import Step
from pvtrace.vmi.init import Relocation, relocation
from pvtrace.x86.cpuid import leaves
from pvtrace.x86.fast_calls import entry as fast_entry
from pvtrace.x86.machine_specific import TSC, has_apic
from pvtrace.x86.state import System
from rom.abi import Generation, calls
from rom.layout import entry_offset

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
    "GetCR0": Answer.CR0,
    "GetCR4": Answer.CR4,
    "SetCR3": Answer.SET_CR3,
    "GetRelocationInfo": Answer.RELOCATION,
    "SetLazyMode": Answer.LAZY,
    "SetPxE": Answer.SET_PXE,
    "SetPxE0": Answer.SET_PXE_0,
    "SetPxELong": Answer.SET_PXE_LONG,
    "SetPxELong0": Answer.SET_PXE_LONG,
    "UpdatePxE": Answer.UPDATE_PXE,
    "UpdatePxELong": Answer.UPDATE_PXE,
    "WriteIDTEntry": Answer.WRITE_IDT,
    "WriteGDTEntry": Answer.WRITE_GDT,
    "WriteLDTEntry": Answer.WRITE_LDT,
    "UpdateKernelStack": Answer.KERNEL_STACK_3,
    "IRET": Answer.IRET,
    "SYSEXIT": Answer.SYSEXIT,
}
"""By the call's name in rom.abi."""

_IN_13: Final[dict[int, int]] = {Answer.KERNEL_STACK_3: Answer.KERNEL_STACK_13}
"""Where 13.x takes other arguments."""

_MASK64: Final = (1 << 64) - 1


def answerable() -> Iterator[Answerable]:
    """What the CPU is to know of all calls of both generations."""
    for generation in Generation:
        for number, info in calls(generation).items():
            how: int = HOW.get(info.name, NOT)
            if generation is Generation.V13:
                how = _IN_13.get(how, how)
            entry = entry_of(generation, number, info)
            yield Answerable(
                entry.unified,
                how,
                info.segments,
                results(info),
                entry.stack_words,
                entry_offset(generation, number),
                relocation(generation, number) is not Relocation.NONE,
            )


class _Known(NamedTuple):
    """What the CPU knows of ports, as far as that may change: `line`: bytes of the console's unfinished line."""

    changes: int
    posting: int | None
    masks: object
    line: int


class Answers:
    """Runs the CPU of one machine and takes over what it has answered. `allowed`: whether it may answer at all; `lag`:
    whether who hears the console may hear it later than the guest speaks."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._system, self._vmi, self._clock = machine.system, machine.vmi, machine.clock
        self._pending = self._on = self._all = False
        self._twins = (machine.system, replace(machine.system, vif=not machine.system.vif))
        self._pages: tuple[object, object] = ((), ())
        self._apic: bool | None = None
        self._ports: _Known | None = None
        self._entries: tuple[int, ...] = ()
        self.allowed = True
        self.lag = False
        machine.cpu.answer_calls(tuple(answerable()))

    def run(self, until: Step, pending: bool) -> Exit:
        """Cpu.run; an answer that lets an interrupt in ends it, too. `pending`: one waits for the guest's IF."""
        machine = self._machine
        cpu = machine.cpu
        on = self.allowed and not machine.platform.interrupts.nmi_blocked
        witnessed = machine.witness is not None
        if machine.system is not self._system and self._differ_in_vif(machine.system, self._system):
            cpu.vif = machine.system.vif  # the change that is frequent
            self._system = machine.system
        if (  # frozen values: what is the same object has not changed
            machine.system is not self._system
            or machine.vmi is not self._vmi
            or machine.clock is not self._clock
            or pending is not self._pending
            or on is not self._on
            or self._all is witnessed
        ):
            self._system, self._vmi, self._clock = machine.system, machine.vmi, machine.clock
            self._pending, self._on, self._all = pending, on, not witnessed
            cpu.tell(self._facts())
            self._tell_of_pages()
            self._tell_of_leaves()
        if on and not witnessed:
            self._tell_of_ports()
        if machine.journal.entries is not self._entries:
            self._entries = machine.journal.entries
            cpu.answer_entries(self._entries)
        cpu.next_event = machine.journal.count
        exit_ = cpu.run(until)
        if cpu.answered:
            self._take_over()
        return exit_

    def _facts(self) -> Facts:
        system, vmi, clock = self._system, self._vmi, self._clock
        latitude = self._machine.latitude
        return Facts(
            on=self._on and not vmi.held,
            all=self._all,
            paravirtual=system.paravirtual,
            at_once=not latitude.defer,
            inverts=latitude.flags,
            reserves=latitude.stack32,
            vif=system.vif,
            pending=self._pending,
            viopl=system.viopl,
            lazy=vmi.lazy,
            shadow=system.shadow,
            hole=system.hole,
            ticks=(clock.base_ticks - clock.base_step) & _MASK64,
            tsc=system.msr(TSC),
            start=vmi.start,
            stolen=vmi.stolen,
            kernel_stack=system.kernel_stack,
            sysenter=fast_entry(system),
        )

    def _tell_of_pages(self) -> None:
        vmi = self._vmi
        if vmi.page_types is not self._pages[0] or vmi.told is not self._pages[1]:
            self._pages = (vmi.page_types, vmi.told)
            self._machine.cpu.answer_pages(vmi.page_types, vmi.told)

    def _tell_of_leaves(self) -> None:
        apic = has_apic(self._system)
        if apic is not self._apic:
            self._apic = apic
            self._machine.cpu.answer_leaves([(leaf, *values) for leaf, values in leaves(apic=apic).items()])

    def _tell_of_ports(self) -> None:
        """Devices change at any exit; what the guest has said of a line is what may still be posted."""
        machine = self._machine
        platform, journal = machine.platform, machine.journal
        posting = platform.posting if self.lag or journal.heard is None else None
        ports = _Known(platform.uart.changes, posting, platform.pic.calm_masks(), len(journal.line))
        if ports != self._ports:
            self._ports = ports
            machine.cpu.tell_ports(
                Ports(
                    steady=platform.steady(),
                    settled=platform.settled(),
                    posting=-1 if posting is None else posting,
                    room=LINE - 1 - len(journal.line),
                    held=platform.held(),
                    quiet=platform.quiet(),
                )
            )

    def _take_over(self) -> None:
        """Log what was answered, and keep what it has changed."""
        machine = self._machine
        journal = machine.journal
        taken = machine.cpu.taken()
        journal.saw_many(taken.events)
        system = machine.system
        rest = (taken.viopl, taken.shadow, taken.kernel_stack)
        if rest != (system.viopl, system.shadow, system.kernel_stack):
            viopl, shadow, stack = rest
            system = replace(system, vif=taken.vif, viopl=viopl, shadow=shadow, kernel_stack=stack)
            self._system = machine.system = system  # the CPU knows
        elif taken.vif is not system.vif:
            self._system = machine.system = self.flipped(system)
        if taken.lazy != machine.vmi.lazy:
            self._vmi = machine.vmi = replace(machine.vmi, lazy=taken.lazy)
        if taken.entries is not None:
            self._entries = journal.entries = taken.entries
        for byte in taken.posted:
            journal.transmitted(byte, machine.system)
        for port, width, value in taken.written:
            machine.platform.bus.write(port, width, value, machine.ticks)
        if self._ports is not None:  # what was written and posted the CPU knows
            self._ports = self._ports._replace(masks=machine.platform.pic.calm_masks(), line=len(journal.line))

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
