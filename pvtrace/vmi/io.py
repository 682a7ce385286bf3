"""Port calls, and what a kernel grants to its user mode in virtual IOPL (vmi: I/O calls).

A port call is the kernel's own: no permission is checked. The string forms move at most CHUNK elements and then stay
at the call, as REP does, until ECX is zero; registers advance with each element, so a fault in the midst of the buffer
leaves the call to be continued.
"""

from typing import Final

from pvtrace.model.registers import Gpr
from pvtrace.vmi.call import Call, Handler
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import Effect, ReadPort, SetEip, SetFlags, SetGpr, WritePort
from pvtrace.x86.eflags import DF, IOPL
from pvtrace.x86.operands import MASK32
from pvtrace.x86.view import PageFault, View

CHUNK: Final = 256
"""Elements that one dispatch of a string call moves at most, so that no call runs without bound."""


def _port(call: Call) -> int:
    return call.edx & 0xFFFF


def _in(width: int) -> Handler:
    def handler(call: Call, _view: View, _state: VmiState) -> VmiEffects:
        """EAX is the whole result: the bits above `width` are zero."""
        return (ReadPort(_port(call), width, Gpr.EAX, zero_extend=True),)

    return handler


def _out(width: int) -> Handler:
    def handler(call: Call, _view: View, _state: VmiState) -> VmiEffects:
        return (WritePort(_port(call), width, call.eax & (1 << 8 * width) - 1),)

    return handler


def _stride(view: View, width: int) -> int:
    return -width if view.eflags & DF else width


def _again(call: Call, view: View) -> VmiEffects:
    """Stay at the entry point while there is more to move than this dispatch moved."""
    return (SetEip(view.eip),) if call.ecx > CHUNK else ()


def _ins(width: int) -> Handler:
    def handler(call: Call, view: View, _state: VmiState) -> VmiEffects:
        stride = _stride(view, width)
        start = view.gpr(Gpr.EDI)
        effects: list[Effect] = []
        for done in range(min(call.ecx, CHUNK)):
            address = start + done * stride & MASK32
            effects += [
                ReadPort(_port(call), width, address=address),
                SetGpr(Gpr.EDI, address + stride & MASK32),
                SetGpr(Gpr.ECX, call.ecx - done - 1),
            ]
        return (*effects, *_again(call, view))

    return handler


def _outs(width: int) -> Handler:
    def handler(call: Call, view: View, _state: VmiState) -> VmiEffects:
        stride = _stride(view, width)
        start = view.gpr(Gpr.ESI)
        effects: list[Effect] = []
        for done in range(min(call.ecx, CHUNK)):
            address = start + done * stride & MASK32
            try:
                value = int.from_bytes(view.read(address, width), "little")
            except PageFault:
                if not effects:
                    raise
                return (*effects, SetEip(view.eip))  # what was read is written; the next dispatch faults
            effects += [
                WritePort(_port(call), width, value),
                SetGpr(Gpr.ESI, address + stride & MASK32),
                SetGpr(Gpr.ECX, call.ecx - done - 1),
            ]
        return (*effects, *_again(call, view))

    return handler


def io_delay(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """Virtual time passes with the step itself."""
    return ()


def set_iopl_mask(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    return (SetFlags(call.eax & IOPL, IOPL),)


HANDLERS: Final[dict[str, Handler]] = {
    "IN": _in(4),
    "INB": _in(1),
    "INW": _in(2),
    "INS": _ins(4),
    "INSB": _ins(1),
    "INSW": _ins(2),
    "OUT": _out(4),
    "OUTB": _out(1),
    "OUTW": _out(2),
    "OUTS": _outs(4),
    "OUTSB": _outs(1),
    "OUTSW": _outs(2),
    "SetIOPLMask": set_iopl_mask,
    "IODelay": io_delay,
}
