"""Selectors that the kernel reads back, by ARPL, MOV from and PUSH of a segment register: with the RPL of its ring."""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.native_view import native_selector
from pvtrace.divergence.rules.compared import Difference, difference, found, left_by, shows
from pvtrace.divergence.rules.rule import InstructionRule, Reading
from pvtrace.divergence.scenes import Executed
from pvtrace.model.findings import Finding
from pvtrace.model.registers import Seg
from pvtrace.x86.descriptors import KERNEL_RING
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.segment_instructions import PUSHED, STORE
from pvtrace.x86.view import View

_ZF: Final = "eflags.ZF"


def arpl(scene: Executed) -> Iterator[Finding]:
    """Another answer, or another RPL than the one that comes of the selectors' own rings."""
    if scene.natively.raised is not None or scene.here.raised is not None:
        return
    native, mine = left_by(scene.natively), left_by(scene.here)
    if native[_ZF] != mine[_ZF]:
        yield found(scene, "arpl", Difference(_ZF, native[_ZF], mine[_ZF]))
        return
    for name, value in native.items():
        if name != _ZF and value != native_selector(mine[name]):
            yield found(scene, "arpl", Difference(name, value, mine[name]))
            return


_store = shows("mov-sreg")


def move(scene: Executed) -> Iterator[Finding]:
    if scene.instruction.opcode == STORE:
        yield from _store(scene)


def push(scene: Executed) -> Iterator[Finding]:
    each = difference(scene)
    if each is not None:
        yield found(scene, "push-sreg", each)


def read_selector(view: View, instruction: Instruction) -> int | None:
    """The selector that PUSH or MOV shows, if it is one that natively is another; the machine's state matters no
    further."""
    pushed = PUSHED.get(instruction.opcode)
    register = instruction.reg if pushed is None else pushed
    if register > Seg.GS:
        return None
    selector = view.segment(register).selector
    return selector if selector & 3 == KERNEL_RING else None


READS: Final[Mapping[str, Reading]] = {"MOV SREG": read_selector, "PUSH": read_selector}
INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {
    "ARPL": (arpl,),
    "MOV SREG": (move,),
    "PUSH": (push,),
}
