"""Tables of a paravirtual guest, loaded by instructions that trap: the images in memory, and the segments after it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.registers import Gpr, Seg, TableRegister
from pvtrace.model.stops import Why
from pvtrace.x86.descriptors import NO_HOLE, deprivileged, fetch, segment_from_descriptor
from pvtrace.x86.effects import End, SetSegment
from pvtrace.x86.guest_tables import table_images
from pvtrace.x86.privileged import execute
from tests.x86.flat_view import (
    GDT,
    KERNEL_CS,
    KERNEL_SS,
    LDT,
    LDT_SELECTOR,
    RING1_SS,
    TSS_SELECTOR,
    USER_SS,
    FlatView,
    at_ring,
    segment,
)

HOLE = 0xFC000000
LGDT, LLDT_AX, LTR_AX = b"\x0f\x01\x10", b"\x0f\x00\xd0", b"\x0f\x00\xd8"
OPERAND = 0x5000


def kernel(hole: int = HOLE) -> FlatView:
    view = at_ring(1, paravirtual=True)
    view.system = replace(view.system, hole=hole)
    view.put(OPERAND, 0x7F | GDT << 16, 6)
    view.gprs[Gpr.EAX] = OPERAND
    return view


def test_lgdt_lowers_and_clips_and_loads_anew() -> None:
    view = kernel()
    view.segments[Seg.FS] = segment(KERNEL_SS)
    view.apply(execute(view, LGDT).effects)
    code = segment_from_descriptor(KERNEL_CS, *(fetch(view, KERNEL_CS) or (0, 0)))
    assert (code.dpl, code.limit) == (1, HOLE - 1)
    for register in (Seg.CS, Seg.SS, Seg.DS, Seg.FS):
        assert view.segments[register].limit == HOLE - 1
    assert view.segments[Seg.FS].dpl == 1


def test_lgdt_makes_a_segment_null_that_the_new_table_does_not_have() -> None:
    view = kernel()
    view.put(OPERAND, 0x2F | GDT << 16, 6)  # USER_SS is beyond
    view.apply(execute(view, LGDT).effects)
    assert view.segments[Seg.DS].selector == 0
    assert view.segments[Seg.SS].selector == RING1_SS


def test_lgdt_without_a_stack_segment_ends_the_guest() -> None:
    view = kernel()
    view.put(OPERAND, 0x1F | GDT << 16, 6)
    (end,) = execute(view, LGDT).effects
    assert isinstance(end, End)
    assert end.why is Why.TERMINATED
    assert "LGDT at 00008000" in end.detail


@pytest.mark.parametrize("base", [0x1F000, 0xFFFF0000])
def test_a_wild_table_is_tolerated(base: int) -> None:
    """Beyond memory, and at the end of linear space."""
    view = kernel()
    assert table_images(view, TableRegister(base, 0xFFFF), HOLE) == ()


def test_lldt_loads_anew_what_is_in_the_ldt() -> None:
    view = kernel()
    view.put(LDT + 8, 0x00CFF3000000FFFF, 8)
    view.segments[Seg.GS] = segment(USER_SS)._replace(selector=0xF, base=0x77)
    view.gprs[Gpr.EAX] = LDT_SELECTOR
    view.apply(execute(view, LLDT_AX).effects)
    assert (view.segments[Seg.GS].base, view.segments[Seg.GS].limit) == (0, HOLE - 1)
    view.gprs[Gpr.EAX] = 0
    view.apply(execute(view, LLDT_AX).effects)
    assert view.segments[Seg.GS].selector == 0


def test_ltr_loads_no_segment() -> None:
    view = kernel()
    view.gprs[Gpr.EAX] = TSS_SELECTOR
    assert not any(isinstance(effect, SetSegment) for effect in execute(view, LTR_AX).effects)


@given(low=st.integers(0, 0xFFFFFFFF), high=st.integers(0, 0xFFFFFFFF))
def test_without_a_hole_nothing_is_clipped(low: int, high: int) -> None:
    """Not even a segment that wraps around the end of linear space."""
    image = deprivileged(low, high, NO_HOLE)
    assert image[0] == low
    assert (image[1] ^ high) & ~(3 << 13) == 0
