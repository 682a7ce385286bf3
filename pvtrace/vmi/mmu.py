"""Page-table calls of both generations (vmi: MMU interface, current and older forms).

A handler here applies its update at once. Which calls wait before they come here, and what ends the waiting, is in
vmi.deferral, so that flushing deferred work is nothing more to do. Entry pointers are linear addresses that the guest's
own page tables map. The TLB is coherent with the page tables; it is flushed all the same where the guest asks for it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pvtrace.vmi.call import Call, Handler, in_eax, in_edx_eax, wide
from pvtrace.vmi.effects import SetVmi, VmiEffects
from pvtrace.vmi.page_types import announced, entry_changed
from pvtrace.vmi.state import MAPPING_SLOTS, LinearMapping, VmiState
from pvtrace.x86.effects import FlushTlb, Note, WriteMemory
from pvtrace.x86.view import View

PAGE_TYPES: Final = 0xF
"""Type bits of AllocatePage and ReleasePage: PT 1, PD 2, PDP 4, PML4 8; in 13.x PDP also means PAE."""

LAZY_MODES: Final = range(3)


def _entry(view: View, state: VmiState, address: int, size: int, value: int) -> VmiEffects:
    """Store an entry, and tell if its page table, or the one that it names, was never announced."""
    store = WriteMemory(address, value.to_bytes(size, "little"))
    return (store, *entry_changed(view, state, address, value))


def _read(view: View, address: int, size: int) -> int:
    return int.from_bytes(view.read(address, size), "little")


def set_pxe(call: Call, view: View, state: VmiState) -> VmiEffects:
    return _entry(view, state, call.edx, 4, call.eax)


def set_pxe_0(call: Call, view: View, state: VmiState) -> VmiEffects:
    return _entry(view, state, call.eax, 4, call.edx)


def set_pxe_long(call: Call, view: View, state: VmiState) -> VmiEffects:
    """Both halves in one store: no half-written entry is ever present."""
    return _entry(view, state, call.ecx, 8, wide(call.eax, call.edx))


def get_pxe(call: Call, view: View, _state: VmiState) -> VmiEffects:
    return in_eax(_read(view, call.eax, 4))


def get_pxe_long(call: Call, view: View, _state: VmiState) -> VmiEffects:
    return in_edx_eax(_read(view, call.eax, 8))


def swap_pxe(call: Call, view: View, state: VmiState) -> VmiEffects:
    return (*_entry(view, state, call.eax, 4, call.edx), *in_eax(_read(view, call.eax, 4)))


def swap_pxe_long(call: Call, view: View, state: VmiState) -> VmiEffects:
    return (*_entry(view, state, call.ecx, 8, wide(call.eax, call.edx)), *in_edx_eax(_read(view, call.ecx, 8)))


def deactivate_pxe_long(call: Call, view: View, state: VmiState) -> VmiEffects:
    return (*_entry(view, state, call.eax, 8, 0), *in_edx_eax(_read(view, call.eax, 8)))


def _bit(change: Callable[[int, int], int]) -> Handler:
    """Test and change one bit of an entry's low word. EAX: 1 if it was set, else 0."""

    def handler(call: Call, view: View, state: VmiState) -> VmiEffects:
        bit = 1 << (call.edx & 31)
        old = _read(view, call.eax, 4)
        return (*_entry(view, state, call.eax, 4, change(old, bit)), *in_eax(int(bool(old & bit))))

    return handler


test_and_set_bit = _bit(lambda old, bit: old | bit)
test_and_clear_bit = _bit(lambda old, bit: old & ~bit)


def update_pxe(call: Call, view: View, state: VmiState) -> VmiEffects:
    """The guest changed the entry by an ordinary store, and the coherent TLB has seen that already."""
    return entry_changed(view, state, call.eax, _read(view, call.eax, 4))


def allocate_page(call: Call, _view: View, state: VmiState) -> VmiEffects:
    """ZEROED and CLONE are hints that Linux gives wrongly for its own directory: memory is what counts."""
    return announced(state, call.eax, call.edx & PAGE_TYPES)


def release_page(call: Call, view: View, state: VmiState) -> VmiEffects:
    in_use = view.cr(3) >> 12 == call.eax
    note = Note(f"page frame {call.eax:#x} is released, but is still the root of the address space")
    return (*((note,) if in_use else ()), *announced(state, call.eax, 0))


def flush(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """InvalPage and FlushTLB. Flushing more than was asked for is always legal."""
    return (FlushTlb(),)


def flush_deferred_calls(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    return in_eax(0)


def set_linear_mapping(call: Call, _view: View, state: VmiState) -> VmiEffects:
    """A hint, kept for people to see; the page tables say the same. A slot that does not exist is ignored."""
    if call.eax >= MAPPING_SLOTS:
        return ()
    mapping = LinearMapping(call.edx, call.ecx, call.stack[0])
    return (SetVmi(replace(state, mappings=state.with_mapping(call.eax, mapping))),)


def set_lazy_mode(call: Call, _view: View, state: VmiState) -> VmiEffects:
    if call.eax not in LAZY_MODES:
        return (Note(f"SetLazyMode({call.eax:#x}) names no mode and is ignored"),)
    return (SetVmi(replace(state, lazy=call.eax)),)


def identity(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """MachineToPhysical and PhysicalToMachine: the guest's physical memory is contiguous and its own."""
    return in_eax(call.eax)


HANDLERS: Final[dict[str, Handler]] = {
    "SetPxE0": set_pxe_0,
    "GetPxE": get_pxe,
    "SwapPxE": swap_pxe,
    "SetPxELong0": set_pxe_long,
    "GetPxELong": get_pxe_long,
    "SwapPxELongAtomic": swap_pxe_long,
    "TestAndSetPxEBit": test_and_set_bit,
    "TestAndClearPxEBit": test_and_clear_bit,
    "AllocatePage": allocate_page,
    "ReleasePage": release_page,
    "InvalPage": flush,
    "FlushTLB": flush,
    "FlushDeferredCalls": flush_deferred_calls,
    "SetLinearMapping": set_linear_mapping,
    "DeactivatePxELongAtomic": deactivate_pxe_long,
    "TestAndSetPxELongBit": test_and_set_bit,
    "TestAndClearPxELongBit": test_and_clear_bit,
    "SetPxE": set_pxe,
    "SetPxELong": set_pxe_long,
    "UpdatePxE": update_pxe,
    "UpdatePxELong": update_pxe,
    "MachineToPhysical": identity,
    "PhysicalToMachine": identity,
    "SetLazyMode": set_lazy_mode,
}
