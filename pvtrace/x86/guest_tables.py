"""A paravirtual guest's descriptor tables: the images that they must hold, and the segment registers that follow them.

The tables hold the kernel's segments at KERNEL_RING and end below the hypervisor: images are rewritten as a table is
loaded or an entry written, by VMI call or by an instruction that traps. No segment is irreversible: a segment register
whose descriptor changed is loaded anew at once, and one that cannot be becomes NULL. A limit may be wild and a table
unmapped: what cannot be read, or must not be written, is no part of the table.

Limits of segments are checked where control enters (the stack and the code of handlers, returns and VMI calls). The
emulated CPU checks none on ordinary loads and stores, so reaching beyond a clipped limit faults only by the refusal of
the hypervisor's own addresses.
"""

from collections.abc import Iterator
from struct import iter_unpack, pack, unpack
from typing import Final

from pvtrace.model.registers import Seg, Segment, TableRegister
from pvtrace.model.snapshot import PAGE
from pvtrace.model.stops import Why
from pvtrace.x86.descriptors import (
    CODE,
    EXPAND_DOWN,
    KERNEL_RING,
    NOT_SYSTEM,
    WRITABLE,
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
from pvtrace.x86.effects import Effect, Effects, End, SetSegment, WriteMemory
from pvtrace.x86.operands import MASK32
from pvtrace.x86.view import PageFault, View

ENTRY: Final = 8
LDT: Final = 4
"""Selector bit TI: the descriptor is in the LDT."""

Entry = tuple[int, int]
"""A descriptor's low and high doubleword."""


def table_images(view: View, table: TableRegister, hole: int, first: int = 0) -> Effects:
    """The stores that make a table's entries from index `first` on what they must be."""
    stores = []
    for address, entry in entries(view, table, first):
        image = deprivileged(*entry, hole)
        if image != entry and view.writable(address, ENTRY):
            stores.append(WriteMemory(address, pack("<II", *image)))
    return tuple(stores)


def entries(view: View, table: TableRegister, first: int) -> Iterator[tuple[int, Entry]]:
    """The readable entries with their addresses, read page by page."""
    index, count = first, (min(table.limit, 0xFFFF) + 1) // ENTRY
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
    return segment_from_descriptor(selector, *deprivileged(*encode_segment(segment), hole))


def is_flat(segment: Segment, hole: int) -> bool:
    """Whether a loaded segment has base 0 and reaches every page below the hypervisor."""
    expands_down = not segment.attributes & CODE and bool(segment.attributes & EXPAND_DOWN)
    reaches = segment.limit >= hole // PAGE * PAGE - 1
    return not is_null(segment.selector) and segment.base == 0 and not expands_down and reaches


def table_of(segment: Segment) -> TableRegister | None:
    """The table that LDTR holds; None for a null one."""
    return None if is_null(segment.selector) else TableRegister(segment.base, segment.limit)


def reload_all(view: View, gdt: TableRegister, ldt: TableRegister | None, blame: str) -> Effects:
    """Load every segment register anew from these tables. `blame`: what did it, and where, for the message of End."""
    live = [(register, view.segment(register).selector) for register in Seg]
    return tuple(
        reload(register, selector, _lookup(view, ldt if selector & LDT else gdt, selector), blame)
        for register, selector in live
        if not is_null(selector)
    )


def reload(register: Seg, selector: int, entry: Entry | None, blame: str) -> Effect:
    """Load a segment register anew from the descriptor that its selector names now; None if it names none.

    A kernel that is left without code or stack segment ends.
    """
    if entry is not None:
        segment = segment_from_descriptor(selector, *entry)
        if _usable(register, segment):
            return SetSegment(register, segment)
    if register in (Seg.CS, Seg.SS):
        return End(Why.TERMINATED, detail=f"{blame} left the kernel without a valid {register.name}")
    return SetSegment(register, null_segment())


def or_end(effects: Effects) -> Effects:
    """A call or instruction that ends the run does nothing else."""
    return next(((effect,) for effect in effects if isinstance(effect, End)), effects)


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


def _lookup(view: View, table: TableRegister | None, selector: int) -> Entry | None:
    """The image of the descriptor that the selector names; None beyond the table's limit or where nothing is mapped."""
    offset = selector & 0xFFF8
    if table is None or offset + ENTRY - 1 > table.limit:
        return None
    try:
        low, high = unpack("<II", view.read(table.base + offset & MASK32, ENTRY))
    except PageFault:
        return None
    return deprivileged(low, high, view.system.hole)
