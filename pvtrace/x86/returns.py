"""IRET, in all its forms.

Natively by the manual (SDM volume 2, IRET). By instruction in a paravirtual guest it runs on the deprivileged hardware,
which knows CPL 1 or 3 and IOPL 0: the same algorithm with those numbers, so IF, IOPL and VM are silently left alone and
a return to privilege level 0 is #GP(selector).
"""

from typing import Final, NamedTuple

from pvtrace.model.events import Attempt, Outcome
from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.model.stops import Why
from pvtrace.x86 import descriptors, eflags
from pvtrace.x86.descriptors import SegmentFault
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.effects import Effect, Effects, End, Raise, SetEip, SetFlags, SetGpr, SetSegment
from pvtrace.x86.exceptions import GP, NP, SS
from pvtrace.x86.operands import MASK32, is_protected, is_v8086, next_eip, read_stack, with_sp, within
from pvtrace.x86.results import FlagAttempt, Result, Returned
from pvtrace.x86.task_switch import By, previous, switch
from pvtrace.x86.view import View

_DATA_SEGMENTS: Final = (Seg.ES, Seg.FS, Seg.GS, Seg.DS)


class _Frame(NamedTuple):
    """What every IRET pops: `size` bytes each; `asked` is the full EFLAGS image."""

    size: int
    eip: int
    selector: int
    asked: int


def attempt_outcome(view: View, asked: int, mask: int) -> Outcome:
    """What becomes of an image that asks for IF and IOPL when only the bits of `mask` are taken from it."""
    wanted = (asked ^ eflags.guest_flags(view.eflags, view.system)) & (eflags.IF | eflags.IOPL)
    if wanted & mask:
        return Outcome.TOOK_EFFECT
    return Outcome.IGNORED if wanted else Outcome.NO_CHANGE


def iret(view: View, instruction: Instruction) -> Result:
    """IRET by instruction. May raise PageFault while it reads the stack or the tables."""
    protected = is_protected(view)
    asked = eflags.guest_flags(view.eflags, view.system)
    try:
        if protected and view.eflags & eflags.NT:
            return _to_caller(view, instruction)
        if is_v8086(view) and view.system.viopl < 3:
            raise SegmentFault(GP, 0)
        size = instruction.operand_size
        eip, selector, image = read_stack(view, 0, size, 3)
        asked = _asked(view, image, size)
        frame = _Frame(size, eip, selector & 0xFFFF, asked)
        return _protected(view, frame) if protected else _same_mode(view, frame)
    except SegmentFault as fault:
        attempt = FlagAttempt(Attempt.IRET, asked, Outcome.FAULTED)
        return Result("IRET", (Raise(fault.vector, fault.error),), attempt)


def _to_caller(view: View, instruction: Instruction) -> Result:
    """NT is set: back to the task that the current TSS is linked to."""
    if view.system.paravirtual:
        detail = f"IRET at {view.eip:08x} with NT set returns to another task, which ends a paravirtual guest"
        return Result("IRET", (End(Why.UNSUPPORTED, 0, detail),))
    outcome = switch(view, previous(view), By.RETURN, return_eip=next_eip(view, instruction.length))
    if isinstance(outcome, End):
        return Result("IRET", (outcome,))
    returned = Returned(outcome.eip, outcome.cs, outcome.image, outcome.esp, outcome.ss)
    return Result("IRET", outcome.effects, returned=returned, task_switch=True)


def _asked(view: View, image: int, size: int) -> int:
    """The full image: a 16-bit one leaves the upper half as it is."""
    if size == 4:
        return image
    return (eflags.guest_flags(view.eflags, view.system) & 0xFFFF0000) | image


def _result(view: View, frame: _Frame, mask: int, effects: Effects, returned: Returned) -> Result:
    attempt = FlagAttempt(Attempt.IRET, frame.asked, attempt_outcome(view, frame.asked, mask))
    return Result("IRET", effects, attempt, returned=returned)


def _near(view: View, frame: _Frame, code: Segment, mask: int) -> Result:
    """The return that stays on its level and stack."""
    stack = view.segment(Seg.SS)
    esp = with_sp(view, stack, (view.gpr(Gpr.ESP) + 3 * frame.size) & MASK32)
    effects: Effects = (
        SetFlags(frame.asked, mask),
        SetGpr(Gpr.ESP, esp),
        SetSegment(Seg.CS, code),
        SetEip(frame.eip),
    )
    return _result(view, frame, mask, effects, Returned(frame.eip, code.selector, frame.asked, esp, stack.selector))


def _same_mode(view: View, frame: _Frame) -> Result:
    """In real mode, or in virtual-8086 mode with IOPL 3: nothing but a segment base comes from the selector."""
    old = view.segment(Seg.CS)
    if not within(old, frame.eip, 1):
        raise SegmentFault(GP, 0)
    if not is_v8086(view):
        mask = eflags.iret_mask(0, 0, frame.size) & ~(eflags.VIF | eflags.VIP)
        return _near(view, frame, descriptors.real_mode_segment(frame.selector, old), mask)
    mask = eflags.v8086_mask(frame.size)
    if view.system.paravirtual:
        mask &= ~eflags.IF
    return _near(view, frame, descriptors.v8086_segment(frame.selector), mask)


def _protected(view: View, frame: _Frame) -> Result:
    if frame.asked & eflags.VM and frame.size == 4 and view.cpl == 0:
        return _to_v8086(view, frame)
    code = _return_segment(view, frame.selector)
    iopl = 0 if view.system.paravirtual else view.system.viopl
    mask = eflags.iret_mask(view.cpl, iopl, frame.size)
    if code.rpl > view.cpl:
        return _outer(view, frame, code, mask)
    if not within(code, frame.eip, 1):
        raise SegmentFault(GP, 0)
    return _near(view, frame, code, mask)


def _return_segment(view: View, selector: int) -> Segment:
    """The code segment to return to, after the manual's checks."""
    if descriptors.is_null(selector):
        raise SegmentFault(GP, 0)
    error = selector & 0xFFFC
    segment = descriptors.load(view, selector)
    level = selector & 3
    if not descriptors.is_code(segment.attributes) or level < view.cpl:
        raise SegmentFault(GP, error)
    conforming = descriptors.is_conforming(segment.attributes)
    if segment.dpl > level if conforming else segment.dpl != level:
        raise SegmentFault(GP, error)
    if not descriptors.is_present(segment.attributes):
        raise SegmentFault(NP, error)
    return segment


def _outer(view: View, frame: _Frame, code: Segment, mask: int) -> Result:
    """To a less privileged level: SS:ESP too, and data segments that it may not use are nulled."""
    pointer, selector = read_stack(view, 3 * frame.size, frame.size, 2)
    selector &= 0xFFFF
    level = code.rpl
    if descriptors.is_null(selector):
        raise SegmentFault(GP, 0)
    error = selector & 0xFFFC
    stack = descriptors.load(view, selector)
    writable = descriptors.is_writable_data(stack.attributes)
    if stack.rpl != level or stack.dpl != level or not writable:
        raise SegmentFault(GP, error)
    if not descriptors.is_present(stack.attributes):
        raise SegmentFault(SS, error)
    if not within(code, frame.eip, 1):
        raise SegmentFault(GP, 0)
    esp = with_sp(view, stack, pointer)
    effects: Effects = (
        SetFlags(frame.asked, mask),
        SetSegment(Seg.CS, code),
        SetSegment(Seg.SS, stack),
        SetGpr(Gpr.ESP, esp),
        *nulled_data_segments(view, level),
        SetEip(frame.eip),
    )
    return _result(view, frame, mask, effects, Returned(frame.eip, code.selector, frame.asked, esp, selector))


def nulled_data_segments(view: View, level: int) -> tuple[Effect, ...]:
    """Data segment registers too privileged for `level` become null (SDM volume 2, IRET, RETURN-TO-OUTER)."""
    effects: list[Effect] = []
    for register in _DATA_SEGMENTS:
        segment = view.segment(register)
        if descriptors.is_null(segment.selector):
            continue
        if segment.dpl < level and not descriptors.is_conforming(segment.attributes):
            effects.append(SetSegment(register, descriptors.null_segment()))
    return tuple(effects)


def _to_v8086(view: View, frame: _Frame) -> Result:
    esp, ss, es, ds, fs, gs = read_stack(view, 12, 4, 6)
    if frame.eip > 0xFFFF:
        raise SegmentFault(GP, 0)
    mask = eflags.v8086_return_mask()
    loads = ((Seg.CS, frame.selector), (Seg.SS, ss), (Seg.ES, es), (Seg.DS, ds), (Seg.FS, fs), (Seg.GS, gs))
    effects: Effects = (
        SetFlags(frame.asked, mask),
        *(SetSegment(register, descriptors.v8086_segment(value & 0xFFFF)) for register, value in loads),
        SetGpr(Gpr.ESP, esp),
        SetEip(frame.eip),
    )
    return _result(view, frame, mask, effects, Returned(frame.eip, frame.selector, frame.asked, esp, ss & 0xFFFF))
