"""What the processor says of itself: CPUID, SMSW, and the counters of RDTSC and RDPMC. None of them need trap.

This machine's CPU shows the guest one truth by instruction and by call, so they mostly stay potential.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.rules.compared import Difference, difference, found
from pvtrace.divergence.rules.rule import InstructionRule
from pvtrace.divergence.scenes import Executed
from pvtrace.model.findings import Finding, Standing
from pvtrace.model.registers import Gpr


def _potential(scene: Executed, rule: str, what: str, text: str) -> Finding:
    return scene.finding(rule, what, standing=Standing.POTENTIAL, native="the same", paravirtual="the same", text=text)


def _both_pass(scene: Executed) -> bool:
    return scene.natively.raised is None and scene.here.raised is None


def cpuid(scene: Executed) -> Iterator[Finding]:
    """One finding for all four registers."""
    leaf = scene.view.gpr(Gpr.EAX)
    each = difference(scene)
    if each is not None:
        yield found(scene, "cpuid", Difference(f"leaf:{leaf:x}.{each.what}", each.native, each.mine))
    else:
        yield _potential(
            scene,
            "cpuid",
            f"leaf:{leaf:x}",
            f"CPUID leaf {leaf:#x} by instruction shows the hardware; the call would show the virtual processor",
        )


def counter(scene: Executed) -> Iterator[Finding]:
    """Natively nobody else's time passes between two readings."""
    if _both_pass(scene):
        name = scene.instruction.mnemonic
        yield _potential(
            scene, "tsc", "edx:eax", f"{name} by instruction reads the hardware, whose count goes on in stolen time"
        )


def smsw(scene: Executed) -> Iterator[Finding]:
    if not _both_pass(scene):
        return
    each = difference(scene)
    if each is not None:
        yield found(scene, "smsw", each)
    else:
        yield _potential(scene, "smsw", "cr0", "SMSW shows the hardware's CR0, which a hypervisor may keep another")


INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {
    "CPUID": (cpuid,),
    "RDTSC": (counter,),
    "RDPMC": (counter,),
    "SMSW": (smsw,),
}
