"""Descriptor-table registers: LGDT, LIDT, LLDT, LTR load them; SGDT, SIDT, SLDT, STR show them (SDM volume 2).

The loads of a paravirtual kernel trap and keep their native meaning, but that LGDT and LLDT rewrite the guest's table
and load the segment registers anew, as VMI_SetGDT and VMI_SetLDT do. The stores do not trap on that
hardware and show what the hypervisor has loaded.
"""

from typing import Final

from pvtrace.model.registers import TableRegister
from pvtrace.x86 import descriptors, hypervisor
from pvtrace.x86.control_instructions import general_protection
from pvtrace.x86.descriptors import SegmentFault, SystemType
from pvtrace.x86.disasm import Instruction, Memory
from pvtrace.x86.effects import Effect, Effects, Raise, SetGdtr, SetIdtr, SetLdtr, SetTr, WriteMemory
from pvtrace.x86.exceptions import GP, NP, UD
from pvtrace.x86.guest_tables import or_end, reload_all, table_images, table_of
from pvtrace.x86.operands import (
    MASK32,
    advance,
    is_protected,
    is_user,
    linear_address,
    may_use_privileged,
    read_rm16,
    store_rm16,
)
from pvtrace.x86.results import Result
from pvtrace.x86.tss import BUSY
from pvtrace.x86.view import View

_AVAILABLE_TSS: Final = (SystemType.TSS16, SystemType.TSS32)


def _read_table_register(view: View, instruction: Instruction, memory: Memory) -> TableRegister:
    """The operand of LGDT and LIDT: limit and base, of which the 16-bit form takes 24 bits."""
    address = linear_address(view, memory, instruction.address_size)
    raw = view.read(address, 6, is_user(view))
    base = int.from_bytes(raw[2:], "little")
    return TableRegister(base if instruction.operand_size == 4 else base & 0xFFFFFF, int.from_bytes(raw[:2], "little"))


def lgdt(view: View, instruction: Instruction) -> Result:
    return _load_table(view, instruction)


def lidt(view: View, instruction: Instruction) -> Result:
    return _load_table(view, instruction)


def _load_table(view: View, instruction: Instruction) -> Result:
    name = instruction.mnemonic
    if instruction.memory is None:
        return Result(name, (Raise(UD),))
    if not may_use_privileged(view):
        return general_protection(name)
    table = _read_table_register(view, instruction, instruction.memory)
    effects: Effects = (SetGdtr(table) if name == "LGDT" else SetIdtr(table), advance(view, instruction))
    if name == "LGDT" and view.system.paravirtual:
        images = table_images(view, table, view.system.hole, first=1)
        effects = or_end((*images, *effects, *reload_all(view, table, table_of(view.ldtr), _blame(view, name))))
    return Result(name, effects, operand=table.base, value=table.limit)


def _blame(view: View, name: str) -> str:
    return f"{name} at {view.eip:08x}"


def store_table(view: View, instruction: Instruction) -> Result:
    """SGDT and SIDT: at every level, in every mode; all 32 bits of the base in both operand sizes."""
    name = instruction.mnemonic
    if instruction.memory is None:
        return Result(name, (Raise(UD),))
    if view.system.paravirtual:
        table = hypervisor.GDTR if name == "SGDT" else hypervisor.IDTR
    else:
        table = view.gdtr if name == "SGDT" else view.idtr
    address = linear_address(view, instruction.memory, instruction.address_size)
    data = table.limit.to_bytes(2, "little") + table.base.to_bytes(4, "little")
    effects = (WriteMemory(address, data, is_user(view)), advance(view, instruction))
    return Result(name, effects, operand=table.base, value=table.limit)


def lldt(view: View, instruction: Instruction) -> Result:
    if not is_protected(view):
        return Result("LLDT", (Raise(UD),))
    if not may_use_privileged(view):
        return general_protection("LLDT")
    selector = read_rm16(view, instruction)
    try:
        loaded = load_ldt(view, selector)
    except SegmentFault as fault:
        return Result("LLDT", (Raise(fault.vector, fault.error),), operand=selector)
    effects: Effects = (*loaded, advance(view, instruction))
    if view.system.paravirtual:
        new = next(effect.segment for effect in loaded if isinstance(effect, SetLdtr))
        effects = or_end((*effects, *reload_all(view, view.gdtr, table_of(new), _blame(view, "LLDT"))))
    return Result("LLDT", effects, operand=selector)


def load_ldt(view: View, selector: int) -> tuple[Effect, ...]:
    """LDTR := selector after the checks of LLDT; SegmentFault if they fail. A null selector unloads it."""
    if descriptors.is_null(selector):
        return (SetLdtr(descriptors.null_segment(selector)),)
    error = selector & 0xFFFC
    if selector & 4:
        raise SegmentFault(GP, error)
    segment = descriptors.load(view, selector)
    if descriptors.system_type(segment.attributes) != SystemType.LDT:
        raise SegmentFault(GP, error)
    if not descriptors.is_present(segment.attributes):
        raise SegmentFault(NP, error)
    images: Effects = ()
    if view.system.paravirtual:
        images = table_images(view, TableRegister(segment.base, segment.limit), view.system.hole)
    return (*images, SetLdtr(segment))


def ltr(view: View, instruction: Instruction) -> Result:
    if not is_protected(view):
        return Result("LTR", (Raise(UD),))
    if not may_use_privileged(view):
        return general_protection("LTR")
    selector = read_rm16(view, instruction)
    try:
        effects = load_tr(view, selector)
    except SegmentFault as fault:
        return Result("LTR", (Raise(fault.vector, fault.error),), operand=selector)
    return Result("LTR", (*effects, advance(view, instruction)), operand=selector)


def load_tr(view: View, selector: int) -> tuple[Effect, ...]:
    """TR := selector after the checks of LTR, the descriptor marked busy; SegmentFault if they fail."""
    error = selector & 0xFFFC
    address = None if descriptors.is_null(selector) or selector & 4 else descriptors.descriptor_address(view, selector)
    if address is None:
        raise SegmentFault(GP, error)
    segment = descriptors.load(view, selector)
    if descriptors.system_type(segment.attributes) not in _AVAILABLE_TSS:
        raise SegmentFault(GP, error)
    if not descriptors.is_present(segment.attributes):
        raise SegmentFault(NP, error)
    attributes = segment.attributes | BUSY
    busy = WriteMemory((address + 5) & MASK32, bytes([(attributes >> 8) & 0xFF]))
    return (busy, SetTr(type(segment)(segment.selector, segment.base, segment.limit, attributes)))


def store_selector(view: View, instruction: Instruction) -> Result:
    """SLDT and STR: at every level of protected mode."""
    name = instruction.mnemonic
    if not is_protected(view):
        return Result(name, (Raise(UD),))
    if view.system.paravirtual:
        selector = hypervisor.LDTR_SELECTOR if name == "SLDT" else hypervisor.TR_SELECTOR
    else:
        selector = view.ldtr.selector if name == "SLDT" else view.tr.selector
    return Result(name, (store_rm16(view, instruction, selector), advance(view, instruction)), operand=selector)
