"""Which rules are asked at which moment: the tables of all families put together.

`INSTRUCTIONS` by mnemonic (x86.disasm), `CALLS` by the call's name (rom.abi) before it is performed, `RETURNED` by its
unified number when it has returned (those in `WAITING` only where updates may wait), `FAULTS` by the vector of an
exception that the CPU itself raises, `LOADS` for reads of rewritten descriptors, `EVENTS` by kind. `READS` by mnemonic:
what the outcome of such an instruction depends on, so that the same read at the same place is asked about once. A
family's place in the lists is the order in which its rules are asked: what follows from a finding comes after it.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from pvtrace.divergence.rules import (
    addresses,
    calls,
    consequences,
    control,
    delivery,
    descriptors,
    flags,
    interrupts,
    processor,
    read_back,
    returns,
    segments,
    selectors,
    tables,
    transfers,
)
from pvtrace.divergence.rules.rule import CallRule, EventRule, FaultRule, InstructionRule, LoadRule, Reading
from pvtrace.model.events import Kind

K = TypeVar("K")
R = TypeVar("R")


def _merged(*families: Mapping[K, tuple[R, ...]]) -> Mapping[K, tuple[R, ...]]:
    keys = dict.fromkeys(key for family in families for key in family)
    return {key: tuple(rule for family in families for rule in family.get(key, ())) for key in keys}


INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = _merged(
    flags.INSTRUCTIONS,
    selectors.INSTRUCTIONS,
    segments.INSTRUCTIONS,
    transfers.INSTRUCTIONS,
    tables.INSTRUCTIONS,
    processor.INSTRUCTIONS,
    addresses.INSTRUCTIONS,
    descriptors.INSTRUCTIONS,
    control.INSTRUCTIONS,
    consequences.INSTRUCTIONS,
)
CALLS: Final[Mapping[str, tuple[CallRule, ...]]] = _merged(
    returns.CALLS, descriptors.CALLS, control.CALLS, interrupts.CALLS
)
READS: Final[Mapping[str, Reading]] = selectors.READS
LOADS: Final[tuple[LoadRule, ...]] = read_back.LOADS
FAULTS: Final[Mapping[int, tuple[FaultRule, ...]]] = _merged(segments.FAULTS, addresses.FAULTS)
RETURNED: Final[Mapping[int, tuple[EventRule, ...]]] = calls.RETURNED
WAITING: Final[frozenset[int]] = calls.WAITING
EVENTS: Final[Mapping[Kind, tuple[EventRule, ...]]] = _merged(
    delivery.EVENTS, calls.EVENTS, interrupts.EVENTS, consequences.EVENTS
)
