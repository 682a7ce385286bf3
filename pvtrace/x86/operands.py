"""Where an instruction's operands are: effective and linear addresses, the current stack, reads of r/m operands.

Pure functions over a View; stores are returned as effects. Stack accesses check the limit of SS, others none: the CPU
below does not check data limits either, and one rule must hold for all.
"""

from collections.abc import Sequence
from typing import Final

from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import CODE, EXPAND_DOWN, NOT_SYSTEM, SegmentFault
from pvtrace.x86.disasm import Instruction, Memory
from pvtrace.x86.effects import Effect, SetEip, SetGpr, WriteMemory
from pvtrace.x86.exceptions import SS
from pvtrace.x86.view import PageFault, View

MASK32: Final = 0xFFFFFFFF

PRESENT: Final = 1 << 0
WRITE: Final = 1 << 1
"""Bits of a page fault's error code (SDM volume 3, 4.7)."""


def code_bits(view: View) -> int:
    """16 or 32: the default size of the code segment."""
    return 32 if view.segment(Seg.CS).big else 16


def next_eip(view: View, length: int) -> int:
    """The offset of the instruction behind one of `length` bytes."""
    return (view.eip + length) & (MASK32 if code_bits(view) == 32 else 0xFFFF)


def advance(view: View, instruction: Instruction) -> SetEip:
    return SetEip(next_eip(view, instruction.length))


def effective_address(view: View, memory: Memory, address_size: int) -> int:
    """The offset in its segment (SDM volume 1, 3.7.5), cut to the address size."""
    total = memory.displacement
    if memory.base is not None:
        total += view.gpr(memory.base)
    if memory.index is not None:
        total += view.gpr(memory.index) * memory.scale
    return total & (MASK32 if address_size == 4 else 0xFFFF)


def linear_address(view: View, memory: Memory, address_size: int) -> int:
    return (view.segment(memory.segment).base + effective_address(view, memory, address_size)) & MASK32


def is_user(view: View) -> bool:
    """Whether ordinary accesses are made with user rights."""
    return view.cpl == 3


def read_rm16(view: View, instruction: Instruction) -> int:
    """A 16-bit r/m operand."""
    if instruction.memory is None:
        return view.gpr(instruction.rm) & 0xFFFF
    address = linear_address(view, instruction.memory, instruction.address_size)
    return int.from_bytes(view.read(address, 2, is_user(view)), "little")


def store_rm16(view: View, instruction: Instruction, value: int) -> Effect:
    """Store as SLDT, STR and SMSW do: 16 bits to memory, the operand size to a register, upper bits as in `value`."""
    if instruction.memory is None:
        old = view.gpr(instruction.rm)
        wide = instruction.operand_size == 4
        return SetGpr(instruction.rm, value if wide else (old & 0xFFFF0000) | (value & 0xFFFF))
    address = linear_address(view, instruction.memory, instruction.address_size)
    return WriteMemory(address, (value & 0xFFFF).to_bytes(2, "little"), is_user(view))


def within(segment: Segment, offset: int, size: int) -> bool:
    """Whether the bytes [offset, offset + size) lie inside the segment's limit (SDM volume 3, 5.3)."""
    last = offset + size - 1
    if segment.attributes & (NOT_SYSTEM | CODE | EXPAND_DOWN) == NOT_SYSTEM | EXPAND_DOWN:
        return segment.limit < offset and last <= (MASK32 if segment.big else 0xFFFF)
    return last <= segment.limit


def stack_mask(stack: Segment) -> int:
    return MASK32 if stack.big else 0xFFFF


def with_sp(view: View, stack: Segment, pointer: int) -> int:
    """All of ESP when a stack of this size moves its pointer there: a 16-bit stack keeps the upper half."""
    return pointer if stack.big else (view.gpr(Gpr.ESP) & 0xFFFF0000) | (pointer & 0xFFFF)


def read_stack(view: View, offset: int, size: int, count: int) -> list[int]:
    """`count` values of `size` bytes from the current stack, beginning `offset` bytes above its top.

    SegmentFault #SS(0) beyond the limit; PageFault as any read. One read for all unless the pointer wraps.
    """
    stack = view.segment(Seg.SS)
    mask = stack_mask(stack)
    start = (view.gpr(Gpr.ESP) + offset) & mask
    offsets = [(start + index * size) & mask for index in range(count)]
    if not all(within(stack, each, size) for each in offsets):
        raise SegmentFault(SS, 0)
    user = is_user(view)
    if offsets[-1] < start:
        return [int.from_bytes(view.read((stack.base + each) & MASK32, size, user), "little") for each in offsets]
    raw = view.read((stack.base + start) & MASK32, size * count, user)
    return [int.from_bytes(raw[index : index + size], "little") for index in range(0, size * count, size)]


def push(
    stack: Segment, pointer: int, values: Sequence[int], size: int, *, user: bool, error: int = 0
) -> tuple[tuple[WriteMemory, ...], int]:
    """The stores that push `values` in this order, and the pointer after them (cut to the stack's size).

    SegmentFault #SS(`error`) if they do not fit the limit.
    """
    mask = stack_mask(stack)
    writes = []
    for value in values:
        pointer = (pointer - size) & mask
        if not within(stack, pointer, size):
            raise SegmentFault(SS, error)
        data = (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")
        writes.append(WriteMemory((stack.base + pointer) & MASK32, data, user))
    return tuple(writes), pointer


def check_store(view: View, address: int, size: int) -> None:
    """Raise the page fault of a supervisor's store before it is made, when what comes with it cannot be undone."""
    if view.writable(address, size):
        return
    for byte in range(address, address + size):
        if not view.writable(byte & MASK32, 1):
            try:
                view.read(byte & MASK32, 1)
            except PageFault as refused:
                raise PageFault(refused.address, refused.error | WRITE) from None
            raise PageFault(byte & MASK32, PRESENT | WRITE)


def is_protected(view: View) -> bool:
    """Protected mode proper: neither real nor virtual-8086."""
    return bool(view.cr(0) & 1) and not view.eflags & eflags.VM


def is_v8086(view: View) -> bool:
    return bool(view.eflags & eflags.VM)


def may_use_privileged(view: View) -> bool:
    """Whether privileged instructions are performed: at CPL 0, and for the kernel of a paravirtual guest."""
    return view.cpl == 0 or (view.system.paravirtual and view.cpl < 3)
