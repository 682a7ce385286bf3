"""Entering a handler through the IDT: exceptions, external interrupts and INT n, natively and paravirtually.

`deliver` decides and returns what is to be done; it changes nothing. A fault met on the way comes back as `Refused`,
which the machine combines with the event under delivery (exceptions.combine) and delivers in turn.

One algorithm serves both worlds (SDM volume 3, 6.12). A paravirtual guest differs in the rings (its kernel is at
KERNEL_RING, whatever level its descriptors name below 3), in the stack (set by UpdateKernelStack, always flat), in the
32 bytes that must be free at handler entry, and in the live arithmetic flags, on which a handler must not rely (the
last two as its latitude has it).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.model.stops import Why
from pvtrace.x86 import descriptors, eflags
from pvtrace.x86.descriptors import KERNEL_RING, Gate, SegmentFault, SystemType
from pvtrace.x86.effects import (
    Effect,
    Effects,
    End,
    Raise,
    SetEip,
    SetFlags,
    SetGpr,
    SetSegment,
    WriteMemory,
)
from pvtrace.x86.exceptions import EXCEPTIONS, GP, NP, PF, SS, TS, Type, mnemonic
from pvtrace.x86.operands import MASK32, next_eip, push, with_sp, within
from pvtrace.x86.tss import inner_stack
from pvtrace.x86.view import PageFault, View

RESERVE: Final = 32
"""Bytes of stack that a paravirtual guest must have free below the frame (VMI, rules for trap handlers)."""

NO_ROOM: Final = f"leaves no {RESERVE} writable bytes of kernel stack"
"""Of the words with which a run ends that lacks them."""

_IDT_BIT: Final = 2
_GATES: Final = (
    SystemType.INTERRUPT_GATE16,
    SystemType.TRAP_GATE16,
    SystemType.INTERRUPT_GATE32,
    SystemType.TRAP_GATE32,
)
_V8086_SEGMENTS: Final = (Seg.GS, Seg.FS, Seg.DS, Seg.ES)


class Entry(Enum):
    """What brings the handler about."""

    EXCEPTION = "exception"
    INTERRUPT = "interrupt"
    SOFTWARE = "software interrupt"  # INT n, INT3, INTO: the gate's DPL counts


@dataclass(frozen=True, slots=True)
class Delivered:
    """The handler is entered by `effects`. `image`: EFLAGS as pushed; `handler`: the new EIP; `cs`, `ss`, `esp`: as the
    handler finds them; `gate`: the raw type field, None for a vector of real mode."""

    effects: Effects
    image: int
    cs: int
    handler: int
    ss: int
    esp: int
    gate: int | None
    return_cs: int
    return_eip: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Delivery meets this fault; the guest's registers stay as they are."""

    cause: Raise


@dataclass(frozen=True, slots=True)
class TaskGate:
    """The vector has a task gate, and `selector` is that of the handler's TSS (see task_switch); `return_eip`: where
    the interrupted task goes on."""

    selector: int
    return_eip: int


Delivery = Delivered | Refused | TaskGate | End


class _Event(NamedTuple):
    """The parameters of `deliver`, and what follows from them for error codes."""

    vector: int
    entry: Entry
    error: int | None
    return_eip: int

    @property
    def ext(self) -> int:
        """Bit 0 of an error code: the fault was met while delivering something that the program did not ask for."""
        return 0 if self.entry is Entry.SOFTWARE else 1

    @property
    def idt_error(self) -> int:
        return self.vector * 8 + _IDT_BIT + self.ext


def as_exception(refused: PageFault) -> Raise:
    """The exception that a refused access is to the guest."""
    return Raise(PF, refused.error, refused.address)


def deliver(
    view: View,
    vector: int,
    *,
    entry: Entry,
    return_eip: int,
    error: int | None = None,
) -> Delivery:
    """Enter the handler of `vector`, with `return_eip` as the EIP that it sees.

    `error`: the error code, None for an event that has none. May raise PageFault while it reads the guest's tables.
    """
    event = _Event(vector, entry, error, return_eip)
    try:
        return _protected(view, event) if view.cr(0) & 1 else _real(view, event)
    except SegmentFault as fault:
        return Refused(Raise(fault.vector, fault.error))


def software_interrupt(view: View, vector: int, length: int) -> Delivery:
    """INT n, INT3 or INTO of `length` bytes at EIP.

    In virtual-8086 mode INT n needs IOPL = 3, while INT3 and INTO do not (SDM volume 3, 20.3.3). Which of them it is,
    the last byte tells: it is the vector in INT n only.
    """
    if view.eflags & eflags.VM and view.system.viopl < 3:
        last = (view.segment(Seg.CS).base + view.eip + length - 1) & MASK32
        if view.read(last, 1)[0] == vector:
            return Refused(Raise(GP, 0))
    return deliver(view, vector, entry=Entry.SOFTWARE, return_eip=next_eip(view, length))


def _image(view: View, event: _Event) -> int:
    """EFLAGS as pushed: the guest's own, with RF set for a fault (SDM volume 3, 18.3.1.1)."""
    flags = eflags.guest_flags(view.eflags, view.system) | eflags.FIXED
    is_fault = event.entry is Entry.EXCEPTION and event.vector < 32 and EXCEPTIONS[event.vector].type is Type.FAULT
    return flags | eflags.RF if is_fault else flags


def _real(view: View, event: _Event) -> Delivery:
    """Through the vector table of real mode: no error code, no checks but limits (SDM volume 3, 20.1.4)."""
    idtr = view.idtr
    if event.vector * 4 + 3 > idtr.limit:
        raise SegmentFault(GP, event.idt_error)
    raw = view.read((idtr.base + event.vector * 4) & MASK32, 4)
    handler, selector = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    image = _image(view, event) & ~eflags.RF
    code, stack = view.segment(Seg.CS), view.segment(Seg.SS)
    writes, pointer = push(stack, view.gpr(Gpr.ESP), (image, code.selector, event.return_eip), 2, user=False)
    esp = with_sp(view, stack, pointer)
    effects: Effects = (
        *writes,
        SetGpr(Gpr.ESP, esp),
        SetFlags(0, eflags.IF | eflags.TF | eflags.AC | eflags.RF),
        SetSegment(Seg.CS, descriptors.real_mode_segment(selector, code)),
        SetEip(handler),
    )
    return Delivered(effects, image, selector, handler, stack.selector, esp, None, code.selector, event.return_eip)


def _gate(view: View, event: _Event) -> Gate:
    """The gate of the vector, after all checks on the gate itself."""
    idtr = view.idtr
    if event.vector * 8 + 7 > idtr.limit:
        raise SegmentFault(GP, event.idt_error)
    raw = view.read((idtr.base + event.vector * 8) & MASK32, 8)
    gate = descriptors.gate_from_descriptor(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little"))
    if gate.type not in _GATES and gate.type != SystemType.TASK_GATE:
        raise SegmentFault(GP, event.idt_error)
    cpl = 0 if view.system.paravirtual and view.cpl < 3 else view.cpl
    if event.entry is Entry.SOFTWARE and gate.dpl < cpl:
        raise SegmentFault(GP, event.idt_error)
    if not gate.present:
        raise SegmentFault(NP, event.idt_error)
    return gate


def _ring(view: View, level: int) -> int:
    """The privilege level at which a segment of this DPL runs."""
    return KERNEL_RING if view.system.paravirtual and level < 3 else level


def _handler_segment(view: View, gate: Gate, ext: int) -> tuple[Segment, int]:
    """The handler's code segment, and the CPL at which it runs."""
    if descriptors.is_null(gate.selector):
        raise SegmentFault(GP, ext)
    error = (gate.selector & 0xFFFC) | ext
    segment = descriptors.load(view, gate.selector, GP, ext)
    level = _ring(view, segment.dpl)
    if not descriptors.is_code(segment.attributes) or level > view.cpl:
        raise SegmentFault(GP, error)
    if not descriptors.is_present(segment.attributes):
        raise SegmentFault(NP, error)
    conforming = descriptors.is_conforming(segment.attributes)
    cpl = view.cpl if conforming else level
    if view.eflags & eflags.VM and cpl != _ring(view, 0):
        raise SegmentFault(GP, error)
    attributes = segment.attributes if conforming else descriptors.with_dpl(segment.attributes, level)
    selector = (gate.selector & 0xFFFC) | cpl
    return Segment(selector, segment.base, segment.limit, attributes), cpl


def _inner_segment(view: View, cpl: int, ext: int) -> tuple[Segment, int]:
    """SS and ESP of the more privileged level `cpl`."""
    system = view.system
    if system.paravirtual:
        selector, pointer = system.kernel_stack or inner_stack(view, 0, ext)
        if descriptors.is_null(selector):
            raise SegmentFault(TS, ext)
        return descriptors.flat((selector & 0xFFFC) | cpl, cpl, code=False, hole=system.hole), pointer
    selector, pointer = inner_stack(view, cpl, ext)
    if descriptors.is_null(selector):
        raise SegmentFault(TS, ext)
    error = (selector & 0xFFFC) | ext
    segment = descriptors.load(view, selector, TS, ext)
    writable = descriptors.is_writable_data(segment.attributes)
    if selector & 3 != cpl or segment.dpl != cpl or not writable:
        raise SegmentFault(TS, error)
    if not descriptors.is_present(segment.attributes):
        raise SegmentFault(SS, error)
    return segment, pointer


def _current_stack(view: View) -> Segment:
    """The stack of an entry that stays on its level; a paravirtual kernel's counts as flat."""
    stack, system = view.segment(Seg.SS), view.system
    if system.paravirtual and view.cpl < 3:
        return Segment(stack.selector, 0, system.hole - 1, stack.attributes | descriptors.BIG)
    return stack


def _protected(view: View, event: _Event) -> Delivery:
    gate = _gate(view, event)
    if gate.type == SystemType.TASK_GATE:
        if not view.system.paravirtual:
            return TaskGate(gate.selector, event.return_eip)
        return End(Why.UNSUPPORTED, 0, f"{mnemonic(event.vector)} has a task gate, which ends a paravirtual guest")
    code, cpl = _handler_segment(view, gate, event.ext)
    image = _image(view, event)
    old_code, old_stack = view.segment(Seg.CS), view.segment(Seg.SS)
    frame: tuple[int, ...] = (image, old_code.selector, event.return_eip)
    if event.error is not None:
        frame = (*frame, event.error)
    inner = cpl < view.cpl
    if inner:
        stack, pointer = _inner_segment(view, cpl, event.ext)
        frame = (old_stack.selector, view.gpr(Gpr.ESP), *frame)
        if view.eflags & eflags.VM:
            frame = (*(view.segment(each).selector for each in _V8086_SEGMENTS), *frame)
        stack_error = (stack.selector & 0xFFFC) | event.ext
    else:
        stack, pointer, stack_error = _current_stack(view), view.gpr(Gpr.ESP), event.ext
    writes, pointer = push(stack, pointer, frame, 4 if gate.wide else 2, user=cpl == 3, error=stack_error)
    if not within(code, gate.offset, 1):
        raise SegmentFault(GP, event.ext)
    if view.system.paravirtual and view.latitude.stack32 and cpl < 3 and not _has_room(view, pointer, writes):
        return End(
            Why.TERMINATED,
            0,
            f"{mnemonic(event.vector)} {NO_ROOM} below {pointer:08x}, which the VMI rules require at handler entry",
        )
    esp = with_sp(view, stack, pointer)
    effects = (
        *writes,
        *_switch(view, stack if inner else None, esp),
        *_flags(view, gate, image),
        SetSegment(Seg.CS, code),
        SetEip(gate.offset),
    )
    ss = stack.selector
    return Delivered(
        effects, image, code.selector, gate.offset, ss, esp, gate.type, old_code.selector, event.return_eip
    )


def _has_room(view: View, pointer: int, writes: tuple[WriteMemory, ...]) -> bool:
    """Whether RESERVE bytes are free below the frame; True if the frame itself does not fit, which is a page fault."""
    if view.writable((pointer - RESERVE) & MASK32, RESERVE):
        return True
    return not all(view.writable(write.address, len(write.data)) for write in writes)


def _switch(view: View, stack: Segment | None, esp: int) -> tuple[Effect, ...]:
    """The register effects of a new stack; from virtual-8086 mode also the nulled data segments."""
    if stack is None:
        return (SetGpr(Gpr.ESP, esp),)
    leave: tuple[Effect, ...] = ()
    if view.eflags & eflags.VM:
        nulled = tuple(SetSegment(each, descriptors.null_segment()) for each in _V8086_SEGMENTS)
        leave = (SetFlags(0, eflags.VM), *nulled)
    return (*leave, SetSegment(Seg.SS, stack), SetGpr(Gpr.ESP, esp))


def _flags(view: View, gate: Gate, image: int) -> tuple[SetFlags, ...]:
    cleared = eflags.TF | eflags.NT | eflags.RF | eflags.VM
    if gate.type in (SystemType.INTERRUPT_GATE16, SystemType.INTERRUPT_GATE32):
        cleared |= eflags.IF
    if view.system.paravirtual and view.latitude.flags:
        return (SetFlags(~image & eflags.ARITHMETIC, cleared | eflags.ARITHMETIC),)
    return (SetFlags(0, cleared),)
