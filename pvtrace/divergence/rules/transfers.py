"""RETF, far JMP and CALL, and INT n by the kernel: what checks the level that it runs at, or leaves it in CS."""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.quiet_view import QuietView
from pvtrace.divergence.rules.compared import Difference, left_by, raised
from pvtrace.divergence.rules.rule import InstructionRule
from pvtrace.divergence.scenes import Executed
from pvtrace.model.findings import Finding, Standing
from pvtrace.x86.descriptors import KERNEL_RING

_PASSES: Final = "passes"


def _refused(scene: Executed, rule: str, each: Difference) -> Finding:
    name = scene.instruction.mnemonic
    return scene.finding(
        rule,
        each.what,
        native=each.native,
        paravirtual=each.mine,
        text=f"{name}: {each.mine}; natively: {each.native}",
    )


def retf(scene: Executed) -> Iterator[Finding]:
    each = raised(scene, "returns")
    if each is not None:
        yield _refused(scene, "retf", each)


def far_transfer(scene: Executed) -> Iterator[Finding]:
    """A far JMP or CALL of the kernel goes to RPL 0 without a fault, and CS then names the kernel's ring."""
    each = raised(scene, _PASSES)
    if each is not None:
        yield _refused(scene, "far-transfer", each)
        return
    native, mine = left_by(scene.natively).get("cs"), left_by(scene.here).get("cs")
    if native is not None and mine is not None and native != mine:
        yield scene.finding(
            "far-transfer",
            "cs",
            native=native,
            paravirtual=mine,
            text=f"{scene.instruction.mnemonic} leaves CS={mine:#x}, natively {native:#x}",
        )


def int_gate(scene: Executed) -> Iterator[Finding]:
    """INT n through a gate of DPL 0 (`is_low_gate`): this machine lets the kernel pass, as natively; a CPU at the
    kernel's ring alone would refuse it."""
    each = raised(scene, _PASSES)
    if each is not None:
        yield _refused(scene, "int-gate", each)
        return
    if scene.here.raised is None:
        yield scene.finding(
            "int-gate",
            "exception",
            standing=Standing.POTENTIAL,
            native=_PASSES,
            paravirtual=_PASSES,
            text=f"{scene.instruction.mnemonic} of the kernel through a gate of DPL 0 passes here, as natively; where "
            "the hypervisor keeps the gates itself it may be #GP",
        )


def is_low_gate(view: QuietView, vector: int) -> bool:
    """Whether the vector's gate is for a more privileged level than the kernel's ring."""
    gate = view.gate(vector)
    return gate is not None and gate.dpl < KERNEL_RING


INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {
    "RETF": (retf,),
    "JMP FAR": (far_transfer,),
    "CALL FAR": (far_transfer,),
    "INT": (int_gate,),
    "INT3": (int_gate,),
    "INTO": (int_gate,),
}
