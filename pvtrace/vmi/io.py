"""Port calls, and what a kernel grants to its user mode in virtual IOPL (vmi: I/O calls).

A port call is the kernel's own: no permission is checked. The string forms move at most CHUNK elements and then stay
at the call, as REP does, until ECX is zero; registers advance with each element, so a fault in the midst of the buffer
leaves the call to be continued.
"""

from collections.abc import Callable
from typing import Final

from pvtrace.model.registers import Gpr
from pvtrace.vmi.call import Call, Handler
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import Effect, ReadPort, SetEip, SetFlags, SetGpr, WritePort
from pvtrace.x86.eflags import DF, IOPL
from pvtrace.x86.operands import MASK32, check_store
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


def _string(call: Call, view: View, width: int, index: Gpr, transfer: Callable[[int], Effect]) -> VmiEffects:
    """Move elements by `transfer`, a function of an element's address that may raise PageFault.

    A fault behind the first element ends this dispatch early; the next one meets it again, at its beginning.
    """
    stride = -width if view.eflags & DF else width
    address = view.gpr(index)
    effects: list[Effect] = []
    for left in range(call.ecx - 1, max(call.ecx - CHUNK, 0) - 1, -1):
        try:
            moved = transfer(address)
        except PageFault:
            if not effects:
                raise
            return (*effects, SetEip(view.eip))
        address = address + stride & MASK32
        effects += [moved, SetGpr(index, address), SetGpr(Gpr.ECX, left)]
    return (*effects, SetEip(view.eip)) if call.ecx > CHUNK else tuple(effects)


def _ins(width: int) -> Handler:
    def handler(call: Call, view: View, _state: VmiState) -> VmiEffects:
        def transfer(address: int) -> Effect:
            """What a device has given cannot be put back."""
            check_store(view, address, width)
            return ReadPort(_port(call), width, address=address)

        return _string(call, view, width, Gpr.EDI, transfer)

    return handler


def _outs(width: int) -> Handler:
    def handler(call: Call, view: View, _state: VmiState) -> VmiEffects:
        def transfer(address: int) -> Effect:
            return WritePort(_port(call), width, int.from_bytes(view.read(address, width), "little"))

        return _string(call, view, width, Gpr.ESI, transfer)

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
