"""Calls that were held back (vmi.deferral) and whose time has come: here they are performed."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pvtrace.machine.apply import apply
from pvtrace.vmi import deferral
from pvtrace.vmi.call import Call
from pvtrace.vmi.deferral import Queue, Released
from pvtrace.vmi.table import lost, perform_held
from pvtrace.x86.effects import Effect, FlushTlb, Raise, SetCr
from pvtrace.x86.exceptions import PF
from pvtrace.x86.view import PageFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pvtrace.machine.machine import Machine

_WRITE: Final = 2
_USER: Final = 4
"""Bits of a page fault's error code (SDM volume 3, 4.7)."""


def before_call(machine: "Machine", call: Call) -> None:
    """Perform what must not wait behind this call."""
    if machine.vmi.held:
        _perform(machine, deferral.released(call, machine.vmi))


def before_effects(machine: "Machine", effects: "Iterable[object]") -> None:
    """Perform what must not wait behind an instruction: a switch of the address space, or a flush of the TLB."""
    if not machine.vmi.held:
        return
    for effect in effects:
        match effect:
            case SetCr(3):
                _perform(machine, deferral.of_queues(machine.vmi, Queue.MMU | Queue.CPU))
            case FlushTlb():
                _perform(machine, deferral.of_queues(machine.vmi, Queue.MMU))


def resolves(machine: "Machine", raised: Raise) -> bool:
    """A page fault ends the waiting of page-table updates. Whether the access that met it would now succeed."""
    if raised.vector != PF or raised.address is None or not machine.vmi.held:
        return False
    released = deferral.of_queues(machine.vmi, Queue.MMU)
    if not released.perform:
        return False
    _perform(machine, released)
    error = raised.error or 0
    try:
        machine.cpu.physical(raised.address, write=bool(error & _WRITE), user=bool(error & _USER))
    except PageFault:
        return False
    return True


def _perform(machine: "Machine", released: Released) -> None:
    machine.vmi = replace(machine.vmi, held=released.kept)
    for waiting in released.perform:
        effects = perform_held(waiting, machine.view, machine.vmi)
        try:
            left: tuple[Effect, ...] = apply(machine, effects)
        except PageFault:
            left = apply(machine, lost(waiting))
        assert not left, "a held call only changes the state"
