"""Descriptors that a paravirtual guest's tables hold otherwise than it supplied them. Pure functions.

They are rewritten as an entry is written or a table is loaded (x86.guest_tables, by call or by instruction).
"""

from collections.abc import Iterator, Mapping
from struct import pack, unpack
from typing import Final, NamedTuple

from pvtrace.divergence.shadow import Image, Shadow
from pvtrace.model.registers import Seg, TableRegister
from pvtrace.vmi.call import Call
from pvtrace.vmi.effects import VmiEffects
from pvtrace.x86.descriptors import (
    ACCESSED,
    ATTRIBUTES,
    KERNEL_RING,
    LIMIT_HIGH,
    LIMIT_LOW,
    NOT_SYSTEM,
    PRESENT,
    deprivileged,
    dpl,
    with_dpl,
)
from pvtrace.x86.effects import SetGdtr, SetLdtr, WriteMemory
from pvtrace.x86.guest_tables import ENTRY, entries, table_of
from pvtrace.x86.operands import MASK32
from pvtrace.x86.view import PageFault, View

ENTRY_CALLS: Final = frozenset({"WriteGDTEntry", "WriteLDTEntry"})
TABLE_CALLS: Final = frozenset({"Init", "SetGDT", "SetLDT"})
TABLE_INSTRUCTIONS: Final = frozenset({"LGDT", "LLDT"})


_SHAPE_HIGH: Final = LIMIT_HIGH | ATTRIBUTES & ~ACCESSED


class Stored(NamedTuple):
    """A descriptor is stored at a linear address. `written`: what the guest gave for it; `native`: what it would have
    given natively."""

    address: int
    image: Image
    written: Image
    native: Image


def stored_by_call(call: Call, shadow: Shadow, view: View, effects: VmiEffects) -> tuple[Stored, ...]:
    """What a call of ENTRY_CALLS or TABLE_CALLS with these effects stores; none if it fails."""
    if call.info.name not in ENTRY_CALLS:
        return rewritten(shadow, view, effects)
    written, shapes = (call.ecx, call.stack[0]), _shapes(shadow)
    return tuple(Stored(address, image, written, _natively(shapes, written)) for address, image in _stores(effects))


def entry_address(call: Call) -> int:
    """Linear address of the entry that a call of ENTRY_CALLS writes."""
    return call.eax + ENTRY * call.edx & MASK32


def stores_nothing_new(call: Call, before: Image | None, view: View) -> bool:
    """Whether a call of ENTRY_CALLS stores what is there already, in an entry that no segment register names. Kernels
    do that at each context switch. `before`: what the last call was given for this entry."""
    image = call.ecx, call.stack[0]
    if image != before:
        return False
    try:
        there = view.read(entry_address(call), ENTRY)
    except PageFault:
        return False
    stored = pack("<II", *deprivileged(*image, view.system.hole))
    if there != stored:
        return False
    live = view.gdtr.base if call.info.name == "WriteGDTEntry" else view.ldtr.base
    return call.eax != live or all(view.segment(register).selector // ENTRY != call.edx for register in Seg)


def rewritten(shadow: Shadow, view: View, effects: VmiEffects) -> tuple[Stored, ...]:
    """The entries that are rewritten where they lie, as a table is loaded."""
    shapes = _shapes(shadow)
    found = ((address, image, _at(view, address)) for address, image in _stores(effects))
    return tuple(
        Stored(address, image, now, _natively(shapes, shadow.supplied(address, now))) for address, image, now in found
    )


def _stores(effects: VmiEffects) -> Iterator[tuple[int, Image]]:
    for effect in effects:
        match effect:
            case WriteMemory(address, data) if len(data) == ENTRY:
                low, high = unpack("<II", data)
                yield address, (low, high)
            case _:
                pass


def _at(view: View, address: int) -> Image:
    low, high = unpack("<II", view.read(address, ENTRY))
    return low, high


def remembered(
    shadow: Shadow, view: View, effects: VmiEffects, stored: tuple[Stored, ...]
) -> Mapping[int, tuple[Image, Image]]:
    """New entries of Shadow.tables: what these stores, and the table that is loaded, natively hold otherwise."""
    table, shapes = _loaded(effects), _shapes(shadow)
    found = {
        address: (image, _natively(shapes, shadow.supplied(address, image)))
        for address, image in (entries(view, table, 0) if table is not None else ())
    }
    found |= {each.address: (each.image, each.native) for each in stored}
    return {address: pair for address, pair in found.items() if pair[0] != pair[1] or address in shadow.tables}


def _loaded(effects: VmiEffects) -> TableRegister | None:
    for effect in effects:
        match effect:
            case SetGdtr(table):
                return table
            case SetLdtr(segment):
                return table_of(segment)
            case _:
                pass
    return None


def _shape(image: Image) -> Image:
    """A descriptor without its base and the accessed bit."""
    return image[0] & LIMIT_LOW, image[1] & _SHAPE_HIGH


def _shapes(shadow: Shadow) -> Mapping[Image, Image]:
    """By the shape of an entry that was rewritten: the shape that the guest had supplied for the first such."""
    found: dict[Image, Image] = {}
    for stored, native in shadow.tables.values():
        found.setdefault(_shape(stored), _shape(native))
    return found


def _natively(shapes: Mapping[Image, Image], image: Image) -> Image:
    """What a guest gives that copies an entry, or changes one that it has read back: natively it read what it had
    supplied. It uses no ring but 0 and 3 (vmi: privilege model)."""
    low, high = image
    if not high & NOT_SYSTEM or not high & PRESENT:
        return image
    native = shapes.get(_shape(image))
    if native is not None:
        return low & ~LIMIT_LOW | native[0], high & ~_SHAPE_HIGH | native[1]
    return (low, with_dpl(high, 0)) if dpl(high) == KERNEL_RING else image
