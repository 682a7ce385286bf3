"""What one instruction leaves on the machine and on native hardware, side by side: the first thing that differs.

Rules about instructions that only show something are all of this kind.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pvtrace.divergence.outcomes import Outcome
from pvtrace.divergence.rules.rule import InstructionRule
from pvtrace.divergence.scenes import Executed
from pvtrace.model.findings import Finding, Shown, Standing
from pvtrace.model.registers import Gpr, Seg
from pvtrace.x86 import eflags
from pvtrace.x86.effects import SetFlags, SetGpr, SetSegment, WriteMemory
from pvtrace.x86.exceptions import PF


class Difference(NamedTuple):
    """`what` as in model.findings; `mine` is the paravirtual outcome."""

    what: str
    native: Shown
    mine: Shown


def left_by(outcome: Outcome) -> Mapping[str, int]:
    """ZF, registers, segment registers' selectors and memory that the instruction sets, by name."""
    found: dict[str, int] = {}
    for effect in outcome.effects:
        match effect:
            case SetFlags(image, mask) if mask == eflags.ZF:
                found["eflags.ZF"] = int(bool(image & mask))
            case SetGpr(register, value):
                found[Gpr(register).name.lower()] = value
            case SetSegment(register, segment):
                found[Seg(register).name.lower()] = segment.selector
            case WriteMemory(address, data):
                found[f"mem:{address:08x}"] = int.from_bytes(data, "little")
            case _:
                pass
    return found


def raised(scene: Executed, otherwise: str) -> Difference | None:
    """Another exception, or one on one machine alone. `otherwise`: what happens without. Page faults are the same."""
    outcomes = scene.natively, scene.here
    if any(outcome.raised is not None and outcome.raised.vector == PF for outcome in outcomes):
        return None
    native, mine = (outcome.raised_words or otherwise for outcome in outcomes)
    return Difference("exception", native, mine) if native != mine else None


def difference(scene: Executed) -> Difference | None:
    """ZF first: with another answer, there may be no other value."""
    native, mine = left_by(scene.natively), left_by(scene.here)
    names = sorted(native.keys() | mine.keys(), key=lambda name: name != "eflags.ZF")
    return next(
        (Difference(name, native.get(name), mine.get(name)) for name in names if native.get(name) != mine.get(name)),
        None,
    )


def found(scene: Executed, rule: str, each: Difference, standing: Standing = Standing.PROVEN) -> Finding:
    name = scene.instruction.mnemonic
    return scene.finding(
        rule,
        each.what,
        standing=standing,
        native=each.native,
        paravirtual=each.mine,
        text=f"{name} gives {each.what}={words(each.mine)}, natively {words(each.native)}",
    )


def words(value: Shown) -> str:
    match value:
        case None:
            return "unchanged"
        case int():
            return f"{value:#x}"
        case _:
            return value


def shows(rule: str) -> InstructionRule:
    """The rule for an instruction that shows another value than natively."""

    def judge(scene: Executed) -> Iterator[Finding]:
        each = difference(scene)
        if scene.natively.raised is None and scene.here.raised is None and each is not None:
            yield found(scene, rule, each)

    return judge
