"""Every call of both generations and what answers it; the rules that hold for all of them.

`perform` is the one door to this package for the machine. The calls themselves are listed in rom.abi.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.model.stops import Why
from pvtrace.vmi import apic, control, deferral, descriptors, init, interrupts, io, mmu, time, transitions
from pvtrace.vmi.call import Call, Handler, fault, page_fault
from pvtrace.vmi.effects import SetVmi, VmiEffects, transfers_control
from pvtrace.vmi.state import Held, VmiState
from pvtrace.x86.effects import End, Note, SetGpr, SetSegment
from pvtrace.x86.exceptions import GP
from pvtrace.x86.guest_tables import is_flat
from pvtrace.x86.view import PageFault, View
from rom.abi import CALLS, CallInfo, Family, Place

HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        **init.HANDLERS,
        **interrupts.HANDLERS,
        **descriptors.HANDLERS,
        **control.HANDLERS,
        **transitions.HANDLERS,
        **io.HANDLERS,
        **time.HANDLERS,
        **mmu.HANDLERS,
        **apic.HANDLERS,
    }
)
"""By the call's name in rom.abi."""

BEFORE_INIT: Final = frozenset({"Init", "GetRelocationInfo"})
"""The calls that a guest may make natively."""

_FLAT: Final = {2: (Seg.CS, Seg.SS), 4: (Seg.CS, Seg.SS, Seg.DS, Seg.ES)}
_WITH_SIZE: Final = (Seg.CS, Seg.SS)


def perform(call: Call, view: View, state: VmiState) -> VmiEffects:
    """What the call does. Unless `transfers_control`, the machine then pops the return address and goes on there.

    A caller in user mode, or one with segments that the call cannot use, gets #GP(0) at the call site; a pointer that
    its page tables refuse, #PF there; when a store among the effects faults, `call.page_fault` gives the same. A call
    before Init ends the run.
    """
    refusal = _refused(call, view)
    if refusal:
        return refusal
    try:
        effects = HANDLERS[call.info.name](call, view, state)
    except PageFault as refused:
        effects = page_fault(call, view, refused)
    if deferral.may_wait(call, view, state) and not transfers_control(effects):
        return (SetVmi(replace(state, held=(*state.held, deferral.held(call)))),)
    return effects


def perform_held(waiting: Held, view: View, state: VmiState) -> VmiEffects:
    """What a call does that has waited until now; if it cannot be done any more, a Note says so."""
    call = deferral.resumed(waiting)
    try:
        effects = HANDLERS[call.info.name](call, view, state)
    except PageFault as refused:
        effects = page_fault(call, view, refused)
    return lost(waiting) if transfers_control(effects) else effects


def lost(waiting: Held) -> VmiEffects:
    """A held call that cannot be done any more: nobody waits for its answer."""
    name = deferral.resumed(waiting).info.name
    return (Note(f"VMI {name}, called at {waiting.site:08x} and held back until now, fails and is lost"),)


def may_change(info: CallInfo) -> frozenset[Place]:
    """The register contract: all that a caller must expect to lose. What pvtrace changes are the results alone."""
    return info.clobbers | {operand.place for operand in info.results}


_MAY_CHANGE: Final = {
    call.name: frozenset(register for register in Gpr if register.name in {place.name for place in may_change(call)})
    for call in CALLS
}
"""The general registers of it, by the call's name."""


def breaks_contract(info: CallInfo, effects: VmiEffects) -> str:
    """What a call that returns would change although its caller keeps it; empty if nothing. That is a bug of ours.

    Segment registers follow their descriptors: only the calls that change those, and Init, may load one.
    """
    allowed = _MAY_CHANGE[info.name]
    for effect in effects:
        match effect:
            case SetGpr(register) if register not in allowed:
                return Gpr(register).name
            case SetSegment(register) if info.family is not Family.DESCRIPTORS and info.name != "Init":
                return Seg(register).name
            case _:
                pass
    return ""


def _refused(call: Call, view: View) -> VmiEffects:
    """The answer to a call that breaks a rule of the interface; empty for one that does not."""
    name = call.info.name
    if view.cpl == 3:
        return (Note(f"VMI {name} called from user mode at {call.site:08x}"), *fault(call, view, GP, 0))
    if not view.system.paravirtual:
        if name in BEFORE_INIT:
            return ()
        detail = f"the guest called VMI {name} at {call.site:08x} before VMI Init had made it paravirtual"
        return (End(Why.TERMINATED, detail=detail),)
    register = unusable_segment(call.info, view.segment, view.system.hole)
    if register is None:
        return ()
    note = Note(f"VMI {name} called at {call.site:08x} with {register.name} not a flat 32-bit segment")
    return (note, *fault(call, view, GP, 0))


def unusable_segment(info: CallInfo, segment: Callable[[int], Segment], hole: int) -> Seg | None:
    """The first segment register with which the call cannot be made; None if all are as they must be."""
    for register in _FLAT[info.segments]:
        loaded = segment(register)
        if not is_flat(loaded, hole) or (register in _WITH_SIZE and not loaded.big):
            return register
    return None
