"""Descriptors as instructions see them: LAR, LSL, VERR and VERW show them, loads of segment registers check them."""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.outcomes import exception_words, instruction_outcome
from pvtrace.divergence.rules.addresses import reaches_hypervisor
from pvtrace.divergence.rules.compared import shows
from pvtrace.divergence.rules.rule import FaultRule, InstructionRule
from pvtrace.divergence.scenes import Faulted
from pvtrace.model.findings import Finding
from pvtrace.model.registers import Seg
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.exceptions import GP, NP, SS
from pvtrace.x86.segment_instructions import LOAD, POINTED, POPPED

_LOADS: Final = "is loaded"


def loaded_register(instruction: Instruction) -> Seg | None:
    """The segment register that the instruction loads; None if it is none of MOV, POP, LDS, LES, LFS, LGS and LSS."""
    opcode = instruction.opcode
    if opcode == LOAD:
        return Seg(instruction.reg) if instruction.reg <= Seg.GS else None
    if opcode in POINTED and instruction.memory is None:
        return None
    return POPPED.get(opcode) or POINTED.get(opcode)


def load(scene: Faulted) -> Iterator[Finding]:
    """A load that faults for its selector or descriptor, and natively does not, or otherwise. One that faults for where
    the selector lies is rules.addresses'."""
    register = loaded_register(scene.instruction)
    if register is None or reaches_hypervisor(scene) is not None:
        return
    outcome = instruction_outcome(scene.native, scene.code)
    native, mine = outcome.raised_words or _LOADS, exception_words(scene.vector, scene.error)
    if native != mine:
        yield scene.finding(
            "load-ss" if register is Seg.SS else "load-data-segment",
            "exception",
            native=native,
            paravirtual=mine,
            text=f"{scene.instruction.mnemonic} to {register.name} raises {mine}; natively "
            + (f"the segment {native}" if native == _LOADS else f"it raises {native}"),
        )


INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {
    "LAR": (shows("lar"),),
    "LSL": (shows("lsl"),),
    "VERR": (shows("verr-verw"),),
    "VERW": (shows("verr-verw"),),
}
FAULTS: Final[Mapping[int, tuple[FaultRule, ...]]] = dict.fromkeys((GP, NP, SS), (load,))
