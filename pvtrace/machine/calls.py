"""VMI calls: an entry point of a ROM was reached; vmi says what the call does; here it is done and written down."""

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pvtrace.machine import deferred, entry, waiting
from pvtrace.machine.apply import apply
from pvtrace.model.events import Kind
from pvtrace.model.exits import Hypercall
from pvtrace.model.registers import Gpr, Seg
from pvtrace.vmi.call import Call, page_fault
from pvtrace.vmi.effects import VmiEffects, transfers_control
from pvtrace.vmi.table import breaks_contract, perform
from pvtrace.x86.delivery import as_exception
from pvtrace.x86.descriptors import USER_RING
from pvtrace.x86.effects import End, HaltCpu, Raise
from pvtrace.x86.exceptions import UD
from pvtrace.x86.results import Returned
from pvtrace.x86.view import PageFault, View
from rom.abi import CallInfo, Generation, Place, by_number, unified
from rom.layout import STUB_SIZE, identify

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

CALL_LENGTH: Final = 5
"""Bytes of the near CALL that a patched site holds: the site is where the native instruction was."""

HOW_CALL: Final = 0x100
"""Added to a call's unified number in FLAG_TRANSITION.how."""

_WORDS: Final = Struct("<III")
"""The return address and two words of the stack."""

_RETURN_BY: Final = {"IRET": 1, "SYSEXIT": 3}
_MASK: Final = 0xFFFFFFFF


class EntryPoint(NamedTuple):
    """What is the same at every call through an entry point."""

    generation: Generation
    number: int
    unified: int
    info: CallInfo
    stack_words: int
    result: int  # 0 none, 1 EAX, 2 EDX:EAX


def results(info: CallInfo) -> int:
    """What an event shows of a call's results: 0 none, 1 EAX, 2 EDX:EAX."""
    places = {operand.place for operand in info.results}
    return (2 if Place.EDX in places else 1) if Place.EAX in places else 0


def entry_of(generation: Generation, number: int, info: CallInfo) -> EntryPoint:
    """The entry point of this call."""
    places = {operand.place for operand in info.arguments}
    words = 2 if Place.STACK2 in places else int(Place.STACK1 in places)
    return EntryPoint(generation, number, unified(generation, number), info, words, results(info))


@lru_cache(maxsize=1024)
def entry_point(code: bytes) -> EntryPoint | None:
    """The entry point that these STUB_SIZE bytes are; None if they are none."""
    found = identify(code)
    info = by_number(*found) if found else None
    return entry_of(*found, info) if found and info else None


def made_through(entered: EntryPoint, view: View) -> Call:
    """The call that is being made through this entry point. Raises PageFault if its stack cannot be read."""
    gpr = view.gpr
    esp = gpr(Gpr.ESP)
    words = view.read(esp, 4 + 4 * entered.stack_words, view.cpl == USER_RING)
    return_eip, first, second = _WORDS.unpack(words.ljust(_WORDS.size, b"\0"))
    return Call(
        generation=entered.generation,
        number=entered.number,
        info=entered.info,
        eax=gpr(Gpr.EAX),
        edx=gpr(Gpr.EDX),
        ecx=gpr(Gpr.ECX),
        stack=(first, second),
        site=(return_eip - CALL_LENGTH) & _MASK,
        return_eip=return_eip,
        esp=esp,
    )


def hypercall(machine: "Machine", exit_: Hypercall) -> None:
    """VMCALL was reached: a VMI call, if this is an entry point of a ROM (or of a copy of one)."""
    del exit_
    cpu = machine.cpu
    at = (cpu.eip + cpu.segment(Seg.CS).base) & _MASK
    entered = entry_point(cpu.peek(at, STUB_SIZE))
    if entered is None:
        entry.exception(machine, Raise(UD))
        return
    try:
        call = made_through(entered, machine.view)
    except PageFault as refused:
        entry.exception(machine, as_exception(refused))
        return
    _perform(machine, entered, call)


def _perform(machine: "Machine", entered: EntryPoint, call: Call) -> None:
    cpu, journal = machine.cpu, machine.journal
    before = journal.flags(machine.system)
    deferred.before_call(machine, call)
    effects = perform(call, machine.view, machine.vmi)
    leaves = transfers_control(effects)
    broken = "" if leaves else breaks_contract(call.info, effects)
    assert not broken, f"bug: VMI {call.info.name} changes {broken}, which its caller keeps"
    try:
        left = apply(machine, effects)
    except PageFault as refused:
        # A store of the call was refused, and stores come first: nothing else has happened.
        effects = page_fault(call, machine.view, refused)
        leaves = True
        left = apply(machine, effects)
    if not leaves:
        cpu.set_gpr(Gpr.ESP, (cpu.gpr(Gpr.ESP) + 4) & _MASK)
        cpu.eip = call.return_eip
    number = _log(machine, entered, call, effects)
    journal.transitions(before, machine.system, call.site, HOW_CALL | entered.unified, number)
    for effect in left:
        match effect:
            case Raise():
                entry.exception(machine, effect, number)
            case HaltCpu():
                waiting.halt(machine)
            case End(why, code, detail):
                machine.end(why, code, detail)


def _log(machine: "Machine", entered: EntryPoint, call: Call, effects: VmiEffects) -> int:
    cpu, journal, system = machine.cpu, machine.journal, machine.system
    result: int | None = None
    if entered.result:
        result = cpu.gpr(Gpr.EAX)
    if entered.result > 1:
        result = (result or 0) | cpu.gpr(Gpr.EDX) << 32
    stack = call.stack[0] | call.stack[1] << 32 if entered.stack_words else None
    arguments = (entered.unified, call.eax, call.edx, call.ecx, stack, result)
    number = journal.saw(Kind.HYPERCALL, system, call.site, *arguments)
    for effect in effects:
        if isinstance(effect, Returned):
            to = effect
            returned = (_RETURN_BY[call.info.name], to.eip, to.cs, to.image, to.esp, to.ss)
            journal.saw(Kind.RETURN, system, call.site, *returned, cause=journal.left())
    return number
