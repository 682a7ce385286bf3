"""RETF, far JMP and far CALL to code, by a call gate too: what they do, asked about any view (SDM volume 2 for each).

The CPU runs them itself; the machine performs none of them. What is said here is what its CPU does.
"""

from collections.abc import Mapping
from typing import Final

from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.x86 import descriptors
from pvtrace.x86.descriptors import SegmentFault, SystemType
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.effects import Effects, Raise, SetEip, SetGpr, SetSegment, WriteMemory
from pvtrace.x86.exceptions import GP, NP, TS
from pvtrace.x86.operands import MASK32, is_protected, is_user, linear_address, next_eip, stack_mask
from pvtrace.x86.results import Result
from pvtrace.x86.returns import nulled_data_segments
from pvtrace.x86.segment_instructions import Handler
from pvtrace.x86.tss import inner_stack
from pvtrace.x86.view import View

_PARAMETERS: Final = 0x1F
"""Of a call gate: how many values are copied to an inner stack."""


def _result(instruction: Instruction, selector: int, effects: Effects) -> Result:
    return Result(instruction.mnemonic, effects, operand=selector)


def _refused(instruction: Instruction, fault: SegmentFault) -> Result:
    return Result(instruction.mnemonic, (Raise(fault.vector, fault.error),))


def _descriptor(view: View, selector: int, vector: int = GP) -> tuple[int, int]:
    entry = descriptors.fetch(view, selector)
    if entry is None:
        raise SegmentFault(vector, selector & 0xFFFC)
    return entry


# ---------------------------------------------------------------------- stacks, without limits


def _popped(view: View, stack: Segment, pointer: int, size: int, count: int) -> list[int]:
    """`count` values from a stack on."""
    mask, user = stack_mask(stack), is_user(view)
    places = [(stack.base + ((pointer + size * index) & mask)) & MASK32 for index in range(count)]
    return [int.from_bytes(view.read(place, size, user), "little") for place in places]


def _pushed(
    stack: Segment, pointer: int, values: tuple[int, ...], size: int, *, user: bool
) -> tuple[tuple[WriteMemory, ...], int]:
    """The stores that push `values` in this order, and the pointer after them."""
    mask, writes = stack_mask(stack), []
    for value in values:
        pointer -= size
        data = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        writes.append(WriteMemory((stack.base + (pointer & mask)) & MASK32, data, user))
    return tuple(writes), pointer & MASK32


def _set_sp(view: View, stack: Segment, pointer: int) -> SetGpr:
    mask = stack_mask(stack)
    return SetGpr(Gpr.ESP, (view.gpr(Gpr.ESP) & ~mask & MASK32) | (pointer & mask))


# ---------------------------------------------------------------------- RETF


def retf(view: View, instruction: Instruction) -> Result:
    """May raise PageFault while it reads the stack or the tables."""
    size, stack, pointer = instruction.operand_size, view.segment(Seg.SS), view.gpr(Gpr.ESP)
    released = instruction.immediate or 0
    eip, selector = _popped(view, stack, pointer, size, 2)
    selector &= 0xFFFF
    pointer += 2 * size + released
    if not is_protected(view):
        code = descriptors.real_mode_segment(selector, view.segment(Seg.CS))
        effects: Effects = (_set_sp(view, stack, pointer), SetSegment(Seg.CS, code), SetEip(eip))
        return _result(instruction, selector, effects)
    try:
        code = _returned_to(view, selector)
        if code.rpl == view.cpl:
            effects = (_set_sp(view, stack, pointer), SetSegment(Seg.CS, code), SetEip(eip))
            return _result(instruction, selector, effects)
        esp, outer = _popped(view, stack, pointer, size, 2)
        outer_stack = _outer_stack(view, outer & 0xFFFF, code.rpl)
    except SegmentFault as fault:
        return _refused(instruction, fault)
    effects = (
        SetSegment(Seg.SS, outer_stack),
        SetSegment(Seg.CS, code),
        *nulled_data_segments(view, code.rpl),
        _set_sp(view, outer_stack, esp + released),
        SetEip(eip),
    )
    return _result(instruction, selector, effects)


def _returned_to(view: View, selector: int) -> Segment:
    """The code segment, after the checks of a return; no limit is checked."""
    if descriptors.is_null(selector):
        raise SegmentFault(GP, 0)
    low, high = _descriptor(view, selector)
    level, dpl = selector & 3, descriptors.dpl(high)
    allowed = dpl <= level if descriptors.is_conforming(high) else dpl == level
    if not descriptors.is_code(high) or level < view.cpl or not allowed:
        raise SegmentFault(GP, selector & 0xFFFC)
    if not descriptors.is_present(high):
        raise SegmentFault(NP, selector & 0xFFFC)
    return descriptors.segment_from_descriptor(selector, low, high)


def _outer_stack(view: View, selector: int, level: int) -> Segment:
    """One that is not present is #NP on this CPU, where the manual has #SS."""
    if descriptors.is_null(selector):
        raise SegmentFault(GP, 0)
    error = selector & 0xFFFC
    if selector & 3 != level:
        raise SegmentFault(GP, error)
    low, high = _descriptor(view, selector)
    if not descriptors.is_writable_data(high) or descriptors.dpl(high) != level:
        raise SegmentFault(GP, error)
    if not descriptors.is_present(high):
        raise SegmentFault(NP, error)
    return descriptors.segment_from_descriptor(selector, low, high)


# ---------------------------------------------------------------------- far JMP and CALL


def jump(view: View, instruction: Instruction) -> Result:
    """JMP FAR. To a task: x86.far_transfers."""
    eip, selector = _pointer(view, instruction)
    if not is_protected(view):
        code = descriptors.real_mode_segment(selector, view.segment(Seg.CS))
        return _result(instruction, selector, (SetSegment(Seg.CS, code), SetEip(eip)))
    try:
        low, high = _target(view, selector)
        if high & descriptors.NOT_SYSTEM:
            code = _direct(view, selector, low, high)
        else:
            gate = _gate(view, selector, low, high)
            eip, code = gate.offset, _behind_gate(view, gate.selector)
        if eip > code.limit:
            raise SegmentFault(GP, 0)
    except SegmentFault as fault:
        return _refused(instruction, fault)
    return _result(instruction, selector, (SetSegment(Seg.CS, code), SetEip(eip)))


def call(view: View, instruction: Instruction) -> Result:
    """CALL FAR. To a task: x86.far_transfers."""
    eip, selector = _pointer(view, instruction)
    size = instruction.operand_size
    try:
        if not is_protected(view):
            code = descriptors.real_mode_segment(selector, view.segment(Seg.CS))
            return _result(instruction, selector, _entered(view, instruction, code, eip, size))
        low, high = _target(view, selector)
        if high & descriptors.NOT_SYSTEM:
            code = _direct(view, selector, low, high)
            if eip > code.limit:
                raise SegmentFault(GP, selector & 0xFFFC)  # on this CPU; the manual has #GP(0)
            effects = _entered(view, instruction, code, eip, size)
        else:
            effects = _through_gate(view, instruction, selector, low, high)
    except SegmentFault as fault:
        return _refused(instruction, fault)
    return _result(instruction, selector, effects)


def _pointer(view: View, instruction: Instruction) -> tuple[int, int]:
    """Offset and selector, from memory or behind the opcode."""
    size = instruction.operand_size
    if instruction.memory is None:
        address = (view.segment(Seg.CS).base + view.eip + instruction.length - size - 2) & MASK32
    else:
        address = linear_address(view, instruction.memory, instruction.address_size)
    offset = int.from_bytes(view.read(address, size, is_user(view)), "little")
    return offset, int.from_bytes(view.read((address + size) & MASK32, 2, is_user(view)), "little")


def _target(view: View, selector: int) -> tuple[int, int]:
    if descriptors.is_null(selector):
        raise SegmentFault(GP, 0)
    return _descriptor(view, selector)


def _direct(view: View, selector: int, low: int, high: int) -> Segment:
    """A code segment that is named itself: privilege stays as it is."""
    cpl, dpl = view.cpl, descriptors.dpl(high)
    allowed = dpl <= cpl if descriptors.is_conforming(high) else dpl == cpl and selector & 3 <= cpl
    if not descriptors.is_code(high) or not allowed:
        raise SegmentFault(GP, selector & 0xFFFC)
    if not descriptors.is_present(high):
        raise SegmentFault(NP, selector & 0xFFFC)
    return descriptors.segment_from_descriptor(selector & 0xFFFC | cpl, low, high)


def _gate(view: View, selector: int, low: int, high: int) -> descriptors.Gate:
    """A call gate that may be used from here."""
    gate = descriptors.gate_from_descriptor(low, high)
    if gate.type not in (SystemType.CALL_GATE16, SystemType.CALL_GATE32) or gate.dpl < max(view.cpl, selector & 3):
        raise SegmentFault(GP, selector & 0xFFFC)
    if not gate.present:
        raise SegmentFault(NP, selector & 0xFFFC)
    return gate


def _behind_gate(view: View, selector: int) -> Segment:
    """The code that JMP reaches through a gate; if it is not present, #GP on this CPU, where the manual has #NP."""
    low, high = _descriptor(view, selector)
    cpl, dpl = view.cpl, descriptors.dpl(high)
    allowed = dpl <= cpl if descriptors.is_conforming(high) else dpl == cpl
    if not descriptors.is_code(high) or not allowed or not descriptors.is_present(high):
        raise SegmentFault(GP, selector & 0xFFFC)
    return descriptors.segment_from_descriptor(selector & 0xFFFC | cpl, low, high)


def _entered(view: View, instruction: Instruction, code: Segment, eip: int, size: int) -> Effects:
    """A call that stays on its stack."""
    stack = view.segment(Seg.SS)
    frame = (view.segment(Seg.CS).selector, next_eip(view, instruction.length))
    writes, pointer = _pushed(stack, view.gpr(Gpr.ESP), frame, size, user=is_user(view))
    return (*writes, _set_sp(view, stack, pointer), SetSegment(Seg.CS, code), SetEip(eip))


def _through_gate(view: View, instruction: Instruction, selector: int, low: int, high: int) -> Effects:
    gate = _gate(view, selector, low, high)
    offset = low & 0xFFFF | high & 0xFFFF0000  # of a 16-bit gate as well on this CPU; the manual has 16 bits
    if descriptors.is_null(gate.selector):
        raise SegmentFault(GP, 0)
    error = gate.selector & 0xFFFC
    code_low, code_high = _descriptor(view, gate.selector)
    dpl = descriptors.dpl(code_high)
    if not descriptors.is_code(code_high) or dpl > view.cpl:
        raise SegmentFault(GP, error)
    if not descriptors.is_present(code_high):
        raise SegmentFault(NP, error)
    size = 4 if gate.wide else 2
    code = descriptors.segment_from_descriptor(error | dpl, code_low, code_high)
    if descriptors.is_conforming(code_high) or dpl == view.cpl:
        return _entered(view, instruction, code, offset, size)
    inner, pointer = _inner_stack(view, dpl)
    old = view.segment(Seg.SS)
    count = high & _PARAMETERS
    parameters = tuple(reversed(_popped(view, old, view.gpr(Gpr.ESP), size, count)))
    back = (view.segment(Seg.CS).selector, next_eip(view, instruction.length))
    frame = (old.selector, view.gpr(Gpr.ESP), *parameters, *back)
    writes, pointer = _pushed(inner, pointer, frame, size, user=False)
    return (
        *writes,
        SetSegment(Seg.SS, inner),
        SetSegment(Seg.CS, code),
        _set_sp(view, inner, pointer),
        SetEip(offset),
    )


def _inner_stack(view: View, level: int) -> tuple[Segment, int]:
    selector, pointer = inner_stack(view, level)
    error = selector & 0xFFFC
    if descriptors.is_null(selector) or selector & 3 != level:
        raise SegmentFault(TS, error)
    low, high = _descriptor(view, selector, TS)
    if not descriptors.is_writable_data(high) or descriptors.dpl(high) != level or not descriptors.is_present(high):
        raise SegmentFault(TS, error)
    return descriptors.segment_from_descriptor(selector, low, high), pointer


HANDLERS: Final[Mapping[str, Handler]] = {"RETF": retf, "JMP FAR": jump, "CALL FAR": call}
