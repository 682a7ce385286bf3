"""Entering paravirtual mode, and telling where the entry points are (vmi: Init and the relocation query)."""

from dataclasses import replace
from enum import IntEnum
from typing import Final

from pvtrace.model.registers import Seg, TableRegister
from pvtrace.vmi.apic import UNSUPPORTED
from pvtrace.vmi.call import Call, Handler, in_eax, in_edx_eax, wide
from pvtrace.vmi.descriptors import kernel_stack
from pvtrace.vmi.effects import SetVmi, VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import NO_HOLE, SegmentFault, is_null
from pvtrace.x86.effects import SetFlags, SetSegment, SetSystem
from pvtrace.x86.guest_tables import is_flat, lowered, table_images
from pvtrace.x86.operands import MASK32
from pvtrace.x86.tss import inner_stack, is_tss32
from pvtrace.x86.view import PageFault, View
from rom.abi import GET_RELOCATION_3, INIT_3, Generation, by_number
from rom.layout import entry_offset

FAILED: Final = MASK32
"""Init's EAX of -1: the guest goes on natively."""

CR0_PE: Final = 1

JUMP_SLOTS: Final = (INIT_3, GET_RELOCATION_3)
"""These stand for numbers in rom.abi; a guest of 3.0 knows no number of the two."""


class Relocation(IntEnum):
    """How a site is to be patched: the type in DL of the relocation query's answer."""

    NONE = 0
    CALL = 1
    JUMP = 2
    NOP = 3


def init(call: Call, view: View, state: VmiState) -> VmiEffects:
    """Take the kernel from CPL 0 to KERNEL_RING and keep its IF and IOPL virtually from here on.

    Live selectors and the kernel's descriptors change under the guest's eyes. The real counter starts. On failure
    (not 32-bit protected mode at CPL 0 with flat CS and SS) nothing changes; when already paravirtual, nothing either.
    """
    if view.system.paravirtual:
        return in_eax(0)
    hole = state.virtual_top or NO_HOLE
    if not _ready(view, hole):
        return in_eax(FAILED)
    segments = [(register, view.segment(register)) for register in Seg]
    images = table_images(view, view.gdtr, hole, first=1)
    if not is_null(view.ldtr.selector):
        images += table_images(view, TableRegister(view.ldtr.base, view.ldtr.limit), hole)
    system = replace(view.system, paravirtual=True, hole=hole, kernel_stack=_stack_of_tss(view))
    return (
        *images,
        # Still native: this sets the real flags. SetSystem then puts the guest's own IF and IOPL back, virtually.
        SetFlags(eflags.IF, eflags.IF | eflags.IOPL),
        SetSystem(system),
        *(SetSegment(register, lowered(segment, hole)) for register, segment in segments),
        SetVmi(replace(state, generation=call.generation, start=view.ticks)),
        *in_eax(0),
    )


def _ready(view: View, hole: int) -> bool:
    if not view.cr(0) & CR0_PE or view.eflags & eflags.VM or view.cpl != 0:
        return False
    return all(is_flat(view.segment(register), hole) and view.segment(register).big for register in (Seg.CS, Seg.SS))


def _stack_of_tss(view: View) -> tuple[int, int] | None:
    """The stack for entries from user mode that the current TSS names; None without a TSS that can be read."""
    if is_null(view.tr.selector) or not is_tss32(view.tr.attributes):
        return None
    try:
        ss0, esp0 = inner_stack(view, 0)
    except (PageFault, SegmentFault):
        return None
    return None if is_null(ss0) else kernel_stack(ss0, esp0)


def relocation(generation: Generation, number: int) -> Relocation:
    """How the call of that number is reached; NONE for a number that means nothing.

    IRET and SYSEXIT are CALL as well, which tells the site. A call that cannot be served is NONE in 3.0, so that the
    guest keeps its native routine; a guest of 13.x takes nothing but CALL for an answer.
    """
    info = by_number(generation, number)
    if info is None or (generation is Generation.V3 and (info.name in UNSUPPORTED or number in JUMP_SLOTS)):
        return Relocation.NONE
    return Relocation.CALL


def get_relocation_info(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """EDX:EAX = type << 32 | address of the entry point in the ROM as it is mapped where this call entered it."""
    generation, wanted = call.generation, call.eax
    kind = relocation(generation, wanted)
    if kind is Relocation.NONE:
        return in_edx_eax(0)
    base = view.eip - entry_offset(generation, call.number)
    return in_edx_eax(wide(base + entry_offset(generation, wanted) & MASK32, kind))


HANDLERS: Final[dict[str, Handler]] = {
    "Init": init,
    "GetRelocationInfo": get_relocation_info,
}
