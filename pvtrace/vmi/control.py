"""Control and debug registers, caches, processor information and MSRs (vmi: control-register and core calls).

Each of these calls does what one instruction does; pvtrace.x86 says what that is. A register that refuses the value
raises at the call site.
"""

from typing import Final

from pvtrace.model.registers import Gpr
from pvtrace.model.stops import Why
from pvtrace.vmi.call import Call, Handler, as_call, fault, in_eax, in_edx_eax, wide
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.control_instructions import TS, read_dr, write_cr, write_dr
from pvtrace.x86.cpuid import cpuid as cpuid_leaf
from pvtrace.x86.effects import End, Note, SetCr, SetGpr
from pvtrace.x86.exceptions import GP
from pvtrace.x86.machine_specific import has_apic, read_msr, tsc, write_msr
from pvtrace.x86.view import View

DEBUG_REGISTERS: Final = 8
COUNTERS: Final = 2
"""Performance counters, as on the P6."""


def cpuid(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """The one call whose results are in four registers, as the instruction's are."""
    order = (Gpr.EAX, Gpr.EBX, Gpr.ECX, Gpr.EDX)
    leaf = cpuid_leaf(call.eax, apic=has_apic(view.system))
    return tuple(SetGpr(register, value) for register, value in zip(order, leaf, strict=True))


def rdtsc(_call: Call, view: View, _state: VmiState) -> VmiEffects:
    return in_edx_eax(tsc(view))


def rdpmc(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """The counters are never programmed and stay at zero."""
    return in_edx_eax(0) if call.ecx < COUNTERS else fault(call, view, GP, 0)


def rdmsr(call: Call, view: View, _state: VmiState) -> VmiEffects:
    value = read_msr(view, call.ecx)
    return fault(call, view, GP, 0) if value is None else in_edx_eax(value)


def wrmsr(call: Call, view: View, _state: VmiState) -> VmiEffects:
    effect = write_msr(view, call.ecx, wide(call.eax, call.edx))
    return fault(call, view, GP, 0) if effect is None else (effect,)


def _get_cr(number: int) -> Handler:
    def handler(_call: Call, view: View, _state: VmiState) -> VmiEffects:
        return in_eax(view.cr(number))

    return handler


def _set_cr(number: int) -> Handler:
    def handler(call: Call, view: View, _state: VmiState) -> VmiEffects:
        return as_call(call, view, write_cr(view, number, call.eax))

    return handler


def clts(_call: Call, view: View, _state: VmiState) -> VmiEffects:
    return (SetCr(0, view.cr(0) & ~TS),)


def get_dr(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """A number that is no register reads 0."""
    return in_eax(read_dr(view, call.eax) if call.eax < DEBUG_REGISTERS else 0)


def set_dr(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """A number that is no register is ignored."""
    if call.eax < DEBUG_REGISTERS:
        return (write_dr(view, call.eax, call.edx),)
    return (Note(f"SetDR names debug register {call.eax:#x}, which does not exist, and is ignored"),)


def wbinvd(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """There is no cache to write back: memory is always coherent."""
    return ()


def invd(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    detail = f"the guest called VMI INVD at {call.site:08x}, which is invalid in a virtual machine: it loses memory"
    return (End(Why.TERMINATED, detail=detail),)


HANDLERS: Final[dict[str, Handler]] = {
    "CPUID": cpuid,
    "RDTSC": rdtsc,
    "RDPMC": rdpmc,
    "RDMSR": rdmsr,
    "WRMSR": wrmsr,
    **{f"GetCR{number}": _get_cr(number) for number in (0, 2, 3, 4)},
    **{f"SetCR{number}": _set_cr(number) for number in (0, 2, 3, 4)},
    "CLTS": clts,
    "GetDR": get_dr,
    "SetDR": set_dr,
    "WBINVD": wbinvd,
    "INVD": invd,
}
