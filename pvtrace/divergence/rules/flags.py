"""IF and IOPL by instruction: CLI, STI, PUSHF, POPF and IRET: silent or skipped where they would act natively.

A rule compares what the same handler (x86.flag_instructions, x86.returns) says for the machine and for native hardware.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pvtrace.divergence.outcomes import Outcome, guest_eflags
from pvtrace.divergence.rules.rule import InstructionRule
from pvtrace.divergence.scenes import Executed
from pvtrace.model.findings import Finding, Standing
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import USER_RING
from pvtrace.x86.effects import WriteMemory


def _if(image: int) -> int:
    return int(bool(image & eflags.IF))


def user_iopl(scene: Executed) -> Iterator[Finding]:
    """CLI, STI and POPF of user code with IOPL 3 change IF natively; here interrupts stay on."""
    if scene.view.cpl != USER_RING:
        return
    native, paravirtual = scene.natively, scene.here
    name = scene.instruction.mnemonic
    before = _if(scene.native.eflags)
    if native.raised is None and _if(native.flags) != _if(paravirtual.flags) and _reaches_for(scene, _if):
        yield scene.finding(
            "user-iopl",
            "eflags.IF",
            before=before,
            native=_if(native.flags),
            paravirtual=_if(paravirtual.flags),
            text=f"user {name} at IOPL {scene.shadow.iopl} {_wish(scene)}: natively IF becomes "
            f"{_if(native.flags)}, here it stays {_if(paravirtual.flags)}",
        )
    elif name == "POPF" and native.raised is None and paravirtual.asked is not None:
        yield from _ignored_by_both(scene, native, before)


def _ignored_by_both(scene: Executed, native: Outcome, before: int) -> Iterator[Finding]:
    """A user POPF below IOPL 3 that asks for another IF is ignored on every machine (SDM volume 2, POPF)."""
    asked = _if(native.asked or 0)
    if scene.shadow.iopl < USER_RING and asked != before:
        yield scene.finding(
            "user-iopl",
            "eflags.IF",
            standing=Standing.HAZARD,
            before=before,
            native=before,
            paravirtual=before,
            text=f"user POPF at IOPL {scene.shadow.iopl} asks for IF={asked} and is silently ignored, natively as well",
        )


def _reaches_for(scene: Executed, of: Callable[[int], int]) -> bool:
    """Whether the instruction changes this field natively, or its operand here asks for that. One that does neither
    only shows that the field was another before."""
    native, asked = scene.natively.flags, scene.here.asked
    return of(native) != of(scene.native.eflags) or (asked is not None and of(asked) != of(guest_eflags(scene.view)))


def _wish(scene: Executed) -> str:
    if scene.instruction.mnemonic == "POPF":
        return f"with image {scene.here.asked or 0:#x}"
    return "asks for IF=1" if scene.instruction.mnemonic == "STI" else "asks for IF=0"


def popf(scene: Executed) -> Iterator[Finding]:
    """POPF of the kernel: natively it loads IF and IOPL, at CPL 1 with IOPL 0 it leaves them alone."""
    if scene.view.cpl == USER_RING:
        return
    native, paravirtual = scene.natively, scene.here
    if native.raised is not None or paravirtual.raised is not None:
        return
    yield from _owned_bits(scene, "popf", native, paravirtual)


def _owned_bits(scene: Executed, rule: str, native: Outcome, paravirtual: Outcome) -> Iterator[Finding]:
    """IF, or else IOPL, after the instruction, by the image that it took."""
    name = scene.instruction.mnemonic
    before = scene.native.eflags
    for what, of in (("IF", _if), ("IOPL", eflags.iopl)):
        if of(native.flags) != of(paravirtual.flags) and _reaches_for(scene, of):
            yield scene.finding(
                rule,
                f"eflags.{what}",
                before=of(before),
                native=of(native.flags),
                paravirtual=of(paravirtual.flags),
                text=f"kernel {name} with image {paravirtual.asked or 0:#x}: natively {what} becomes "
                f"{of(native.flags)}, here it stays {of(paravirtual.flags)}",
            )
            return


def pushf(scene: Executed) -> Iterator[Finding]:
    """PUSHF shows the hardware's IF and IOPL, which are 1 and 0 whatever the guest has set."""
    native, paravirtual = scene.natively, scene.here
    shown, here = _stored(native), _stored(paravirtual)
    if shown is None or here is None:
        return
    differ = [name for name, of in (("IF", _if), ("IOPL", eflags.iopl)) if of(shown) != of(here)]
    if differ:
        yield scene.finding(
            "pushf",
            "+".join(f"image.{name}" for name in differ),
            native=shown,
            paravirtual=here,
            text=f"PUSHF stores IF={_if(here)} IOPL={eflags.iopl(here)}; natively it would be "
            f"IF={_if(shown)} IOPL={eflags.iopl(shown)}",
        )


def _stored(outcome: Outcome) -> int | None:
    """The image that PUSHF pushes."""
    stores = [effect for effect in outcome.effects if isinstance(effect, WriteMemory)]
    return int.from_bytes(stores[0].data, "little") if stores else None


def iret(scene: Executed) -> Iterator[Finding]:
    """IRET of the kernel by instruction: IF and IOPL stay, and a return to RPL 0 is #GP."""
    if scene.view.cpl == USER_RING:
        return
    native, paravirtual = scene.natively, scene.here
    if native.raised is not None:
        return
    if paravirtual.raised is not None:
        yield scene.finding(
            "iret",
            "exception",
            native="returns",
            paravirtual=paravirtual.raised_words,
            text=f"IRET by instruction raises {paravirtual.raised_words}; natively it returns",
        )
        return
    yield from _owned_bits(scene, "iret", native, paravirtual)


INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {
    "CLI": (user_iopl,),
    "STI": (user_iopl,),
    "POPF": (user_iopl, popf),
    "PUSHF": (pushf,),
    "IRET": (iret,),
}
