"""Control and debug registers, caches, processor information and MSRs (vmi: control-register and core calls).

Each of these calls is one instruction with the same registers, so each is that instruction's machine code. Written
differently: INVD, which no virtual machine may execute, and the debug registers, whose number is an argument.
"""

from typing import Final

from pvtrace.model.stops import Why
from pvtrace.vmi.call import Call, Handler, in_eax
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.site import as_instruction
from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import End, Note
from pvtrace.x86.view import View

INSTRUCTIONS: Final = {
    "CPUID": "0fa2",
    "RDTSC": "0f31",
    "RDPMC": "0f33",
    "RDMSR": "0f32",
    "WRMSR": "0f30",
    "SetCR0": "0f22c0",
    "SetCR2": "0f22d0",
    "SetCR3": "0f22d8",
    "SetCR4": "0f22e0",
    "GetCR0": "0f20c0",
    "GetCR2": "0f20d0",
    "GetCR3": "0f20d8",
    "GetCR4": "0f20e0",
    "CLTS": "0f06",
    "WBINVD": "0f09",
}
"""Machine code of the instruction that the call replaces; operands in EAX, or in the instruction's own registers."""

DEBUG_REGISTERS: Final = 8


def _instruction(code: bytes) -> Handler:
    def handler(call: Call, view: View, _state: VmiState) -> VmiEffects:
        return as_instruction(call, view, code)

    return handler


def _debug_register(opcode: int, number: int, register: int) -> bytes:
    """MOV to or from a debug register (SDM volume 2, MOV)."""
    return bytes((0x0F, opcode, 0xC0 | number << 3 | register))


def set_dr(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """MOV DRn, EDX. A number that is none is ignored."""
    if call.eax >= DEBUG_REGISTERS:
        return (Note(f"SetDR names debug register {call.eax:#x}, which does not exist, and is ignored"),)
    return as_instruction(call, view, _debug_register(0x23, call.eax, 2))


def get_dr(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """MOV EAX, DRn. A number that is none reads 0."""
    if call.eax >= DEBUG_REGISTERS:
        return in_eax(0)
    return as_instruction(call, view, _debug_register(0x21, call.eax, 0))


def invd(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    detail = (
        f"the guest called VMI INVD at {call.site:08x}, which throws memory away and is invalid in a virtual machine"
    )
    return (End(Why.TERMINATED, detail=detail),)


HANDLERS: Final[dict[str, Handler]] = {
    **{name: _instruction(bytes.fromhex(code)) for name, code in INSTRUCTIONS.items()},
    "SetDR": set_dr,
    "GetDR": get_dr,
    "INVD": invd,
}
