"""Descriptor tables, and the stack for entries from user mode (vmi: descriptor calls).

What a paravirtual guest's tables hold, and what becomes of the segment registers that name a changed descriptor, is in
x86.guest_tables: the same for calls and for instructions.
"""

from collections.abc import Callable
from dataclasses import replace
from struct import pack, unpack
from typing import Final

from pvtrace.model.registers import Seg, TableRegister
from pvtrace.vmi.call import Call, Handler, fault, in_eax
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.descriptors import KERNEL_RING, SegmentFault, deprivileged, is_null
from pvtrace.x86.effects import SetGdtr, SetIdtr, SetLdtr, SetSystem, WriteMemory
from pvtrace.x86.guest_tables import ENTRY, LDT, or_end, reload, reload_all, table_images, table_of
from pvtrace.x86.operands import MASK32
from pvtrace.x86.table_instructions import load_ldt, load_tr
from pvtrace.x86.view import View
from rom.abi import Generation

TSS_SS0: Final = 8
"""Offset of ss0 in a 32-bit TSS."""


def _blame(call: Call) -> str:
    return f"VMI {call.info.name} at {call.site:08x}"


def _pseudo_descriptor(view: View, address: int) -> TableRegister:
    limit, base = unpack("<HI", view.read(address, 6))
    return TableRegister(base, limit)


def set_gdt(call: Call, view: View, _state: VmiState) -> VmiEffects:
    gdt = _pseudo_descriptor(view, call.eax)
    images = table_images(view, gdt, view.system.hole, first=1)
    return or_end((*images, SetGdtr(gdt), *reload_all(view, gdt, table_of(view.ldtr), _blame(call))))


def set_ldt(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """LLDT with its checks; a selector that it refuses raises the same exception at the call site."""
    try:
        loaded = load_ldt(view, call.eax & 0xFFFF)
    except SegmentFault as refused:
        return fault(call, view, refused.vector, refused.error)
    new = next(effect.segment for effect in loaded if isinstance(effect, SetLdtr))
    return or_end((*loaded, *reload_all(view, view.gdtr, table_of(new), _blame(call))))


def set_idt(call: Call, view: View, _state: VmiState) -> VmiEffects:
    return (SetIdtr(_pseudo_descriptor(view, call.eax)),)


def set_tr(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """LTR with its checks, the busy bit in the guest's table among its effects."""
    try:
        return load_tr(view, call.eax & 0xFFFF)
    except SegmentFault as refused:
        return fault(call, view, refused.vector, refused.error)


def _get(register: Callable[[View], TableRegister]) -> Handler:
    def handler(call: Call, view: View, _state: VmiState) -> VmiEffects:
        """The guest's own table, as it set it."""
        table = register(view)
        return (WriteMemory(call.eax, pack("<HI", table.limit & 0xFFFF, table.base)),)

    return handler


def get_ldt(_call: Call, view: View, _state: VmiState) -> VmiEffects:
    return in_eax(view.ldtr.selector)


def get_tr(_call: Call, view: View, _state: VmiState) -> VmiEffects:
    return in_eax(view.tr.selector)


def _write_entry(call: Call, view: View, live: TableRegister | None, indicator: int) -> VmiEffects:
    """Store a descriptor. In the table that is live now, the segment registers that name it are loaded anew; in any
    other (Linux prepares the tables of other CPUs so) it is memory and no more."""
    image = deprivileged(call.ecx, call.stack[0], view.system.hole)
    store = WriteMemory(call.eax + ENTRY * call.edx & MASK32, pack("<II", *image))
    if live is None or live.base != call.eax or ENTRY * call.edx + ENTRY - 1 > live.limit:
        return (store,)
    named = ENTRY * call.edx | indicator
    registers = [(register, view.segment(register).selector) for register in Seg]
    reloads = [
        reload(register, selector, image, _blame(call))
        for register, selector in registers
        if selector & 0xFFFC == named and not is_null(selector)
    ]
    return or_end((store, *reloads))


def write_gdt_entry(call: Call, view: View, _state: VmiState) -> VmiEffects:
    return _write_entry(call, view, view.gdtr, 0)


def write_ldt_entry(call: Call, view: View, _state: VmiState) -> VmiEffects:
    return _write_entry(call, view, table_of(view.ldtr), LDT)


def write_idt_entry(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """A gate keeps its image: delivery gives the handler's selector the kernel's ring."""
    return (WriteMemory(call.eax + ENTRY * call.edx & MASK32, pack("<II", call.ecx, call.stack[0])),)


def update_kernel_stack(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """EAX is ss0 in 3.0; in 13.x it points at the TSS that holds it."""
    if call.generation is Generation.V3:
        ss0 = call.eax & 0xFFFF
    else:
        ss0 = int.from_bytes(view.read(call.eax + TSS_SS0 & MASK32, 2), "little")
    return (SetSystem(replace(view.system, kernel_stack=kernel_stack(ss0, call.edx))),)


def kernel_stack(ss0: int, esp0: int) -> tuple[int, int]:
    """(SS, ESP) for entries from user mode, the selector with the kernel's RPL."""
    return (ss0 & ~3 | KERNEL_RING, esp0)


HANDLERS: Final[dict[str, Handler]] = {
    "SetGDT": set_gdt,
    "SetLDT": set_ldt,
    "SetIDT": set_idt,
    "SetTR": set_tr,
    "GetGDT": _get(lambda view: view.gdtr),
    "GetLDT": get_ldt,
    "GetIDT": _get(lambda view: view.idtr),
    "GetTR": get_tr,
    "WriteGDTEntry": write_gdt_entry,
    "WriteLDTEntry": write_ldt_entry,
    "WriteIDTEntry": write_idt_entry,
    "UpdateKernelStack": update_kernel_stack,
}
