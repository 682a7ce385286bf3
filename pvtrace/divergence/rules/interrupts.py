"""When interrupts come: behind EnableInterrupts, non-maskable ones, and a Halt with interrupts off."""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.rules.calls import at_site, info_of
from pvtrace.divergence.rules.rule import CallRule, EventRule
from pvtrace.divergence.scenes import Called, Happened
from pvtrace.machine.entry import NMI_DROPPED
from pvtrace.model.events import Kind
from pvtrace.model.findings import Finding, Standing
from pvtrace.x86.descriptors import USER_RING
from pvtrace.x86.disasm import text
from pvtrace.x86.exceptions import mnemonic


def no_sti_shadow(scene: Happened) -> Iterator[Finding]:
    """STI holds interrupts back for one more instruction if they were off; the call does not. What SetInterruptMask,
    IRET and SYSEXIT stand for has no shadow either, or it is over with them."""
    call = scene.called
    if call is None or call.step != scene.event.step or scene.vif_before:
        return
    info = info_of(call)
    if info is None or info.name != "EnableInterrupts":
        return
    vector = scene.event.args[0]
    assert isinstance(vector, int)
    found = scene.finding(
        "no-sti-shadow",
        "interrupt",
        native="behind the next instruction",
        paravirtual="before it",
        text=f"{mnemonic(vector)} comes before the instruction behind EnableInterrupts ({text(scene.code, scene.pc)}); "
        "natively STI holds it back for one instruction",
    )
    yield at_site(scene, found, call)


def no_nmi(scene: Happened) -> Iterator[Finding]:
    """A non-maskable interrupt was dropped."""
    if scene.event.args[0] != NMI_DROPPED:
        return
    yield scene.finding(
        "no-nmi",
        "interrupt",
        native="vector 2",
        paravirtual="nothing",
        text="a non-maskable interrupt is dropped; natively the handler of vector 2 runs",
    )


def halt_if(scene: Called) -> Iterator[Finding]:
    """Halt stands for STI; HLT as well as for HLT, and nothing tells which of them was here. HLT alone differs."""
    if scene.view.cpl == USER_RING or scene.native.system.vif:
        return
    yield scene.finding(
        "halt-if",
        "halt",
        before=0,
        native="sleeps for ever, or switches interrupts on",
        paravirtual="switches interrupts on",
        text="Halt with interrupts off switches them on: natively STI; HLT does so too, but HLT alone sleeps for ever",
        standing=Standing.POTENTIAL,
    )


CALLS: Final[Mapping[str, tuple[CallRule, ...]]] = {"Halt": (halt_if,)}
EVENTS: Final[Mapping[Kind, tuple[EventRule, ...]]] = {
    Kind.INTERRUPT: (no_sti_shadow,),
    Kind.NOTE: (no_nmi,),
}
