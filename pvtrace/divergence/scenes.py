"""What a rule is shown: one moment of the run, as the machine has it and as it would be natively. Frozen; nothing acts.

A scene is taken before the machine does anything about the moment, but for Happened, which is taken after it.
"""

from dataclasses import dataclass

from pvtrace.divergence.native_view import NativeView
from pvtrace.divergence.outcomes import Outcome
from pvtrace.divergence.quiet_view import QuietView
from pvtrace.divergence.shadow import Shadow
from pvtrace.model.events import Event
from pvtrace.model.findings import Finding, Shown, Standing
from pvtrace.model.step import Step
from pvtrace.vmi.call import Call
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.disasm import Instruction


@dataclass(frozen=True, slots=True)
class Scene:
    """`pc`: linear address of the instruction or call site, `code`: the bytes there; `step`: the step count after the
    moment. `view`: the machine; `native`: the machine as it would be natively."""

    step: Step
    pc: int
    code: bytes
    view: QuietView
    native: NativeView
    shadow: Shadow

    def finding(
        self,
        rule: str,
        what: str,
        *,
        native: Shown,
        paravirtual: Shown,
        text: str,
        before: Shown = None,
        standing: Standing = Standing.PROVEN,
        setting: str = "",
        opened_by: int | None = None,
    ) -> Finding:
        """A finding about this moment (see model.findings)."""
        return Finding(
            rule=rule,
            step=self.step,
            pc=self.pc,
            standing=standing,
            what=what,
            before=before,
            native=native,
            paravirtual=paravirtual,
            text=text,
            code=self.code,
            setting=setting,
            opened_by=opened_by,
        )


@dataclass(frozen=True, slots=True)
class Executed(Scene):
    """A privileged or sensitive instruction is about to be performed, by the machine or by the CPU itself. `natively`,
    `here`: what it does on native hardware, and what it does on the machine."""

    instruction: Instruction
    natively: Outcome
    here: Outcome


@dataclass(frozen=True, slots=True)
class Called(Scene):
    """A VMI call was made, and is about to be performed. `pc` is the call site, and so is the EIP of `native`, whose
    stack has no return address: natively nothing was called. `here`: what the call does."""

    call: Call
    vmi: VmiState
    here: VmiEffects


@dataclass(frozen=True, slots=True)
class Faulted(Scene):
    """The CPU itself raised an exception at an instruction, which is about to be delivered. `address`: CR2 of #PF."""

    vector: int
    error: int | None
    address: int | None
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Loaded(Scene):
    """An instruction has read `width` bytes from a linear `address` on, some of them in or near descriptors that the
    machine has rewritten. The machine stands behind it."""

    address: int
    width: int
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Happened(Scene):
    """An event was logged; the machine stands behind it. `number`: the event's; `called`: the last VMI call's event,
    and `call` that call itself, if rules were shown it (rules.CALLS); `vif_before`: the guest's IF before that call;
    `vmi`: as it is behind the event."""

    event: Event
    number: int
    called: Event | None
    call: Call | None
    vif_before: bool
    vmi: VmiState
