"""Entering handlers: exceptions with the double-fault rules, external interrupts, INT n."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from pvtrace.machine import deferred
from pvtrace.machine.apply import apply
from pvtrace.machine.interrupt_controller import Taken
from pvtrace.model.events import How, Kind
from pvtrace.model.exits import Fault, SoftInt
from pvtrace.model.registers import Seg
from pvtrace.model.stops import Why
from pvtrace.x86 import delivery
from pvtrace.x86.delivery import Delivered, Delivery, Entry, Refused, TaskGate
from pvtrace.x86.descriptors import SegmentFault, SystemType
from pvtrace.x86.effects import End, Raise
from pvtrace.x86.exceptions import DB, DF, NMI, PF, combine, mnemonic
from pvtrace.x86.task_switch import By, switch
from pvtrace.x86.view import PageFault

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

NMI_DROPPED: Final = "a non-maskable interrupt was dropped: VMI has none"

DR6_BS: Final = 1 << 14
"""Single step, in DR6 (SDM volume 3, 17.2.3)."""


def fault(machine: "Machine", exit_: Fault) -> None:
    """The CPU itself raised an exception."""
    if exit_.vector == DB:
        single_stepped(machine)
    else:
        exception(machine, Raise(exit_.vector, exit_.error, exit_.address))


def single_stepped(machine: "Machine") -> None:
    """The trap behind an instruction that began with TF set."""
    drs = list(machine.system.drs)
    drs[6] |= DR6_BS
    machine.system = replace(machine.system, drs=tuple(drs))
    exception(machine, Raise(DB))


def software(machine: "Machine", exit_: SoftInt) -> None:
    """INT n, INT3, INTO."""
    try:
        outcome = delivery.software_interrupt(machine.view, exit_.vector, exit_.length)
    except PageFault as refused:
        outcome = Refused(delivery.as_exception(refused))
    cause = _enter(machine, outcome, exit_.vector, Raise(exit_.vector), Entry.SOFTWARE, None)
    if cause is not None:
        exception(machine, cause)


def interrupt(machine: "Machine") -> None:
    """Acknowledge and deliver the interrupt that is pending, a non-maskable one first; VMI delivers none of those."""
    interrupts, journal = machine.platform.interrupts, machine.journal
    cause: int | None = None
    if not interrupts.nmi:
        taken = interrupts.acknowledge()
        cause, journal.alarm = journal.alarm, None
    elif machine.system.paravirtual:
        interrupts.drop_nmi()
        journal.saw(Kind.NOTE, machine.system, machine.cpu.eip, NMI_DROPPED)
        return
    else:
        interrupts.take_nmi()
        taken = Taken(NMI, None)
    refusal = _enter_interrupt(machine, taken, cause)
    if refusal is not None and deferred.resolves(machine, refusal):
        refusal = _enter_interrupt(machine, taken, cause)
    if refusal is not None:
        exception(machine, refusal)


def _enter_interrupt(machine: "Machine", taken: Taken, cause: int | None) -> Raise | None:
    raised = Raise(taken.vector)
    outcome = _deliver(machine, raised, Entry.INTERRUPT)
    return _enter(machine, outcome, taken.vector, raised, Entry.INTERRUPT, cause, taken.irq)


def exception(machine: "Machine", raised: Raise, cause: int | None = None) -> None:
    """Deliver an exception; faults met on the way combine to #DF and then end the run (SDM volume 3, 6.15).

    A page fault that deferred page-table updates resolve is none: the instruction is executed again.
    """
    if deferred.resolves(machine, raised):
        return
    _load_cr2(machine, raised)
    while True:
        outcome = _deliver(machine, raised, Entry.EXCEPTION)
        refusal = _enter(machine, outcome, raised.vector, raised, Entry.EXCEPTION, cause)
        if refusal is None:
            return
        if deferred.resolves(machine, refusal):
            continue
        _load_cr2(machine, refusal)
        combined = combine(raised.vector, refusal.vector)
        if combined is None:
            detail = (
                f"{mnemonic(refusal.vector)} while delivering {mnemonic(raised.vector)} at EIP {machine.cpu.eip:08x}: "
                "the processor shuts down"
            )
            machine.end(Why.TRIPLE_FAULT, detail=detail)
            return
        raised = Raise(DF, 0) if combined == DF else refusal


def _load_cr2(machine: "Machine", raised: Raise) -> None:
    """Every page fault does it, also one that turns into a double fault (SDM volume 3, 6.15)."""
    if raised.vector == PF and raised.address is not None:
        machine.cpu.set_cr(2, raised.address)


def _deliver(machine: "Machine", raised: Raise, entry: Entry) -> Delivery:
    try:
        return delivery.deliver(
            machine.view,
            raised.vector,
            entry=entry,
            error=raised.error,
            return_eip=machine.cpu.eip,
        )
    except PageFault as refused:
        return Refused(delivery.as_exception(refused))


def _enter(
    machine: "Machine",
    outcome: Delivery,
    vector: int,
    raised: Raise,
    entry: Entry,
    cause: int | None,
    irq: int | None = None,
) -> Raise | None:
    """Perform a delivery and log it. Returns the fault that was met instead."""
    match outcome:
        case Refused(refusal):
            return refusal
        case TaskGate():
            return _enter_task(machine, outcome, vector, raised, entry, cause, irq)
        case End(why, code, detail):
            machine.end(why, code, detail)
        case Delivered():
            before = machine.journal.flags(machine.system)
            try:
                apply(machine, outcome.effects)
            except PageFault as refused:
                return delivery.as_exception(refused)
            _log(machine, outcome, vector, raised, entry, cause, irq)
            machine.journal.transitions(
                before, machine.system, outcome.return_eip, How.DELIVERY, machine.journal.count - 1
            )
        case _:
            assert_never(outcome)
    return None


def _enter_task(
    machine: "Machine",
    gate: TaskGate,
    vector: int,
    raised: Raise,
    entry: Entry,
    cause: int | None,
    irq: int | None,
) -> Raise | None:
    """Perform a delivery by a task gate and log it. Returns the fault that was met, in the old task or in the new."""
    eip, cs = gate.return_eip, machine.cpu.segment(Seg.CS).selector
    external = 0 if entry is Entry.SOFTWARE else 1
    try:
        to = switch(machine.view, gate.selector, By.EVENT, return_eip=eip, error=raised.error, external=external)
        if isinstance(to, End):
            machine.end(to.why, to.code, to.detail)
            return None
        before = machine.journal.flags(machine.system)
        left = apply(machine, to.effects)
    except SegmentFault as refused:
        return Raise(refused.vector, refused.error)
    except PageFault as refused:
        return delivery.as_exception(refused)
    done = Delivered((), to.saved, to.cs, to.eip, to.ss, to.esp, SystemType.TASK_GATE, cs, eip)
    _log(machine, done, vector, raised, entry, cause, irq)
    machine.journal.transitions(before, machine.system, eip, How.TASK_SWITCH, machine.journal.count - 1)
    return next((effect for effect in left if isinstance(effect, Raise)), None)


def _log(
    machine: "Machine",
    done: Delivered,
    vector: int,
    raised: Raise,
    entry: Entry,
    cause: int | None,
    irq: int | None,
) -> None:
    journal, system = machine.journal, machine.system
    facts = (done.image, done.handler, done.esp)
    match entry:
        case Entry.EXCEPTION:
            arguments = (vector, raised.error, raised.address if vector == PF else None, *facts)
            number = journal.saw(Kind.EXCEPTION, system, done.return_eip, *arguments, cause=cause)
        case Entry.INTERRUPT:
            number = journal.saw(Kind.INTERRUPT, system, done.return_eip, vector, irq, None, *facts, cause=cause)
        case Entry.SOFTWARE:
            number = journal.saw(Kind.SOFTWARE_INTERRUPT, system, done.return_eip, vector, None, None, *facts)
        case _:
            assert_never(entry)
    journal.entered(number)
