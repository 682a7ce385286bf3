"""Entering handlers: frames, rings, error codes and refusals, natively and paravirtually; and back again by IRET."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.registers import Seg, Segment, TableRegister
from pvtrace.model.stops import Why
from pvtrace.x86 import eflags
from pvtrace.x86.delivery import Delivered, Entry, Refused, TaskGate, deliver, software_interrupt
from pvtrace.x86.effects import End, Raise
from pvtrace.x86.latitude import Latitude
from pvtrace.x86.privileged import execute
from tests.x86.flat_view import (
    CODE,
    CODE16,
    CONFORMING,
    IDT,
    KERNEL_CS,
    KERNEL_SS,
    RING1_CS,
    RING1_SS,
    STACK,
    TSS,
    USER_CS,
    USER_SS,
    FlatView,
    at_ring,
    v8086,
)

HANDLER = 0x6000
KERNEL_STACK = 0xC000
EXCEPTION, INTERRUPT, SOFTWARE = Entry.EXCEPTION, Entry.INTERRUPT, Entry.SOFTWARE


def ready(view: FlatView, vector: int = 14, **gate: Any) -> FlatView:
    view.gate(vector, gate.pop("selector", KERNEL_CS), HANDLER, **gate)
    view.put(TSS + 4, KERNEL_STACK)
    view.put(TSS + 8, KERNEL_SS)
    return view


def enter(
    view: FlatView, vector: int = 14, entry: Entry = EXCEPTION, error: int | None = None, **how: bool
) -> Delivered:
    delivered = deliver(view, vector, entry=entry, error=error, return_eip=view.eip, **how)
    assert isinstance(delivered, Delivered)
    view.apply(delivered.effects)
    return delivered


def frame(view: FlatView, count: int) -> list[int]:
    return [view.get(view.gprs[4] + 4 * index) for index in range(count)]


def test_native_same_level_fault() -> None:
    view = ready(at_ring(0, flags=eflags.CF | eflags.TF | eflags.NT))
    delivered = enter(view, error=2)
    image = 2 | eflags.CF | eflags.TF | eflags.NT | eflags.IF | eflags.RF
    assert frame(view, 4) == [2, CODE, KERNEL_CS, image]
    assert (delivered.image, delivered.handler, delivered.esp) == (image, HANDLER, STACK - 16)
    assert view.eip == HANDLER
    assert view.eflags == 2 | eflags.CF
    assert not view.system.vif


def test_trap_gate_keeps_if_and_interrupts_push_no_rf() -> None:
    view = ready(at_ring(0), 0x20, kind=0xF)
    delivered = enter(view, 0x20, INTERRUPT)
    assert delivered.image == 2 | eflags.IF
    assert view.system.vif
    assert view.eflags & eflags.IF


def test_native_from_user_switches_stacks() -> None:
    view = ready(at_ring(3, viopl=3))
    enter(view, error=7)
    image = 2 | eflags.IF | eflags.IOPL | eflags.RF
    assert frame(view, 6) == [7, CODE, USER_CS, image, STACK, USER_SS]
    assert view.gprs[4] == KERNEL_STACK - 24
    assert (view.cpl, view.segments[Seg.SS].selector, view.segments[Seg.CS].selector) == (0, KERNEL_SS, KERNEL_CS)


def test_16_bit_gate_and_16_bit_tss() -> None:
    view = ready(at_ring(3), 0x30, kind=6)
    view.tr = Segment(0x38, TSS, 0x2B, 0x8300)
    view.put(TSS + 2, KERNEL_STACK, 2)
    view.put(TSS + 4, KERNEL_SS, 2)
    enter(view, 0x30, INTERRUPT)
    esp = view.gprs[4]
    assert esp == KERNEL_STACK - 10
    assert [view.get(esp + 2 * index, 2) for index in range(5)] == [CODE, USER_CS, 0x202, STACK, USER_SS]


def test_conforming_handler_stays_at_the_level_of_its_caller() -> None:
    view = ready(at_ring(3), selector=CONFORMING)
    enter(view, error=0)
    assert (view.cpl, view.segments[Seg.CS].selector) == (3, CONFORMING | 3)
    assert view.gprs[4] == STACK - 16


def test_v8086_pushes_and_nulls_the_data_segments() -> None:
    view = v8086(viopl=3)
    for register, selector in ((Seg.ES, 1), (Seg.DS, 2), (Seg.FS, 3), (Seg.GS, 4)):
        view.segments[register] = view.segments[register]._replace(selector=selector)
    ready(view, 13)
    enter(view, 13, error=0)
    image = 2 | eflags.IF | eflags.IOPL | eflags.VM | eflags.RF
    assert frame(view, 10) == [0, 0, 0x800, image, 0x1000, 0x900, 1, 2, 3, 4]
    assert view.cpl == 0
    assert not view.eflags & eflags.VM
    assert [view.segments[each].selector for each in (Seg.ES, Seg.DS, Seg.FS, Seg.GS)] == [0] * 4


@pytest.mark.parametrize("iopl", [0, 3])
def test_v8086_int_n_needs_iopl_3_but_int3_does_not(iopl: int) -> None:
    view = ready(v8086(viopl=iopl), 3, dpl=3)
    view.put(0x8000, 0x03CD, 2)
    outcome = software_interrupt(view, 3, 2)
    assert isinstance(outcome, Delivered) is (iopl == 3)
    if iopl == 0:
        assert outcome == Refused(Raise(13, 0))
    view.put(0x8000, 0xCC, 1)
    assert isinstance(software_interrupt(view, 3, 1), Delivered)


@pytest.mark.parametrize(("entry", "ext"), [(EXCEPTION, 1), (INTERRUPT, 1), (SOFTWARE, 0)])
def test_refusals_carry_the_manuals_error_codes(entry: Entry, ext: int) -> None:
    def outcome(view: FlatView, vector: int = 0x40) -> object:
        return deliver(view, vector, entry=entry, return_eip=0)

    def refused(vector: int, error: int) -> Refused:
        return Refused(Raise(vector, error))

    idt = 0x40 * 8 + 2 + ext
    assert outcome(at_ring(0)) == refused(13, idt)  # an empty slot is no gate
    short = at_ring(0)
    short.idtr = TableRegister(IDT, 0x40 * 8 + 6)
    assert outcome(short) == refused(13, idt)
    assert outcome(ready(at_ring(0), 0x40, present=False)) == refused(11, idt)
    assert outcome(ready(at_ring(0), 0x40, selector=0)) == refused(13, ext)
    assert outcome(ready(at_ring(0), 0x40, selector=0x80)) == refused(13, 0x80 | ext)
    assert outcome(ready(at_ring(0), 0x40, selector=KERNEL_SS)) == refused(13, KERNEL_SS | ext)
    assert outcome(ready(at_ring(0), 0x40, selector=USER_CS)) == refused(13, USER_CS & ~3 | ext)
    user = ready(at_ring(3), 0x40, dpl=3)
    user.put(TSS + 8, 0)
    assert outcome(user) == refused(10, ext)
    user.put(TSS + 8, USER_SS)
    assert outcome(user) == refused(10, USER_SS & ~3 | ext)
    user.tr = Segment(0x38, TSS, 8, 0x8B00)
    assert outcome(user) == refused(10, 0x38 | ext)


@pytest.mark.parametrize(("cpl", "dpl"), [(0, 0), (1, 0), (1, 1), (3, 0), (3, 2), (3, 3)])
def test_gate_dpl_counts_for_software_only(cpl: int, dpl: int) -> None:
    view = ready(at_ring(cpl), 0x80, dpl=dpl)
    view.put(CODE, 0x80CD, 2)
    assert isinstance(software_interrupt(view, 0x80, 2), Delivered) is (dpl >= cpl)
    assert isinstance(deliver(view, 0x80, entry=INTERRUPT, return_eip=0), Delivered)


def test_task_gate() -> None:
    assert deliver(ready(at_ring(0), 8, kind=5), 8, entry=EXCEPTION, error=0, return_eip=7) == TaskGate(KERNEL_CS, 7)
    ended = deliver(ready(at_ring(1, paravirtual=True), 8, kind=5), 8, entry=EXCEPTION, error=0, return_eip=0)
    assert isinstance(ended, End)
    assert ended.why is Why.UNSUPPORTED


def test_paravirtual_from_user() -> None:
    view = ready(at_ring(3, paravirtual=True, viopl=3, flags=eflags.ZF), selector=KERNEL_CS)
    view.system = replace(view.system, kernel_stack=(KERNEL_SS, KERNEL_STACK - 0x100), hole=0xFC000000)
    delivered = enter(view, error=6)
    image = 2 | eflags.ZF | eflags.IF | eflags.IOPL | eflags.RF
    assert frame(view, 6) == [6, CODE, USER_CS, image, STACK, USER_SS]
    assert view.gprs[4] == KERNEL_STACK - 0x100 - 24
    assert (view.cpl, delivered.cs, delivered.ss) == (1, KERNEL_CS | 1, KERNEL_SS | 1)
    stack = view.segments[Seg.SS]
    assert (stack.base, stack.limit) == (0, 0xFBFFFFFF)
    assert not view.system.vif
    assert view.eflags & (eflags.IF | eflags.IOPL) == eflags.IF
    assert view.system.viopl == 3


def test_paravirtual_takes_the_stack_of_the_tss_before_update_kernel_stack() -> None:
    view = ready(at_ring(3, paravirtual=True))
    enter(view, 14, INTERRUPT)
    assert view.gprs[4] == KERNEL_STACK - 20


def test_paravirtual_kernel_stays_on_its_stack_flat() -> None:
    view = ready(at_ring(1, paravirtual=True, vif=False), selector=RING1_CS)
    view.segments[Seg.SS] = Segment(RING1_SS, 0x1000, 0xFFFFF, view.segments[Seg.SS].attributes)
    enter(view, error=0)
    assert frame(view, 4) == [0, CODE, RING1_CS, 2 | eflags.RF]
    assert view.gprs[4] == STACK - 16
    assert view.segments[Seg.CS].selector == RING1_CS


@pytest.mark.parametrize("dpl", [0, 1, 2, 3])
def test_paravirtual_kernel_int_n_counts_as_level_0(dpl: int) -> None:
    view = ready(at_ring(1, paravirtual=True), 0x80, dpl=dpl)
    view.put(CODE, 0x80CD, 2)
    assert isinstance(software_interrupt(view, 0x80, 2), Delivered)


def test_paravirtual_user_int_n_needs_gate_dpl_3() -> None:
    view = ready(at_ring(3, paravirtual=True), 0x80, dpl=1)
    view.put(CODE, 0x80CD, 2)
    assert software_interrupt(view, 0x80, 2) == Refused(Raise(13, 0x80 * 8 + 2))


@given(flags=st.integers(0, 0xFFF))
def test_harsh_flags(flags: int) -> None:
    """Difference 1: the live arithmetic flags at entry are the image's, inverted; or, mildly, the same."""
    harsh = ready(at_ring(1, paravirtual=True, flags=flags & ~eflags.TF))
    mild = ready(at_ring(1, paravirtual=True, flags=flags & ~eflags.TF))
    image = enter(harsh, error=0).image
    mild.latitude = Latitude(flags=False)
    enter(mild, error=0)
    assert (harsh.eflags ^ image) & eflags.ARITHMETIC == eflags.ARITHMETIC
    assert (mild.eflags ^ image) & eflags.ARITHMETIC == 0
    assert (harsh.eflags ^ mild.eflags) & ~eflags.ARITHMETIC == 0


@pytest.mark.parametrize(("room", "ends"), [(31, True), (32, False)])
def test_32_bytes_below_the_frame(room: int, ends: bool) -> None:
    view = ready(at_ring(1, paravirtual=True))
    view.unmapped = frozenset({9})
    view.gprs[4] = 0xA000 + room + 12
    outcome = deliver(view, 14, entry=INTERRUPT, return_eip=0)
    assert isinstance(outcome, End) is ends
    native = ready(at_ring(0))
    native.unmapped = frozenset({9})
    native.gprs[4] = 0xA000 + room + 12
    assert isinstance(deliver(native, 14, entry=INTERRUPT, return_eip=0), Delivered)
    kind = ready(at_ring(1, paravirtual=True))
    kind.latitude = Latitude(stack32=False)
    kind.unmapped = view.unmapped
    kind.gprs[4] = view.gprs[4]
    assert isinstance(deliver(kind, 14, entry=INTERRUPT, return_eip=0), Delivered)


def test_a_frame_that_does_not_fit_is_a_page_fault_and_no_termination() -> None:
    view = ready(at_ring(1, paravirtual=True))
    view.unmapped = frozenset({9})
    view.gprs[4] = 0xA004
    delivered = deliver(view, 14, entry=INTERRUPT, return_eip=0)
    assert isinstance(delivered, Delivered)


def test_real_mode() -> None:
    view = at_ring(0)
    view.crs[0] = 0x10
    view.idtr = TableRegister(0, 0x3FF)
    view.put(0x21 * 4, 0x08000123)
    view.segments[Seg.CS] = Segment(0x700, 0x7000, 0xFFFF, 0x9B00)
    view.segments[Seg.SS] = Segment(0x900, 0x9000, 0xFFFF, 0x9300)
    view.eip, view.gprs[4] = 0x10, 0x55550000
    delivered = enter(view, 0x21, SOFTWARE)
    assert (view.segments[Seg.CS].base, view.eip, view.gprs[4]) == (0x8000, 0x123, 0x5555FFFA)
    assert [view.get(0x18FFA + 2 * index, 2) for index in range(3)] == [0x10, 0x700, 0x202]
    assert delivered.gate is None
    assert not view.system.vif
    view.memory[0x8123] = 0xCF
    view.apply(execute(view, b"\xcf").effects)
    assert (view.segments[Seg.CS].selector, view.eip, view.gprs[4], view.system.vif) == (0x700, 0x10, 0x55550000, True)


@pytest.mark.parametrize("start", ["ring 0", "ring 3", "v8086"])
@given(flags=st.integers(0, 0x3FFFFF), vif=st.booleans(), iopl=st.integers(0, 3))
def test_iret_undoes_a_native_entry(start: str, flags: int, vif: bool, iopl: int) -> None:
    if start == "v8086":
        view = ready(v8086(viopl=iopl, vif=vif))
    else:
        flags &= eflags.DEFINED & ~(eflags.VM | eflags.RF)
        view = ready(at_ring(int(start[-1]), vif=vif, viopl=iopl, flags=flags))
    keep = (Seg.CS, Seg.SS) if start != "v8086" else tuple(Seg)
    before = ([view.segments[each] for each in keep], view.eip, view.gprs[4], view.eflags, view.system)
    enter(view, 14, INTERRUPT)
    result = execute(view, b"\xcf")
    assert result.returned is not None
    view.apply(result.effects)
    assert ([view.segments[each] for each in keep], view.eip, view.gprs[4], view.eflags, view.system) == before


def test_iret_to_user_nulls_kernel_data_segments() -> None:
    view = at_ring(0)
    view.segments[Seg.DS] = view.segments[Seg.SS]
    for index, word in enumerate((CODE, USER_CS, 0x202, 0x9000, USER_SS)):
        view.put(STACK + 4 * index, word)
    view.apply(execute(view, b"\xcf").effects)
    assert view.segments[Seg.DS].selector == 0
    assert view.segments[Seg.ES].selector == USER_SS
    assert (view.cpl, view.gprs[4]) == (3, 0x9000)


def test_paravirtual_iret_to_level_0_is_general_protection() -> None:
    view = at_ring(1, paravirtual=True)
    for index, word in enumerate((CODE, KERNEL_CS, 2)):
        view.put(STACK + 4 * index, word)
    result = execute(view, b"\xcf")
    assert result.effects == (Raise(13, KERNEL_CS),)
    assert result.attempt is not None
    assert result.attempt.asked == 2


def test_nested_task_ends_a_paravirtual_guest() -> None:
    (end,) = execute(at_ring(1, paravirtual=True, flags=eflags.NT), b"\xcf").effects
    assert isinstance(end, End)
    assert end.why is Why.UNSUPPORTED


def test_iret_of_16_bits() -> None:
    view = at_ring(0, flags=eflags.AC)
    for index, word in enumerate((0x123, CODE16, eflags.CF)):
        view.put(STACK + 2 * index, word, 2)
    view.apply(execute(view, b"\x66\xcf").effects)
    assert (view.eip, view.segments[Seg.CS].selector, view.gprs[4]) == (0x123, CODE16, STACK + 6)
    assert view.eflags == 2 | eflags.CF | eflags.AC
