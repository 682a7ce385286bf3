"""What an intercepted instruction is, as far as the kinds of Exit need. Pure; what it means is decided in x86."""

from typing import Final, Protocol

from pvtrace.model.exits import Exit, Halt, Hypercall, PortRead, PortWrite, Sensitive, SoftInt
from pvtrace.model.registers import Gpr, Seg, Segment

LONGEST: Final = 15
"""Bytes of an instruction."""

_HYPERCALL: Final = Hypercall(3)
_VMCALL: Final = b"\x0f\x01\xc1"
_OF: Final = 1 << 11
_VM: Final = 1 << 17
_OPERAND_SIZE: Final = 0x66
_PREFIXES: Final = frozenset(b"\x66\x67\x2e\x36\x3e\x26\x64\x65\xf0\xf2\xf3")


class Looked(Protocol):
    """What is looked at: a CPU at the instruction."""

    eip: int
    eflags: int

    def gpr(self, register: int) -> int: ...
    def cr(self, number: int) -> int: ...
    def segment(self, register: int) -> Segment: ...
    def peek(self, address: int, size: int) -> bytes: ...


def code_at(cpu: Looked) -> bytes:
    """The bytes at EIP, as far as an instruction can reach and they can be read."""
    return cpu.peek((cpu.eip + cpu.segment(Seg.CS).base) & 0xFFFFFFFF, LONGEST)


def code_bits(cpu: Looked) -> int:
    """16 or 32: what the code segment says of sizes."""
    return 32 if cpu.segment(Seg.CS).big and cpu.cr(0) & 1 and not cpu.eflags & _VM else 16


def recognise(cpu: Looked) -> Exit:
    """The exit of the instruction at EIP, which is intercepted."""
    code = code_at(cpu)
    if code.startswith(_VMCALL):
        return _HYPERCALL
    start = 0
    rep = wide = False
    while code[start] in _PREFIXES:
        rep |= code[start] in b"\xf2\xf3"
        wide |= code[start] == _OPERAND_SIZE
        start += 1
    opcode, length = code[start], start + 1
    match opcode:
        case 0xE4 | 0xE5:
            return PortRead(code[length], _width(cpu, opcode, wide), length + 1)
        case 0xEC | 0xED:
            return PortRead(_port(cpu), _width(cpu, opcode, wide), length)
        case 0xE6 | 0xE7:
            width = _width(cpu, opcode, wide)
            return PortWrite(code[length], width, _accumulator(cpu, width), length + 1)
        case 0xEE | 0xEF:
            width = _width(cpu, opcode, wide)
            return PortWrite(_port(cpu), width, _accumulator(cpu, width), length)
        case 0x6C | 0x6D:
            return PortRead(_port(cpu), _width(cpu, opcode, wide), length, string=True, rep=rep)
        case 0x6E | 0x6F:
            return PortWrite(_port(cpu), _width(cpu, opcode, wide), 0, length, string=True, rep=rep)
        case 0xCC:
            return SoftInt(3, length)
        case 0xCD:
            return SoftInt(code[length], length + 1)
        case 0xCE if cpu.eflags & _OF:
            return SoftInt(4, length)
        case 0xF4:
            return Halt(length)
        case 0x0F if code.startswith(_VMCALL, start):
            return Hypercall(start + len(_VMCALL))
        case _:
            return Sensitive(code)


def _port(cpu: Looked) -> int:
    return cpu.gpr(Gpr.EDX) & 0xFFFF


def _width(cpu: Looked, opcode: int, wide: bool) -> int:
    """Of an access to a port: bit 0 of the opcode is clear for one of a byte."""
    if not opcode & 1:
        return 1
    return 2 if (code_bits(cpu) == 16) != wide else 4


def _accumulator(cpu: Looked, width: int) -> int:
    return cpu.gpr(Gpr.EAX) & ((1 << 8 * width) - 1)
