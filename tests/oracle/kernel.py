"""What a test does about exits: the smallest processor that can run a kernel with ring 3, and a machine that skips."""

from collections.abc import Sequence
from typing import Final

from pvtrace.model.exits import Exit, Fault, Halt, Sensitive, SoftInt
from pvtrace.model.registers import Gpr, Seg
from tests.oracle.guest import CODE0, DATA0, AnyCpu, React, flat
from tests.oracle.oracle_cpu import NoMemory
from tests.oracle.streams import TABLE
from tests.oracle.workloads import HANDLERS

KERNEL_STACK: Final = 0x38F00
PAGE_FAULT: Final = 14
_TRAP: Final = 1
_LAZY_PAGE: Final = 0x22


def deliver(cpu: AnyCpu, vector: int, error: int | None, back: int) -> bool:
    """Enter the handler with a frame as the hardware makes it. False if there is no handler."""
    handler = int.from_bytes(cpu.read_physical(HANDLERS + 4 * vector, 4), "little")
    if not handler:
        return False
    frame = [cpu.eflags, cpu.segment(Seg.CS).selector, back]
    stack = cpu.gpr(Gpr.ESP)
    if cpu.cpl:
        frame = [cpu.segment(Seg.SS).selector, stack, *frame]
        stack = KERNEL_STACK
        cpu.set_segment(Seg.SS, flat(DATA0))
    for value in (*frame, *(() if error is None else (error,))):
        stack -= 4
        cpu.write(stack, value.to_bytes(4, "little"))
    cpu.set_segment(Seg.CS, flat(CODE0))
    cpu.set_gpr(Gpr.ESP, stack)
    cpu.eip = handler
    return True


def interrupt_return(cpu: AnyCpu) -> None:
    """IRET, to the same ring or to ring 3."""
    stack = cpu.gpr(Gpr.ESP)
    eip, cs, flags, esp, ss = (int.from_bytes(cpu.read(stack + 4 * n, 4), "little") for n in range(5))
    outwards = cs & 3 > cpu.cpl
    cpu.set_segment(Seg.CS, flat(cs))
    if outwards:
        cpu.set_segment(Seg.SS, flat(ss))
    cpu.set_gpr(Gpr.ESP, esp if outwards else stack + 12)
    cpu.eflags = flags
    cpu.eip = eip


def kernel(cpu: AnyCpu, found: Exit | NoMemory) -> bool:
    """Delivers faults and INT n, performs IRET and MOV from CR2. HLT ends."""
    match found:
        case Fault(vector, error, address):
            if address is not None:
                cpu.set_cr(2, address)
            return deliver(cpu, vector, error, cpu.eip)
        case SoftInt(vector, length):
            return deliver(cpu, vector, None, cpu.eip + length)
        case Sensitive(code) if code[0] == 0xCF:
            interrupt_return(cpu)
            return True
        case Sensitive(code) if code[:3] == b"\x0f\x20\xd0":
            cpu.set_gpr(Gpr.EAX, cpu.cr(2))
            cpu.eip += 3
            return True
        case _:
            return False


def skipping(boundaries: Sequence[int], to_the_end: bool = True) -> React:
    """Goes on at the next of these addresses; makes the page that is absent at first present. HLT may end the run."""

    def react(cpu: AnyCpu, found: Exit | NoMemory) -> bool:
        if isinstance(found, Halt) and not to_the_end:
            return False
        if isinstance(found, Fault):
            if found.vector == _TRAP:
                return True
            size = 8 if cpu.cr(4) & 0x20 else 4
            at = TABLE + size * _LAZY_PAGE
            entry = cpu.read_physical(at, 1)[0]
            if found.vector == PAGE_FAULT and (found.address or 0) >> 12 == _LAZY_PAGE and entry & 7 == 6:
                cpu.write_physical(at, bytes((entry | 1,)))
                return True
        later = [address for address in boundaries if address > cpu.eip]
        if later:
            cpu.eip = later[0]
        return bool(later)

    return react
