"""Privileged and sensitive instructions and port I/O: x86 says what they do; here it is done and written down."""

from typing import TYPE_CHECKING, Final

from pvtrace.machine import deferred, entry, waiting
from pvtrace.machine.apply import apply
from pvtrace.machine.journal import Flags
from pvtrace.model.events import Attempt, How, Kind
from pvtrace.model.exits import Fault, PortRead, PortWrite
from pvtrace.model.stops import Why
from pvtrace.x86 import eflags, ports, privileged
from pvtrace.x86.delivery import as_exception
from pvtrace.x86.effects import End, HaltCpu, Native, Raise
from pvtrace.x86.results import FlagAttempt, Result
from pvtrace.x86.view import PageFault

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

_HOW: Final = {
    "CLI": How.CLI,
    "STI": How.STI,
    "PUSHF": How.PUSHF,
    "POPF": How.POPF,
    "IRET": How.IRET,
    "SYSENTER": How.SYSENTER,
    "SYSEXIT": How.SYSEXIT,
}
_RETURN_BY: Final = {"IRET": 0, "SYSEXIT": 2}
_UNTRAPPED: Final = frozenset({"SYSENTER", "ICEBP"})
"""Instructions behind which TF does not trap: they clear it, or trap themselves."""


def sensitive(machine: "Machine", code: bytes) -> None:
    """Perform the instruction at EIP, whose bytes are `code`."""
    pc = machine.cpu.eip
    try:
        result = privileged.execute(machine.view, code)
    except PageFault as refused:
        entry.exception(machine, as_exception(refused))
        return
    _perform(machine, result, pc)


def port(machine: "Machine", exit_: PortRead | PortWrite) -> None:
    """Perform IN, OUT, or one iteration of INS or OUTS."""
    pc = machine.cpu.eip
    try:
        if isinstance(exit_, PortRead):
            result = ports.port_read(machine.view, exit_)
        else:
            result = ports.port_write(machine.view, exit_)
    except PageFault as refused:
        entry.exception(machine, as_exception(refused))
        return
    _perform(machine, result, pc)


def _perform(machine: "Machine", result: Result, pc: int) -> None:
    before = machine.journal.flags(machine.system)
    trapping = bool(before.real & eflags.TF) and result.mnemonic not in _UNTRAPPED
    deferred.before_effects(machine, result.effects)
    try:
        left = apply(machine, result.effects)
    except PageFault as refused:
        entry.exception(machine, as_exception(refused))
        return
    cause = _log(machine, result, pc, before)
    if result.faulted is None:
        if result.mnemonic == "IRET":
            machine.platform.interrupts.returned()
        how = How.TASK_SWITCH if result.task_switch else _HOW.get(result.mnemonic, How.GUEST_CODE)
        machine.journal.transitions(before, machine.system, pc, how, cause)
    for effect in left:
        match effect:
            case Raise():
                trapping = False
                entry.exception(machine, effect, cause)
            case HaltCpu():
                waiting.halt(machine)
            case Native():
                trapping &= _native(machine)
            case End(why, code, detail):
                machine.end(why, code, detail)
    if trapping and machine.ended is None:
        entry.single_stepped(machine)


def _native(machine: "Machine") -> bool:
    """Let the CPU run it. Returns whether a trap for TF is still to be raised."""
    exit_ = machine.cpu.run_native()
    if isinstance(exit_, Fault):
        entry.fault(machine, exit_)
    elif exit_ is not None:
        detail = f"the instruction at EIP {machine.cpu.eip:08x} reaches for device memory, which it cannot be given"
        machine.end(Why.UNSUPPORTED, detail=detail)
    elif not machine.system.paravirtual:
        real = machine.cpu.eflags  # a task switch may have changed it
        machine.replace_system(vif=bool(real & eflags.IF), viopl=eflags.iopl(real))
    return False


def _log(machine: "Machine", result: Result, pc: int, before: Flags) -> int | None:
    """The event of this instruction; ordinary port accesses and native ones have theirs elsewhere or none."""
    journal, system = machine.journal, machine.system
    number: int | None = None
    if result.attempt is not None:
        number = _attempt(machine, result.attempt, pc, before)
    elif result.returned is None and result.entered is None and _is_news(result):
        number = journal.saw(Kind.EMULATED, system, pc, result.mnemonic, result.operand, result.value, result.faulted)
    if result.returned is not None:
        to = result.returned
        arguments = (_RETURN_BY[result.mnemonic], to.eip, to.cs, to.image, to.esp, to.ss)
        number = journal.saw(Kind.RETURN, system, pc, *arguments, cause=journal.left())
    if result.entered is not None:
        by = result.entered
        number = journal.saw(Kind.SYSENTER, system, pc, None, by.eip, by.cs, by.image, by.handler, by.esp)
        journal.entered(number)
    return number


def _is_news(result: Result) -> bool:
    """Whether EMULATED is the event to log: not for what ran natively, nor for port accesses that went through."""
    if result.effects and isinstance(result.effects[-1], Native):
        return False
    return result.faulted is not None or result.mnemonic not in ("IN", "OUT", "INS", "OUTS")


def _attempt(machine: "Machine", attempt: FlagAttempt, pc: int, before: Flags) -> int:
    journal, system = machine.journal, machine.system
    after = journal.flags(system)
    instruction: Attempt = attempt.instruction
    return journal.saw(
        Kind.FLAG_ATTEMPT,
        system,
        pc,
        instruction,
        attempt.asked,
        before.virtual,
        after.virtual,
        before.real,
        attempt.outcome,
    )
