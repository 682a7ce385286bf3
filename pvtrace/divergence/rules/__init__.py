"""Which rules are asked at which moment: the tables of all families put together.

`INSTRUCTIONS` by mnemonic (x86.disasm), `CALLS` by the call's name (rom.abi) and `EVERY_CALL` for all of them, `FAULTS`
for every exception that the CPU itself raises, `EVENTS` by kind.
"""

from collections.abc import Mapping
from typing import Final

from pvtrace.divergence.rules import flags
from pvtrace.divergence.rules.rule import CallRule, EventRule, FaultRule, InstructionRule
from pvtrace.model.events import Kind

INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {**flags.INSTRUCTIONS}
CALLS: Final[Mapping[str, tuple[CallRule, ...]]] = {}
EVERY_CALL: Final[tuple[CallRule, ...]] = ()
FAULTS: Final[tuple[FaultRule, ...]] = ()
EVENTS: Final[Mapping[Kind, tuple[EventRule, ...]]] = {}
