"""SGDT, SIDT, SLDT and STR do not trap, and show what the hypervisor has loaded, in the kernel and in user code."""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.outcomes import Outcome
from pvtrace.divergence.rules.compared import shows
from pvtrace.divergence.rules.rule import InstructionRule
from pvtrace.divergence.scenes import Executed
from pvtrace.model.findings import Finding
from pvtrace.x86.effects import WriteMemory


def _table(rule: str) -> InstructionRule:
    def judge(scene: Executed) -> Iterator[Finding]:
        native, mine = _stored(scene.natively), _stored(scene.here)
        if native is None or mine is None or native.data == mine.data:
            return
        yield scene.finding(
            rule,
            f"mem:{mine.address:08x}",
            native=_words(native.data),
            paravirtual=_words(mine.data),
            text=f"{scene.instruction.mnemonic} stores {_words(mine.data)}, the hypervisor's table; natively "
            f"{_words(native.data)}",
        )

    return judge


def _stored(outcome: Outcome) -> WriteMemory | None:
    return next((effect for effect in outcome.effects if isinstance(effect, WriteMemory)), None)


def _words(data: bytes) -> str:
    """The six bytes of a table register."""
    return f"base={int.from_bytes(data[2:], 'little'):08x} limit={int.from_bytes(data[:2], 'little'):04x}"


INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {
    "SGDT": (_table("sgdt"),),
    "SIDT": (_table("sidt"),),
    "SLDT": (shows("sldt"),),
    "STR": (shows("str"),),
}
