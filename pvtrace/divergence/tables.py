"""Descriptors that a paravirtual guest's tables hold otherwise than it supplied them. Pure functions.

They are rewritten as an entry is written or a table is loaded (x86.guest_tables, by call or by instruction).
"""

from collections.abc import Iterator, Mapping
from struct import unpack
from typing import Final, NamedTuple

from pvtrace.divergence.shadow import Image, Shadow
from pvtrace.model.registers import TableRegister
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
    dpl,
    with_dpl,
)
from pvtrace.x86.effects import SetGdtr, SetLdtr, WriteMemory
from pvtrace.x86.guest_tables import ENTRY, entries, table_of
from pvtrace.x86.view import View

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
    written = call.ecx, call.stack[0]
    return tuple(Stored(address, image, written, _natively(shadow, written)) for address, image in _stores(effects))


def rewritten(shadow: Shadow, view: View, effects: VmiEffects) -> tuple[Stored, ...]:
    """The entries that are rewritten where they lie, as a table is loaded."""
    found = ((address, image, _at(view, address)) for address, image in _stores(effects))
    return tuple(
        Stored(address, image, now, _natively(shadow, shadow.supplied(address, now))) for address, image, now in found
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
    table = _loaded(effects)
    found = {
        address: (image, _natively(shadow, shadow.supplied(address, image)))
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


def _natively(shadow: Shadow, image: Image) -> Image:
    """What a guest gives that copies an entry, or changes one that it has read back: natively it read what it had
    supplied. It uses no ring but 0 and 3 (vmi: privilege model)."""
    low, high = image
    if not high & NOT_SYSTEM or not high & PRESENT:
        return image
    shape = _shape(image)
    for stored, native in shadow.tables.values():
        if _shape(stored) == shape:
            native_low, native_high = _shape(native)
            return low & ~LIMIT_LOW | native_low, high & ~_SHAPE_HIGH | native_high
    return (low, with_dpl(high, 0)) if dpl(high) == KERNEL_RING else image
