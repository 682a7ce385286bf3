"""One VMI call as the machine hands it over, and the few shapes that every answer is made of.

Knows the calling convention (section "calling conventions": the first three words in EAX, EDX, ECX, the rest above the
return address; results in EAX or EDX:EAX) and nothing of any single call.
"""

from collections.abc import Callable
from typing import NamedTuple

from pvtrace.model.registers import Gpr
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import Effects, Raise, SetEip, SetGpr
from pvtrace.x86.exceptions import PF
from pvtrace.x86.operands import MASK32
from pvtrace.x86.view import PageFault, View
from rom.abi import CallInfo, Generation


class Call(NamedTuple):
    """A call at its entry point.

    `stack`: the two words above the return address. `site`: address of the five-byte CALL that led here, which is
    where the native instruction was. `esp`: at the entry, pointing at the return address.
    """

    generation: Generation
    number: int
    info: CallInfo
    eax: int
    edx: int
    ecx: int
    stack: tuple[int, int]
    site: int
    return_eip: int
    esp: int


Handler = Callable[[Call, View, VmiState], VmiEffects]


def in_eax(value: int) -> VmiEffects:
    """A 32-bit result."""
    return (SetGpr(Gpr.EAX, value & MASK32),)


def in_edx_eax(value: int) -> VmiEffects:
    """A 64-bit result."""
    return (SetGpr(Gpr.EAX, value & MASK32), SetGpr(Gpr.EDX, value >> 32 & MASK32))


def wide(low: int, high: int) -> int:
    """A 64-bit argument from its two words."""
    return low | high << 32


def fault(call: Call, view: View, vector: int, error: int | None, address: int | None = None) -> VmiEffects:
    """The call raises an exception: at its site, with the return address dropped, as the instruction there would.

    With the latitude of fault-eip, where it was met: in the ROM, with the return address still on the stack.
    """
    raised = Raise(vector, error, address)
    return (raised,) if view.latitude.fault_eip else (*at_site(call), raised)


def at_site(call: Call) -> VmiEffects:
    """Back to the call site, as if the call had not been made."""
    return (SetEip(call.site), SetGpr(Gpr.ESP, call.esp + 4 & MASK32))


def page_fault(call: Call, view: View, refused: PageFault) -> VmiEffects:
    """What becomes of a call whose handler, or one of whose effects, meets a page that refuses it."""
    return fault(call, view, PF, refused.error, refused.address)


def as_call(call: Call, view: View, effects: Effects) -> VmiEffects:
    """The effects of what an instruction would do there; if it raises an exception, the call does."""
    match effects:
        case (*_, Raise(vector, error, address)):
            return fault(call, view, vector, error, address)
        case _:
            return effects
