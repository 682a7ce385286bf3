"""Instructions about segments that the CPU runs itself: what they do, asked about any view (SDM volume 2 for each).

LAR, LSL, VERR, VERW, ARPL, MOV from and PUSH of a segment register never fault for a privilege level; they only show
it. MOV and POP to a segment register, LDS, LES, LFS, LGS and LSS check it. The machine performs none of these; what is
said here is what its CPU does, which checks no limit of a stack or data segment on the way. The shadow behind a load of
SS is no effect.
"""

from collections.abc import Callable, Mapping
from typing import Final

from pvtrace.model.registers import Gpr, Seg
from pvtrace.x86 import descriptors, eflags
from pvtrace.x86.descriptors import SegmentFault, SystemType
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.effects import Effects, Raise, SetFlags, SetGpr, SetSegment, WriteMemory
from pvtrace.x86.exceptions import GP, NP, SS, UD
from pvtrace.x86.operands import (
    MASK32,
    advance,
    is_protected,
    is_user,
    linear_address,
    read_rm16,
    stack_mask,
    store_rm16,
    with_sp,
)
from pvtrace.x86.results import Result
from pvtrace.x86.view import View

PUSHED: Final[Mapping[bytes, Seg]] = {
    b"\x06": Seg.ES,
    b"\x0e": Seg.CS,
    b"\x16": Seg.SS,
    b"\x1e": Seg.DS,
    b"\x0f\xa0": Seg.FS,
    b"\x0f\xa8": Seg.GS,
}
POPPED: Final[Mapping[bytes, Seg]] = {
    b"\x07": Seg.ES,
    b"\x17": Seg.SS,
    b"\x1f": Seg.DS,
    b"\x0f\xa1": Seg.FS,
    b"\x0f\xa9": Seg.GS,
}
POINTED: Final[Mapping[bytes, Seg]] = {
    b"\xc4": Seg.ES,
    b"\xc5": Seg.DS,
    b"\x0f\xb2": Seg.SS,
    b"\x0f\xb4": Seg.FS,
    b"\x0f\xb5": Seg.GS,
}
"""PUSH Sreg, POP Sreg, and LES, LDS, LSS, LFS, LGS: opcode to segment register."""

STORE: Final = b"\x8c"
LOAD: Final = b"\x8e"
"""MOV r/m, Sreg and MOV Sreg, r/m."""

_LIMITED: Final = (SystemType.TSS16, SystemType.LDT, SystemType.TSS16_BUSY, SystemType.TSS32, SystemType.TSS32_BUSY)
_GATES: Final = (SystemType.CALL_GATE16, SystemType.TASK_GATE, SystemType.CALL_GATE32)
"""The system descriptors that LSL accepts; LAR accepts these gates as well (SDM volume 2, tables 3-53 and 3-56)."""


def _undefined(instruction: Instruction) -> Result:
    return Result(instruction.mnemonic, (Raise(UD),))


# ---------------------------------------------------------------------- what shows descriptors


def lar(view: View, instruction: Instruction) -> Result:
    def rights(_low: int, high: int) -> int:
        return high & descriptors.ATTRIBUTES

    return _show(view, instruction, (*_LIMITED, *_GATES), rights)


def lsl(view: View, instruction: Instruction) -> Result:
    def limit(low: int, high: int) -> int:
        return descriptors.segment_from_descriptor(0, low, high).limit

    return _show(view, instruction, _LIMITED, limit)


def _show(
    view: View, instruction: Instruction, kinds: tuple[SystemType, ...], shown: Callable[[int, int], int]
) -> Result:
    """LAR and LSL: something of a visible descriptor goes to a register; `kinds`: of those with S = 0."""
    name = instruction.mnemonic
    if not is_protected(view):
        return _undefined(instruction)
    selector = read_rm16(view, instruction)
    entry = _visible(view, selector)
    if entry is None or descriptors.system_type(entry[1]) not in (None, *kinds):
        return _answer(view, instruction, selector, found=False)
    value, old = shown(*entry), view.gpr(instruction.reg)
    value = value if instruction.operand_size == 4 else (old & 0xFFFF0000) | (value & 0xFFFF)
    effects = (SetGpr(instruction.reg, value), *_answer(view, instruction, selector, found=True).effects)
    return Result(name, effects, operand=selector, value=value)


def verify(view: View, instruction: Instruction) -> Result:
    """VERR and VERW: whether the segment is readable or writable from here."""
    if not is_protected(view):
        return _undefined(instruction)
    selector = read_rm16(view, instruction)
    entry = _visible(view, selector)
    if entry is None:
        found = False
    elif instruction.mnemonic == "VERR":
        found = _is_readable(entry[1])
    else:
        found = descriptors.is_writable_data(entry[1])
    return _answer(view, instruction, selector, found=found)


def _visible(view: View, selector: int) -> tuple[int, int] | None:
    """The selector's descriptor, if there is one that CPL and RPL may know of."""
    entry = None if descriptors.is_null(selector) else descriptors.fetch(view, selector)
    return entry if entry is not None and _may_use(view, selector, entry[1]) else None


def _may_use(view: View, selector: int, high: int) -> bool:
    return descriptors.is_conforming(high) or descriptors.dpl(high) >= max(view.cpl, selector & 3)


def _is_readable(high: int) -> bool:
    """A data segment, or code with its readable bit."""
    if not high & descriptors.NOT_SYSTEM:
        return False
    return not high & descriptors.CODE or bool(high & descriptors.WRITABLE)


def _answer(view: View, instruction: Instruction, selector: int, *, found: bool) -> Result:
    """ZF says whether it was found."""
    effects = (SetFlags(eflags.ZF if found else 0, eflags.ZF), advance(view, instruction))
    return Result(instruction.mnemonic, effects, operand=selector)


# ---------------------------------------------------------------------- what shows selectors


def arpl(view: View, instruction: Instruction) -> Result:
    """The destination's RPL is raised to the source's. Its memory operand is stored to whatever the outcome."""
    if not is_protected(view):
        return _undefined(instruction)
    selector = read_rm16(view, instruction)
    level = view.gpr(instruction.reg) & 3
    raised = selector & 3 < level
    value = selector & ~3 | level if raised else selector
    if instruction.memory is None:
        store: Effects = (SetGpr(instruction.rm, (view.gpr(instruction.rm) & 0xFFFF0000) | value),)
    else:
        store = (store_rm16(view, instruction, value),)
    effects = (*store, *_answer(view, instruction, selector, found=raised).effects)
    return Result("ARPL", effects, operand=selector, value=value)


def push_segment(view: View, instruction: Instruction) -> Result:
    """With a 32-bit operand the upper half is zero."""
    size, stack = instruction.operand_size, view.segment(Seg.SS)
    selector = view.segment(PUSHED[instruction.opcode]).selector
    pointer = (view.gpr(Gpr.ESP) - size) & stack_mask(stack)
    write = WriteMemory((stack.base + pointer) & MASK32, selector.to_bytes(size, "little"), is_user(view))
    effects = (write, SetGpr(Gpr.ESP, with_sp(view, stack, pointer)), advance(view, instruction))
    return Result("PUSH", effects, operand=selector)


def move_segment(view: View, instruction: Instruction) -> Result:
    """MOV from or to a segment register."""
    register = instruction.reg
    if register > Seg.GS or (instruction.opcode == LOAD and register == Seg.CS):
        return _undefined(instruction)
    if instruction.opcode == LOAD:
        return _load(view, instruction, Seg(register), read_rm16(view, instruction))
    selector = view.segment(register).selector
    effects = (store_rm16(view, instruction, selector), advance(view, instruction))
    return Result("MOV SREG", effects, operand=selector)


# ---------------------------------------------------------------------- what loads segment registers


def pop_segment(view: View, instruction: Instruction) -> Result:
    size, stack = instruction.operand_size, view.segment(Seg.SS)
    pointer = view.gpr(Gpr.ESP) & stack_mask(stack)
    raw = view.read((stack.base + pointer) & MASK32, size, is_user(view))
    register, selector = POPPED[instruction.opcode], int.from_bytes(raw[:2], "little")
    above = SetGpr(Gpr.ESP, with_sp(view, stack, (pointer + size) & MASK32))
    return _load(view, instruction, register, selector, (above,))


def load_pointer(view: View, instruction: Instruction) -> Result:
    """LDS, LES, LFS, LGS and LSS: a selector and a register from memory."""
    if instruction.memory is None:
        return _undefined(instruction)
    address, size = linear_address(view, instruction.memory, instruction.address_size), instruction.operand_size
    offset = int.from_bytes(view.read(address, size, is_user(view)), "little")
    selector = int.from_bytes(view.read((address + size) & MASK32, 2, is_user(view)), "little")
    if size == 2:
        offset |= view.gpr(instruction.reg) & 0xFFFF0000
    return _load(view, instruction, POINTED[instruction.opcode], selector, (SetGpr(instruction.reg, offset),))


def _load(view: View, instruction: Instruction, register: Seg, selector: int, also: Effects = ()) -> Result:
    name = instruction.mnemonic
    try:
        effects = loaded(view, register, selector)
    except SegmentFault as fault:
        return Result(name, (Raise(fault.vector, fault.error),), operand=selector)
    return Result(name, (*effects, *also, advance(view, instruction)), operand=selector)


def loaded(view: View, register: Seg, selector: int) -> Effects:
    """A data or stack segment register := selector, with the checks of MOV (SDM volume 2), the descriptor marked
    accessed. Raises SegmentFault, and PageFault while it reads the tables."""
    if not is_protected(view):
        return (SetSegment(register, descriptors.real_mode_segment(selector, view.segment(register))),)
    if descriptors.is_null(selector):
        if register == Seg.SS:
            raise SegmentFault(GP, 0)
        return (SetSegment(register, descriptors.null_segment(selector)),)
    error = selector & 0xFFFC
    address = descriptors.descriptor_address(view, selector)
    entry = descriptors.fetch(view, selector)
    if address is None or entry is None or not _loadable(view, register, selector, entry[1]):
        raise SegmentFault(GP, error)
    low, high = entry
    if not descriptors.is_present(high):
        raise SegmentFault(SS if register == Seg.SS else NP, error)
    marked: Effects = ()
    if not high & descriptors.ACCESSED:
        high |= descriptors.ACCESSED
        marked = (WriteMemory((address + 4) & MASK32, high.to_bytes(4, "little")),)
    return (*marked, SetSegment(register, descriptors.segment_from_descriptor(selector, low, high)))


def _loadable(view: View, register: Seg, selector: int, high: int) -> bool:
    if register == Seg.SS:
        level = view.cpl
        return descriptors.is_writable_data(high) and selector & 3 == level == descriptors.dpl(high)
    return _is_readable(high) and _may_use(view, selector, high)


Handler = Callable[[View, Instruction], Result]

_BY_MNEMONIC: Final[Mapping[str, Handler]] = {
    "LAR": lar,
    "LSL": lsl,
    "VERR": verify,
    "VERW": verify,
    "ARPL": arpl,
    "MOV SREG": move_segment,
}


def handler(instruction: Instruction) -> Handler | None:
    """None for an instruction that is not of this file."""
    if instruction.opcode in PUSHED:
        return push_segment
    if instruction.opcode in POPPED:
        return pop_segment
    if instruction.opcode in POINTED and instruction.memory is not None:
        return load_pointer
    return _BY_MNEMONIC.get(instruction.mnemonic)
