"""CR0 and CR4: bits that a paravirtual guest cannot switch."""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.following_state import native_cr_write, written_cr
from pvtrace.divergence.rules.rule import CallRule, InstructionRule
from pvtrace.divergence.scenes import Called, Executed
from pvtrace.model.findings import Finding
from pvtrace.vmi.effects import VmiEffects
from pvtrace.x86.control_instructions import PAE, PE, PG

_NAMES: Final = {0: ((PE, "PE"), (PG, "PG")), 4: ((PAE, "PAE"),)}
"""The bits that the machine holds on to."""


def by_call(scene: Called) -> Iterator[Finding]:
    return _kept_bits(scene, scene.call.info.name, scene.here, native_cr_write(scene))


def by_instruction(scene: Executed) -> Iterator[Finding]:
    """MOV CR traps and is performed as the call is."""
    return _kept_bits(scene, "MOV CR", scene.here.effects, scene.natively.effects)


def _kept_bits(scene: Called | Executed, name: str, here: VmiEffects, natively: VmiEffects) -> Iterator[Finding]:
    mine, native = written_cr(here), written_cr(natively)
    if mine is None or native is None:
        return
    number, value = mine
    differ = value ^ native[1]
    for bit, flag in _NAMES.get(number, ()):
        if differ & bit:
            yield scene.finding(
                "cr-bits",
                f"cr{number}.{flag}",
                before=int(bool(scene.native.cr(number) & bit)),
                native=int(bool(native[1] & bit)),
                paravirtual=int(bool(value & bit)),
                text=f"{name} would make CR{number}.{flag} {int(bool(native[1] & bit))}, as it does natively; "
                f"here it stays {int(bool(value & bit))}",
            )


CALLS: Final[Mapping[str, tuple[CallRule, ...]]] = {"SetCR0": (by_call,), "SetCR4": (by_call,)}
INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {"MOV CR": (by_instruction,)}
