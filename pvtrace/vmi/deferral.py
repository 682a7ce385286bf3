"""Which calls may wait, and which calls end the waiting: the interface's lazy modes and deferred page-table updates.

Applying everything at once is always legal, and what a kind machine does. A harsh one holds calls back for as long as
the interface allows, to find the guests that forget to flush. A call is held back whole, so an entry in memory changes
when the call is applied; what a guest stored itself and announces by UpdatePxE is seen at once. Pure: the machine
performs what is released.

Page-table updates wait in lazy mode MMU, and with the flag DEFER for an entry whose linear address is known; until that
address is invalidated, the TLB flushed, the mode ended, the address space switched, or a page fault arises. Segments,
stack and address space wait in lazy mode CPU until it ends. A call that reads what waits releases it first.
"""

from collections.abc import Callable
from enum import Flag, auto
from typing import Final, NamedTuple

from pvtrace.vmi.call import Call
from pvtrace.vmi.state import Held, VmiState
from pvtrace.x86.operands import MASK32
from pvtrace.x86.view import View
from rom.abi import by_number

LAZY_MMU: Final = 1
LAZY_CPU: Final = 2
"""Modes of SetLazyMode."""

PD: Final = 2
CURRENT_AS: Final = 0x10
DEFER: Final = 0x20
"""Flags of SetPxE: the entry's level, the entry is of this address space and maps the address in bits 12-31, and it may
wait."""

DEFERRED_MMU: Final = 0x80
DEFERRED_CPU: Final = 0x40
"""Flags of FlushDeferredCalls; 0, in 13.0, means the CPU's state."""


class Queue(Flag):
    """What of the machine a held call changes."""

    MMU = auto()
    CPU = auto()


class Released(NamedTuple):
    """`perform`: in this order, before the call at hand; `kept`: what goes on waiting. The rest is superseded."""

    perform: tuple[Held, ...]
    kept: tuple[Held, ...]


_UPDATES: Final = frozenset({"SetPxE", "SetPxELong"})
_STATE: Final = frozenset({"SetCR3", "SetLDT", "UpdateKernelStack", "WriteGDTEntry", "WriteLDTEntry", "WriteIDTEntry"})
_OLD_FORMS: Final = frozenset({"SetPxE0", "SetPxELong0"})
_RELEASES: Final[dict[str, Queue]] = {
    "SetCR3": Queue.MMU | Queue.CPU,
    "SetLazyMode": Queue.MMU | Queue.CPU,
    **dict.fromkeys(("FlushTLB", "ReleasePage", "GetPxE", "GetPxELong", "SwapPxE", "SwapPxELongAtomic"), Queue.MMU),
    **dict.fromkeys(("TestAndSetPxEBit", "TestAndClearPxEBit", "TestAndSetPxELongBit"), Queue.MMU),
    **dict.fromkeys(("TestAndClearPxELongBit", "DeactivatePxELongAtomic"), Queue.MMU),
    **dict.fromkeys(("GetCR3", "GetLDT", "SetGDT", "SetTR", "SetIDT"), Queue.CPU),
}


def _flags(name: str, ecx: int, first: int) -> int:
    return first if name == "SetPxELong" else ecx


def _entry(name: str, eax: int, edx: int, ecx: int) -> int:
    """The linear address of the page-table entry that a call is about."""
    match name:
        case "SetPxE":
            return edx
        case "SetPxELong" | "SetPxELong0":
            return ecx
        case _:
            return eax


def may_wait(call: Call, view: View, state: VmiState) -> bool:
    """Whether the call is held back."""
    if not view.latitude.defer:
        return False
    name = call.info.name
    if name in _UPDATES:
        flags = _flags(name, call.ecx, call.stack[0])
        return state.lazy == LAZY_MMU or flags & (DEFER | CURRENT_AS) == DEFER | CURRENT_AS
    return name in _STATE and state.lazy == LAZY_CPU


def held(call: Call) -> Held:
    """The call as it waits."""
    return Held(call.generation, call.number, call.eax, call.edx, call.ecx, call.stack, call.site)


def resumed(waiting: Held) -> Call:
    """The held call, to be performed; it has no return address and no stack any more."""
    info = by_number(waiting.generation, waiting.number)
    assert info is not None, "a held call is a call"
    return Call(
        waiting.generation,
        waiting.number,
        info,
        waiting.eax,
        waiting.edx,
        waiting.ecx,
        waiting.stack,
        waiting.site,
        waiting.site,
        0,
    )


def _name(waiting: Held) -> str:
    info = by_number(waiting.generation, waiting.number)
    return "" if info is None else info.name


def queue(waiting: Held) -> Queue:
    return Queue.MMU if _name(waiting) in _UPDATES else Queue.CPU


def released(call: Call, state: VmiState) -> Released:
    """What of the waiting calls is performed before this one."""
    name = call.info.name
    if name in ("UpdatePxE", "UpdatePxELong"):
        return Released((), tuple(each for each in state.held if not _same_entry(call, each)))
    return _split(state, lambda waiting: _ends(call, name, waiting))


def of_queues(state: VmiState, queues: Queue) -> Released:
    """All that waits in these queues."""
    return _split(state, lambda waiting: bool(queue(waiting) & queues))


def _split(state: VmiState, chosen: Callable[[Held], bool]) -> Released:
    perform = tuple(each for each in state.held if chosen(each))
    return Released(perform, tuple(each for each in state.held if each not in perform))


def _ends(call: Call, name: str, waiting: Held) -> bool:
    """Whether the call ends the waiting of another."""
    match name:
        case "FlushDeferredCalls":
            flags = call.eax or DEFERRED_CPU
            named = (Queue.MMU if flags & DEFERRED_MMU else Queue(0)) | (
                Queue.CPU if flags & DEFERRED_CPU else Queue(0)
            )
            return bool(queue(waiting) & named)
        case "InvalPage":
            return queue(waiting) is Queue.MMU and _maps(waiting, call.eax)
        case _ if name in _UPDATES | _OLD_FORMS:
            return _same_entry(call, waiting)
        case _:
            return bool(queue(waiting) & _RELEASES.get(name, Queue(0)))


def _same_entry(call: Call, waiting: Held) -> bool:
    name = _name(waiting)
    mine = _entry(call.info.name, call.eax, call.edx, call.ecx)
    return name in _UPDATES and _entry(name, waiting.eax, waiting.edx, waiting.ecx) == mine


def _maps(waiting: Held, address: int) -> bool:
    """Whether the waiting update is of the entry that maps the address, or of one whose address is not known."""
    name = _name(waiting)
    flags = _flags(name, waiting.ecx, waiting.stack[0])
    if not flags & CURRENT_AS:
        return True
    size = 12
    if flags & PD:
        size = 21 if name == "SetPxELong" else 22
    return (flags & MASK32) >> size == address >> size
