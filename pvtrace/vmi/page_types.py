"""Which pages the guest has announced as page tables, and the use of pages that it has not.

The interface wants every page table announced by AllocatePage before use, and released after it; what becomes of a
guest that breaks the rule is not said. Here it goes on, and each such page is told once. Pure; looked at when a guest
switches its address space or changes an entry, never on a memory access.
"""

from dataclasses import replace
from typing import Final

from pvtrace.vmi.effects import SetVmi, VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import Note
from pvtrace.x86.view import PageFault, View

PD: Final = 2
"""Type bit of a page directory."""

_PAGE_SHIFT: Final = 12
_FRAMES: Final = (1 << 52) - 1 >> _PAGE_SHIFT
_PRESENT: Final = 1 << 0
_LARGE: Final = 1 << 7
"""Bits of a page-table entry (SDM volume 3, 4.3)."""


def announced(state: VmiState, pfn: int, kind: int) -> VmiEffects:
    """The page is a page table of these types from here on; 0: it is none any more."""
    told = tuple(frame for frame in state.told if frame != pfn)
    return (SetVmi(replace(state, page_types=state.with_page_type(pfn, kind), told=told)),)


def entry_changed(view: View, state: VmiState, pointer: int, value: int) -> VmiEffects:
    """What is to be told of a change of the entry at a linear address: of its own page, and of the table that a
    directory's entry names."""
    try:
        frame = view.physical(pointer) >> _PAGE_SHIFT
    except PageFault:
        return ()
    uses = [(frame, "a page table")]
    if state.page_type(frame) & PD and value & (_PRESENT | _LARGE) == _PRESENT:
        uses.append((value >> _PAGE_SHIFT & _FRAMES, "a table in a page directory"))
    return _tell(state, uses)


def root_loaded(state: VmiState, cr3: int) -> VmiEffects:
    """What is to be told of a page that CR3 names."""
    return _tell(state, [(cr3 >> _PAGE_SHIFT, "the root of the address space")])


def _tell(state: VmiState, uses: list[tuple[int, str]]) -> VmiEffects:
    """A Note for each page that is not announced, unless it was told before."""
    new = [(pfn, use) for pfn, use in uses if not state.page_type(pfn) and pfn not in state.told]
    if not new:
        return ()
    notes = (Note(f"page frame {pfn:#x} is {use}, but is not announced (by AllocatePage)") for pfn, use in new)
    return (*notes, SetVmi(replace(state, told=tuple(sorted({*state.told, *(pfn for pfn, _ in new)})))))
