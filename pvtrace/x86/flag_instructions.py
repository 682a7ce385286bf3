"""CLI, STI, PUSHF and POPF, in every mode and at every level.

Natively as in the manual (SDM volume 2). In a paravirtual guest the hardware holds IF = 1 and IOPL = 0: the kernel's
CLI and STI trap and are emulated, those of user code with virtual IOPL 3 are skipped, PUSHF shows the hardware's IF
and IOPL, and POPF silently leaves both alone.

With `View.user_if`, the alternative that the proposal's authors refused, CLI and STI of such user code are emulated as
well. PUSHF and POPF stay what they are, so a section of PUSHF, CLI, POPF never gets its interrupts back; a Note says
where.
"""

from dataclasses import replace

from pvtrace.model.events import Attempt, Outcome
from pvtrace.model.registers import Gpr, Seg
from pvtrace.model.step import Step
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import SegmentFault
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.effects import Effects, Note, Raise, SetFlags, SetGpr, SetSystem
from pvtrace.x86.exceptions import GP
from pvtrace.x86.operands import MASK32, advance, is_user, is_v8086, push, read_stack, with_sp
from pvtrace.x86.results import FlagAttempt, Result
from pvtrace.x86.returns import attempt_outcome
from pvtrace.x86.view import View


def _refused(name: str, attempt: Attempt, asked: int, vector: int = GP, error: int = 0) -> Result:
    return Result(name, (Raise(vector, error),), FlagAttempt(attempt, asked, Outcome.FAULTED))


def cli(view: View, instruction: Instruction) -> Result:
    return _change_if(view, instruction, False)


def sti(view: View, instruction: Instruction) -> Result:
    """If IF becomes 1, no interrupt is taken before the end of the next instruction, emulated or not."""
    return _change_if(view, instruction, True)


def _change_if(view: View, instruction: Instruction, enable: bool) -> Result:
    name, attempt = ("STI", Attempt.STI) if enable else ("CLI", Attempt.CLI)
    system = view.system
    guest = eflags.guest_flags(view.eflags, system)
    image = eflags.IF if enable else 0
    asked = eflags.replace(guest, image, eflags.IF)
    kernel = system.paravirtual and view.cpl < 3
    if not kernel and view.cpl > system.viopl:
        return _refused(name, attempt, asked)
    if system.paravirtual and not kernel and not view.user_if:
        return Result(name, (advance(view, instruction),), FlagAttempt(attempt, asked, Outcome.SKIPPED))
    if system.vif == enable:
        return Result(name, (advance(view, instruction),), FlagAttempt(attempt, asked, Outcome.NO_CHANGE))
    change: Effects = (SetFlags(image, eflags.IF),)
    if enable:
        change = (SetSystem(replace(system, shadow=Step(view.step + 1))), *change)
    outcome = Outcome.TRAPPED if system.paravirtual else Outcome.TOOK_EFFECT
    return Result(name, (*change, advance(view, instruction)), FlagAttempt(attempt, asked, outcome))


def _never_again(view: View, asked: int) -> Effects:
    """User code has turned interrupts off by its own CLI, and now wants them back by a POPF that cannot give them."""
    system = view.system
    if not (view.user_if and system.paravirtual and view.cpl == 3 and not system.vif and asked & eflags.IF):
        return ()
    text = f"user POPF at {view.eip:08x} asks for IF=1 and is silently ignored: interrupts stay off until an STI"
    return (Note(text),)


def pushf(view: View, instruction: Instruction) -> Result:
    """PUSHF, PUSHFD. May raise PageFault only when its effects are applied."""
    system = view.system
    shown = view.eflags if system.paravirtual else eflags.guest_flags(view.eflags, system)
    image = eflags.pushed(shown) | eflags.FIXED
    if is_v8086(view) and system.viopl < 3:
        return _refused("PUSHF", Attempt.PUSHF, image)
    stack = view.segment(Seg.SS)
    try:
        writes, pointer = push(stack, view.gpr(Gpr.ESP), (image,), instruction.operand_size, user=is_user(view))
    except SegmentFault as fault:
        return _refused("PUSHF", Attempt.PUSHF, image, fault.vector, fault.error)
    effects: Effects = (*writes, SetGpr(Gpr.ESP, with_sp(view, stack, pointer)), advance(view, instruction))
    return Result("PUSHF", effects, FlagAttempt(Attempt.PUSHF, image, Outcome.READ))


def popf(view: View, instruction: Instruction) -> Result:
    """POPF, POPFD. May raise PageFault."""
    system, size = view.system, instruction.operand_size
    guest = eflags.guest_flags(view.eflags, system)
    v8086 = is_v8086(view)
    if v8086 and system.viopl < 3:
        return _refused("POPF", Attempt.POPF, guest)
    try:
        (popped,) = read_stack(view, 0, size, 1)
    except SegmentFault as fault:
        return _refused("POPF", Attempt.POPF, guest, fault.vector, fault.error)
    asked = popped if size == 4 else eflags.replace(guest, popped, 0xFFFF)
    mask = eflags.v8086_mask(size) if v8086 else eflags.popf_mask(view.cpl, system.viopl, size)
    if system.paravirtual:
        mask &= ~(eflags.IF | eflags.IOPL)
    esp = with_sp(view, view.segment(Seg.SS), (view.gpr(Gpr.ESP) + size) & MASK32)
    effects: Effects = (
        *_never_again(view, asked),
        SetFlags(asked & ~eflags.RF, mask),
        SetGpr(Gpr.ESP, esp),
        advance(view, instruction),
    )
    attempt = FlagAttempt(Attempt.POPF, asked, attempt_outcome(view, asked, mask))
    return Result("POPF", effects, attempt)
