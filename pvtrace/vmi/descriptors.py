"""Descriptor tables, and the stack for entries from user mode (vmi: descriptor calls).

A paravirtual guest's tables hold its kernel segments at KERNEL_RING and end below the hypervisor: images are rewritten
as they are loaded or written. No segment is irreversible: a segment register whose descriptor changed is loaded anew at
once, and one that cannot be becomes NULL.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from struct import iter_unpack, pack, unpack
from typing import Final

from pvtrace.model.registers import Seg, Segment, TableRegister
from pvtrace.model.stops import Why
from pvtrace.vmi.call import Call, Handler, fault, in_eax
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.descriptors import (
    CODE,
    EXPAND_DOWN,
    KERNEL_RING,
    NOT_SYSTEM,
    WRITABLE,
    SegmentFault,
    deprivileged,
    dpl,
    encode_segment,
    is_code,
    is_conforming,
    is_null,
    is_present,
    is_writable_data,
    null_segment,
    segment_from_descriptor,
)
from pvtrace.x86.effects import Effect, Effects, End, SetGdtr, SetIdtr, SetLdtr, SetSegment, SetSystem, WriteMemory
from pvtrace.x86.operands import MASK32
from pvtrace.x86.table_instructions import load_ldt, load_tr
from pvtrace.x86.view import PageFault, View
from rom.abi import Generation

ENTRY: Final = 8
PAGE: Final = 0x1000
LDT: Final = 4
"""Selector bit TI: the descriptor is in the LDT."""

NO_HOLE: Final = 1 << 32
_UNLIMITED: Final = 1 << 33

TSS_SS0: Final = 8
"""Offset of ss0 in a 32-bit TSS."""

Entry = tuple[int, int]
"""A descriptor's low and high doubleword."""


def guest_image(entry: Entry, hole: int) -> Entry:
    """The descriptor as the guest's table must hold it. Without a hole no limit is clipped, wrapping ones neither."""
    return deprivileged(*entry, hole if hole < NO_HOLE else _UNLIMITED)


def table_images(view: View, table: TableRegister, hole: int, first: int = 0) -> Effects:
    """The stores that make a table's entries from index `first` on what they must be.

    A limit may be wild: what cannot be read, or must not be written, is no part of the table.
    """
    stores = []
    for address, entry in _entries(view, table, first):
        image = guest_image(entry, hole)
        if image != entry and view.writable(address, ENTRY):
            stores.append(WriteMemory(address, pack("<II", *image)))
    return tuple(stores)


def _entries(view: View, table: TableRegister, first: int) -> Iterator[tuple[int, Entry]]:
    """The readable entries with their addresses, read page by page."""
    index, count = first, (table.limit + 1) // ENTRY
    while index < count:
        address = table.base + ENTRY * index & MASK32
        run = min(count - index, max(1, (PAGE - address % PAGE) // ENTRY))
        try:
            raw = view.read(address, run * ENTRY)
        except PageFault:
            raw = b""
        for at, entry in enumerate(iter_unpack("<II", raw)):
            yield address + ENTRY * at & MASK32, (entry[0], entry[1])
        index += run


def lowered(segment: Segment, hole: int) -> Segment:
    """A loaded segment register as Init leaves it: RPL and DPL 0 become KERNEL_RING, and it ends below the hole."""
    if is_null(segment.selector):
        return segment
    selector = segment.selector | KERNEL_RING if segment.rpl == 0 else segment.selector
    return segment_from_descriptor(selector, *guest_image(encode_segment(segment), hole))


def is_flat(segment: Segment, hole: int) -> bool:
    """Whether a loaded segment has base 0 and reaches every page below the hypervisor."""
    expands_down = not segment.attributes & CODE and bool(segment.attributes & EXPAND_DOWN)
    reaches = segment.limit >= hole // PAGE * PAGE - 1
    return not is_null(segment.selector) and segment.base == 0 and not expands_down and reaches


def _usable(register: Seg, segment: Segment) -> bool:
    """Whether the kernel could load this segment (SDM volume 3, 5.5 and 5.7, at CPL = KERNEL_RING)."""
    attributes = segment.attributes
    if not attributes & NOT_SYSTEM or not is_present(attributes):
        return False
    match register:
        case Seg.CS:
            return is_code(attributes) and dpl(attributes) == KERNEL_RING
        case Seg.SS:
            return is_writable_data(attributes) and dpl(attributes) == KERNEL_RING
        case _:
            if attributes & CODE and not attributes & WRITABLE:
                return False
            return is_conforming(attributes) or dpl(attributes) >= max(KERNEL_RING, segment.rpl)


def _reload(call: Call, register: Seg, selector: int, entry: Entry | None) -> Effect:
    """Load a segment register anew from the descriptor that its selector names now; None if it names none."""
    if entry is not None:
        segment = segment_from_descriptor(selector, *entry)
        if _usable(register, segment):
            return SetSegment(register, segment)
    if register in (Seg.CS, Seg.SS):
        detail = f"VMI {call.info.name} at {call.site:08x} left the kernel without a valid {register.name}"
        return End(Why.TERMINATED, detail=detail)
    return SetSegment(register, null_segment())


def _or_end(effects: Effects) -> Effects:
    """A call that ends the run does nothing else."""
    return next(((effect,) for effect in effects if isinstance(effect, End)), effects)


def _reload_all(call: Call, view: View, gdt: TableRegister, ldt: TableRegister | None) -> Effects:
    """Load every segment register anew from these tables."""
    live = [(register, view.segment(register).selector) for register in Seg]
    return tuple(
        _reload(call, register, selector, _lookup(view, ldt if selector & LDT else gdt, selector))
        for register, selector in live
        if not is_null(selector)
    )


def _lookup(view: View, table: TableRegister | None, selector: int) -> Entry | None:
    """The image of the descriptor that the selector names; None beyond the table's limit or where nothing is mapped."""
    offset = selector & 0xFFF8
    if table is None or offset + ENTRY - 1 > table.limit:
        return None
    try:
        low, high = unpack("<II", view.read(table.base + offset & MASK32, ENTRY))
    except PageFault:
        return None
    return guest_image((low, high), view.system.hole)


def _table(segment: Segment) -> TableRegister | None:
    return None if is_null(segment.selector) else TableRegister(segment.base, segment.limit)


def _pseudo_descriptor(view: View, address: int) -> TableRegister:
    limit, base = unpack("<HI", view.read(address, 6))
    return TableRegister(base, limit)


def set_gdt(call: Call, view: View, _state: VmiState) -> VmiEffects:
    gdt = _pseudo_descriptor(view, call.eax)
    images = table_images(view, gdt, view.system.hole, first=1)
    return _or_end((*images, SetGdtr(gdt), *_reload_all(call, view, gdt, _table(view.ldtr))))


def set_ldt(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """LLDT with its checks; a selector that it refuses raises the same exception at the call site."""
    try:
        loaded = load_ldt(view, call.eax & 0xFFFF)
    except SegmentFault as refused:
        return fault(call, refused.vector, refused.error)
    new = next(effect.segment for effect in loaded if isinstance(effect, SetLdtr))
    return _or_end((*loaded, *_reload_all(call, view, view.gdtr, _table(new))))


def set_idt(call: Call, view: View, _state: VmiState) -> VmiEffects:
    return (SetIdtr(_pseudo_descriptor(view, call.eax)),)


def set_tr(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """LTR with its checks, the busy bit in the guest's table among its effects."""
    try:
        return load_tr(view, call.eax & 0xFFFF)
    except SegmentFault as refused:
        return fault(call, refused.vector, refused.error)


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
    image = guest_image((call.ecx, call.stack[0]), view.system.hole)
    store = WriteMemory(call.eax + ENTRY * call.edx & MASK32, pack("<II", *image))
    if live is None or live.base != call.eax or ENTRY * call.edx + ENTRY - 1 > live.limit:
        return (store,)
    named = ENTRY * call.edx | indicator
    registers = [(register, view.segment(register).selector) for register in Seg]
    reloads = [
        _reload(call, register, selector, image)
        for register, selector in registers
        if selector & 0xFFFC == named and not is_null(selector)
    ]
    return _or_end((store, *reloads))


def write_gdt_entry(call: Call, view: View, _state: VmiState) -> VmiEffects:
    return _write_entry(call, view, view.gdtr, 0)


def write_ldt_entry(call: Call, view: View, _state: VmiState) -> VmiEffects:
    return _write_entry(call, view, _table(view.ldtr), LDT)


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
