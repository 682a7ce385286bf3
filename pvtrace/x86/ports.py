"""IN, OUT, INS and OUTS: permission, and the effects of one iteration.

The port itself is read and written by whoever applies the effects; nothing here knows a device.
"""

from typing import Final

from pvtrace.model.exits import PortRead, PortWrite
from pvtrace.model.registers import Gpr, Seg
from pvtrace.x86 import eflags
from pvtrace.x86.disasm import Instruction, decode
from pvtrace.x86.effects import Effect, Effects, Raise, ReadPort, SetEip, SetGpr, WritePort
from pvtrace.x86.exceptions import GP
from pvtrace.x86.operands import MASK32, code_bits, is_user, next_eip
from pvtrace.x86.results import Result
from pvtrace.x86.tss import io_allowed
from pvtrace.x86.view import View

_REFUSED: Final[Effects] = (Raise(GP, 0),)


def port_read(view: View, exit_: PortRead) -> Result:
    """IN to AL, AX or EAX, or one iteration of INS. May raise PageFault."""
    if exit_.string:
        return _string(view, exit_)
    if not io_allowed(view, exit_.port, exit_.width):
        return Result("IN", _REFUSED, operand=exit_.port)
    effects = (ReadPort(exit_.port, exit_.width, Gpr.EAX), SetEip(next_eip(view, exit_.length)))
    return Result("IN", effects, operand=exit_.port)


def port_write(view: View, exit_: PortWrite) -> Result:
    """OUT of AL, AX or EAX, or one iteration of OUTS. May raise PageFault."""
    if exit_.string:
        return _string(view, exit_)
    if not io_allowed(view, exit_.port, exit_.width):
        return Result("OUT", _REFUSED, operand=exit_.port, value=exit_.value)
    effects = (WritePort(exit_.port, exit_.width, exit_.value), SetEip(next_eip(view, exit_.length)))
    return Result("OUT", effects, operand=exit_.port, value=exit_.value)


def _part(view: View, register: Gpr, size: int) -> int:
    return view.gpr(register) & (MASK32 if size == 4 else 0xFFFF)


def _update(view: View, register: Gpr, delta: int, size: int) -> SetGpr:
    """Move an index or count register; a 16-bit one keeps its upper half."""
    old = view.gpr(register)
    mask = MASK32 if size == 4 else 0xFFFF
    return SetGpr(register, (old & ~mask & MASK32) | ((old + delta) & mask))


def _string(view: View, exit_: PortRead | PortWrite) -> Result:
    start = (view.segment(Seg.CS).base + view.eip) & MASK32
    instruction = decode(view.read(start, exit_.length), code_bits(view))
    name = "INS" if isinstance(exit_, PortRead) else "OUTS"
    size = instruction.address_size
    if exit_.rep and _part(view, Gpr.ECX, size) == 0:
        return Result(name, (SetEip(next_eip(view, exit_.length)),), operand=exit_.port)
    if not io_allowed(view, exit_.port, exit_.width):
        return Result(name, _REFUSED, operand=exit_.port)
    index = Gpr.EDI if isinstance(exit_, PortRead) else Gpr.ESI
    address = (_segment_base(view, instruction, exit_) + _part(view, index, size)) & MASK32
    user = is_user(view)
    value: int | None = None
    if isinstance(exit_, PortRead):
        transfer: Effect = ReadPort(exit_.port, exit_.width, address=address, user=user)
    else:
        value = int.from_bytes(view.read(address, exit_.width, user), "little")
        transfer = WritePort(exit_.port, exit_.width, value)
    delta = -exit_.width if view.eflags & eflags.DF else exit_.width
    moved = _update(view, index, delta, size)
    # A REP form stays at its own address: the dispatch that finds the count at zero is the one that leaves it.
    last = _update(view, Gpr.ECX, -1, size) if exit_.rep else SetEip(next_eip(view, exit_.length))
    return Result(name, (transfer, moved, last), operand=exit_.port, value=value)


def _segment_base(view: View, instruction: Instruction, exit_: PortRead | PortWrite) -> int:
    """INS always stores through ES; OUTS reads through DS or the overriding segment."""
    if isinstance(exit_, PortRead):
        return view.segment(Seg.ES).base
    override = instruction.override
    return view.segment(Seg.DS if override is None else override).base
