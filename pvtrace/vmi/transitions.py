"""Leaving the kernel, or an inner handler: IRET and SYSEXIT (vmi: privilege transition calls).

Neither returns to its caller. A target that cannot be entered is an exception at the call site, with ESP at the frame,
which is where a kernel's exception table looks for it.
"""

from dataclasses import replace
from struct import unpack
from typing import Final

from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.model.stops import Why
from pvtrace.vmi.call import Call, Handler, as_call, at_site
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.delivery import as_exception
from pvtrace.x86.descriptors import (
    KERNEL_RING,
    deprivileged,
    fetch,
    is_code,
    is_conforming,
    is_null,
    is_present,
    is_writable_data,
    segment_from_descriptor,
    v8086_segment,
)
from pvtrace.x86.effects import Effect, End, Note, Raise, SetEip, SetFlags, SetGpr, SetSegment, SetSystem
from pvtrace.x86.eflags import IF, UNPRIVILEGED, VM
from pvtrace.x86.exceptions import GP, NP, SS, mnemonic
from pvtrace.x86.fast_calls import SYSENTER_CS
from pvtrace.x86.operands import MASK32, with_sp
from pvtrace.x86.privileged import execute
from pvtrace.x86.results import Returned
from pvtrace.x86.returns import nulled_data_segments
from pvtrace.x86.view import PageFault, View

USER_RING: Final = 3

_SYSEXIT: Final = bytes.fromhex("0f35")
_V8086_ORDER: Final = (Seg.ES, Seg.DS, Seg.FS, Seg.GS)


def iret(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """Return through the frame, or raise what is wrong with it as the native instruction would: at the site, with ESP
    at the frame. With the latitude of iret-fault, the guest ends there."""
    try:
        effects = _iret(call, view)
    except PageFault as refused:
        effects = (as_exception(refused),)
    match effects:
        case (*_, Raise(vector, error, _)) if view.latitude.iret_fault:
            return (End(Why.TERMINATED, detail=_unfinished(call, vector, error)),)
        case (*_, Raise()):
            return (*at_site(call), *effects)
        case _:
            return effects


def _unfinished(call: Call, vector: int, error: int | None) -> str:
    code = "" if error is None else f"({error:#x})"
    return f"VMI IRET at {call.site:08x} faults with {mnemonic(vector)}{code}, which this hypervisor does not reflect"


def _iret(call: Call, view: View) -> VmiEffects:
    """Return through the frame EIP, CS, EFLAGS [, ESP, SS [, ES, DS, FS, GS]] above the return address.

    Virtual IF comes from the image, virtual IOPL stays. A kernel selector may have RPL 0 and is loaded with the
    kernel's. User code runs with interrupts on, whatever the image says, unless its own CLI may turn them off.
    """
    frame = call.esp + 4 & MASK32
    eip, cs, image = unpack("<III", view.read(frame, 12))
    cs &= 0xFFFF
    if image & VM:
        return _to_v8086(call, view, eip, cs, image)
    if cs & 3 == USER_RING:
        return _to_user(call, view, eip, cs, image)
    code = _code(view, cs, KERNEL_RING, eip)
    if isinstance(code, Raise):
        return (code,)
    esp = frame + 12 & MASK32
    stack = view.segment(Seg.SS).selector
    return (
        SetFlags(image, UNPRIVILEGED | IF),
        SetSegment(Seg.CS, code),
        SetGpr(Gpr.ESP, esp),
        SetEip(eip),
        Returned(eip, code.selector, image, esp, stack),
    )


def _to_user(call: Call, view: View, eip: int, cs: int, image: int) -> VmiEffects:
    esp, ss = unpack("<II", view.read(call.esp + 16 & MASK32, 8))
    ss &= 0xFFFF
    code = _code(view, cs, USER_RING, eip)
    if isinstance(code, Raise):
        return (code,)
    stack = _user_stack(view, ss)
    if isinstance(stack, Raise):
        return (stack,)
    notes = _interrupts_on(view, image)
    if view.latitude.stack16 and not stack.big:
        esp = with_sp(view, stack, esp)
        notes = (*notes, Note(f"VMI IRET to a 16-bit stack ({ss:#06x}) leaves the upper half of ESP the kernel's"))
    return (
        *notes,
        SetFlags(_with_if(view, image), UNPRIVILEGED | IF),
        SetSegment(Seg.CS, code),
        SetSegment(Seg.SS, stack),
        SetGpr(Gpr.ESP, esp),
        *nulled_data_segments(view, USER_RING),
        SetEip(eip),
        Returned(eip, cs, image, esp, ss),
    )


def _to_v8086(call: Call, view: View, eip: int, cs: int, image: int) -> VmiEffects:
    """Entering virtual-8086 mode clears the MSR SYSENTER_CS; the guest has to write it anew."""
    esp, ss, *data = unpack("<6I", view.read(call.esp + 16 & MASK32, 24))
    if eip > 0xFFFF:
        return (Raise(GP, 0),)
    loads = ((Seg.CS, cs), (Seg.SS, ss & 0xFFFF), *zip(_V8086_ORDER, data, strict=True))
    system = view.system
    return (
        *_interrupts_on(view, image),
        SetSystem(replace(system, msrs=system.with_msr(SYSENTER_CS, 0))),
        SetFlags(_with_if(view, image), UNPRIVILEGED | IF | VM),
        *(SetSegment(register, v8086_segment(value & 0xFFFF)) for register, value in loads),
        SetGpr(Gpr.ESP, esp),
        SetEip(eip),
        Returned(eip, cs, image, esp, ss & 0xFFFF),
    )


def _with_if(view: View, image: int) -> int:
    """The image that user mode gets: always with interrupts on, unless its own CLI may turn them off."""
    return image if _owns_if(view) else image | IF


def _owns_if(view: View) -> bool:
    return view.user_if and view.system.viopl == USER_RING


def _interrupts_on(view: View, image: int) -> tuple[Effect, ...]:
    if image & IF or _owns_if(view):
        return ()
    return (Note(f"VMI IRET to user mode with IF clear in its image {image:#010x}: interrupts are on all the same"),)


def _segment(view: View, selector: int) -> Segment | None:
    """The selector's segment as the guest's table must hold it; None outside the table."""
    entry = fetch(view, selector)
    if entry is None:
        return None
    return segment_from_descriptor(selector, *deprivileged(*entry, view.system.hole))


def _code(view: View, selector: int, level: int, eip: int) -> Segment | Raise:
    """The code segment to return to at privilege `level`, or the exception (SDM volume 2, IRET)."""
    if is_null(selector):
        return Raise(GP, 0)
    error = selector & 0xFFFC
    segment = _segment(view, error | level)
    if segment is None or not is_code(segment.attributes):
        return Raise(GP, error)
    if segment.dpl > level or (segment.dpl < level and not is_conforming(segment.attributes)):
        return Raise(GP, error)
    if not is_present(segment.attributes):
        return Raise(NP, error)
    return segment if eip <= segment.limit else Raise(GP, 0)


def _user_stack(view: View, selector: int) -> Segment | Raise:
    if is_null(selector):
        return Raise(GP, 0)
    error = selector & 0xFFFC
    segment = _segment(view, selector)
    if (
        segment is None
        or segment.rpl != USER_RING
        or segment.dpl != USER_RING
        or not is_writable_data(segment.attributes)
    ):
        return Raise(GP, error)
    return segment if is_present(segment.attributes) else Raise(SS, error)


def sysexit(call: Call, view: View, _state: VmiState) -> VmiEffects:
    """STI; SYSEXIT in one: to EIP = EDX and ESP = ECX in the flat user segments behind the MSR SYSENTER_CS."""
    result = execute(view, _SYSEXIT)
    if result.returned is None:
        return as_call(call, view, result.effects)
    return (SetFlags(IF, IF), *result.effects, replace(result.returned, image=result.returned.image | IF))


HANDLERS: Final[dict[str, Handler]] = {
    "IRET": iret,
    "SYSEXIT": sysexit,
}
