"""The local APIC by call, the start of other processors, and the one call that no text defines.

A register is named by a linear address in 13.x and by its offset in 3.0; the APIC's page is aligned, so that the low 12
bits are the offset in both. This machine has one processor: the state for another is recorded, and that processor never
starts, as the interface says of one whose start is not completed.
"""

from dataclasses import replace
from typing import Final

from pvtrace.model.stops import Why
from pvtrace.vmi.call import Call, Handler
from pvtrace.vmi.effects import ReadApic, SetVmi, VmiEffects, WriteApic
from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import End, Note
from pvtrace.x86.view import PageFault, View
from rom.abi import Generation

UNSUPPORTED: Final = {"SetCallbacks": "a call that no text defines"}
"""Calls that end the run, and what each would need. The relocation query of 3.0 answers that they are absent; that of
13.x has to name an entry point for every call."""

OFFSET: Final = 0xFFF
AP_STATE_SIZE: Final = 90


def read(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    return (ReadApic(call.eax & OFFSET),)


def write(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    return (WriteApic(call.eax & OFFSET, call.edx),)


def set_initial_ap_state(call: Call, view: View, state: VmiState) -> VmiEffects:
    """EAX -> the state, EDX: the APIC id. The linear pointer of 3.0 faults like any other; guests of 13.x are known to
    give a physical one, so theirs is noted and left alone where nothing is mapped."""
    apic_id = call.edx
    try:
        data = view.read(call.eax, AP_STATE_SIZE)
    except PageFault:
        if call.generation is not Generation.V13:
            raise
        return (Note(f"the state at {call.eax:08x} for the processor with APIC id {apic_id} is not mapped"),)
    others = [(known, old) for known, old in state.ap_states if known != apic_id]
    recorded = replace(state, ap_states=tuple(sorted([*others, (apic_id, data.hex())])))
    note = f"a state for the processor with APIC id {apic_id} was recorded; there is one processor, and it never starts"
    return (SetVmi(recorded), Note(note))


def unsupported(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    name = call.info.name
    need = UNSUPPORTED[name]
    return (
        End(
            Why.UNSUPPORTED,
            detail=f"the guest called VMI {name} (number {call.number} of {call.generation}.x) at {call.site:08x}, "
            f"which needs {need}: pvtrace has none",
        ),
    )


HANDLERS: Final[dict[str, Handler]] = {
    "APICRead": read,
    "APICWrite": write,
    "SetInitialAPState": set_initial_ap_state,
    **dict.fromkeys(UNSUPPORTED, unsupported),
}
