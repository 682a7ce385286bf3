"""The effects of a VMI call: those of any instruction, and what only a call can want.

Nothing here does anything; the machine applies the effects in order. Handlers keep three rules: stores to memory come
first, so that a store that faults leaves the call undone; SetSystem comes before SetFlags (but see init), because it
replaces what SetFlags changes; and everything is computed from the state before the call.
"""

from dataclasses import dataclass
from typing import Final

from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import Effect, End, Raise, SetEip
from pvtrace.x86.results import Returned


@dataclass(frozen=True, slots=True)
class SetVmi:
    state: VmiState


@dataclass(frozen=True, slots=True)
class ReadApic:
    """Load a register of the local APIC, by its offset in the APIC's page, into EAX."""

    register: int


@dataclass(frozen=True, slots=True)
class WriteApic:
    """Store to a register of the local APIC, by its offset in the APIC's page."""

    register: int
    value: int


VmiEffect = Effect | SetVmi | Returned | ReadApic | WriteApic
"""Returned changes nothing: it holds the facts of the event RETURN, which IRET and SYSEXIT are."""

VmiEffects = tuple[VmiEffect, ...]


_LEAVING: Final = frozenset({SetEip, Raise, End})


def transfers_control(effects: VmiEffects) -> bool:
    """Whether the call does not return to its caller: the machine then leaves the return address alone."""
    return not _LEAVING.isdisjoint(map(type, effects))
