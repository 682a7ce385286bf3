"""Entering paravirtual mode, and the relocation query."""

from collections.abc import Callable
from dataclasses import replace
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.registers import Gpr, Seg, Segment, TableRegister
from pvtrace.vmi import apic
from pvtrace.vmi.effects import SetVmi
from pvtrace.vmi.init import Relocation
from pvtrace.x86 import descriptors as d
from pvtrace.x86 import eflags
from pvtrace.x86.effects import SetGpr, WriteMemory
from rom.abi import GET_RELOCATION_3, INIT_3, Generation, by_name, calls
from rom.layout import entry_offset
from tests.vmi.vmi_flat import (
    DATA,
    GDT,
    HOLE,
    KERNEL_CS,
    KERNEL_DS,
    LDT,
    LDT_SELECTOR,
    ROM,
    SIZE,
    SPARE,
    STACK,
    TSS_SELECTOR,
    USER_CS,
    USER_DS,
    Guest,
    code,
    data,
    paravirtual,
)

FAILED = 0xFFFFFFFF
BOTH = pytest.mark.parametrize("generation", list(Generation))


def status(guest: Guest, generation: Generation = Generation.V3) -> int:
    return guest.do("Init", generation) & 0xFFFFFFFF


@BOTH
def test_init_takes_the_kernel_to_the_lower_ring(generation: Generation) -> None:
    guest = Guest()
    assert status(guest, generation) == 0
    assert guest.cpl == d.KERNEL_RING
    for register in (Seg.CS, Seg.SS, Seg.DS, Seg.ES):
        segment = guest.segment(register)
        assert (segment.rpl, segment.dpl, segment.limit) == (1, 1, HOLE - 1)
        assert segment == d.segment_from_descriptor(segment.selector, *guest.entry(segment.selector))
    assert (guest.segment(Seg.CS).selector, guest.segment(Seg.SS).selector) == (KERNEL_CS | 1, KERNEL_DS | 1)
    assert guest.segment(Seg.FS) == guest.segment(Seg.GS) == d.null_segment()
    assert guest.system.paravirtual
    assert guest.system.hole == HOLE
    assert (guest.vmi.generation, guest.vmi.start) == (generation, guest.ticks)


@pytest.mark.parametrize("vif", [False, True])
@pytest.mark.parametrize("iopl", range(4))
def test_if_and_iopl_become_virtual(vif: bool, iopl: int) -> None:
    guest = Guest()
    guest.system = replace(guest.system, vif=vif, viopl=iopl)
    guest.eflags = eflags.FIXED | (eflags.IF if vif else 0) | iopl << eflags.IOPL_SHIFT | eflags.CF
    assert status(guest) == 0
    assert guest.eflags == eflags.FIXED | eflags.IF | eflags.CF
    assert (guest.system.vif, guest.system.viopl) == (vif, iopl)


def test_descriptors_of_the_kernel_change_and_no_others() -> None:
    guest = Guest()
    before = guest.memory[:]
    guest.do("Init")
    assert guest.entry(KERNEL_CS) == (0x0000BFFF, 0x00CFBB00)
    assert guest.entry(KERNEL_DS) == (0x0000BFFF, 0x00CFB300)
    assert guest.entry(USER_CS) == (0x0000BFFF, 0x00CFFB00)
    assert guest.entry(USER_DS) == (0x0000BFFF, 0x00CFF300)
    for selector in (0, TSS_SELECTOR, LDT_SELECTOR, SPARE):
        at = GDT + (selector & ~7)
        assert guest.memory[at : at + 8] == before[at : at + 8]
    assert guest.memory[:GDT] + guest.memory[GDT + 64 :] == before[:GDT] + before[GDT + 64 :]


def test_the_ldt_changes_too() -> None:
    guest = Guest()
    guest.memory[LDT : LDT + 16] = data(0) + data(3)
    guest.ldtr = d.segment_from_descriptor(LDT_SELECTOR, *guest.entry(LDT_SELECTOR))
    guest.segments[Seg.FS] = d.segment_from_descriptor(0x04, *guest.entry(0, LDT))
    guest.do("Init")
    assert guest.entry(0, LDT) == (0x0000BFFF, 0x00CFB300)
    assert guest.entry(8, LDT) == (0x0000BFFF, 0x00CFF300)
    assert guest.segment(Seg.FS) == d.segment_from_descriptor(0x05, *guest.entry(0, LDT))


def test_without_a_hole_no_limit_changes() -> None:
    """Segments that wrap around reach what they did: a hole of nothing truncates nothing."""
    guest = Guest()
    guest.vmi = replace(guest.vmi, virtual_top=0)
    guest.memory[GDT + SPARE : GDT + SPARE + 8] = data(3, base=0xB7000000)
    guest.do("Init")
    assert guest.system.hole == 1 << 32
    assert d.segment_from_descriptor(0, *guest.entry(SPARE)).limit == 0xFFFFFFFF
    assert guest.segment(Seg.CS).limit == 0xFFFFFFFF


def test_a_wild_limit_touches_only_what_is_mapped_and_writable() -> None:
    guest = Guest()
    guest.gdtr = TableRegister(SIZE - 0x3000, 0xFFFF)
    guest.memory[SIZE - 0x3000 : SIZE] = data(0) * (0x3000 // 8)
    guest.read_only = {(SIZE - 0x2000) >> 12}
    effects = guest.call("Init")
    pages = {effect.address >> 12 for effect in effects if isinstance(effect, WriteMemory)}
    assert pages == {(SIZE - 0x3000) >> 12, (SIZE - 0x1000) >> 12}


def test_a_table_across_a_page_boundary_is_read_whole() -> None:
    guest = Guest()
    base = DATA + 0x1000 - 12
    guest.gdtr = TableRegister(base, 31)
    guest.memory[base : base + 32] = bytes(8) + code(0) + data(0) + data(3)
    assert status(guest) == 0
    assert guest.entry(8, base) == (0x0000BFFF, 0x00CFBB00)
    assert guest.entry(16, base) == (0x0000BFFF, 0x00CFB300)


def test_the_kernel_stack_comes_from_the_tss() -> None:
    guest = Guest()
    guest.tr = d.segment_from_descriptor(TSS_SELECTOR, *guest.entry(TSS_SELECTOR))
    guest.do("Init")
    assert guest.system.kernel_stack == (KERNEL_DS | 1, STACK)


@pytest.mark.parametrize("base", [0xF0000000, DATA])
def test_a_tss_that_names_no_stack_is_passed_over(base: int) -> None:
    guest = Guest()
    guest.tr = d.segment_from_descriptor(TSS_SELECTOR, *guest.entry(TSS_SELECTOR))._replace(base=base)
    assert status(guest) == 0
    assert guest.system.kernel_stack is None


def test_a_second_init_changes_nothing() -> None:
    guest = paravirtual()
    for generation in Generation:
        assert guest.call("Init", generation) == (SetGpr(Gpr.EAX, 0),)
        guest.gprs[Gpr.ESP] += 4


def spoil_mode(guest: Guest) -> None:
    guest.crs[0] = 0x10


def spoil_level(guest: Guest) -> None:
    guest.segments[Seg.SS] = guest.segments[Seg.SS]._replace(attributes=d.with_dpl(d.FLAT_DATA, 2))


def spoil_base(guest: Guest) -> None:
    guest.segments[Seg.CS] = guest.segments[Seg.CS]._replace(base=0x1000)


def spoil_limit(guest: Guest) -> None:
    guest.segments[Seg.SS] = guest.segments[Seg.SS]._replace(limit=HOLE - 0x1001)


def spoil_size(guest: Guest) -> None:
    guest.segments[Seg.CS] = guest.segments[Seg.CS]._replace(attributes=d.FLAT_CODE & ~d.BIG)


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_level, spoil_base, spoil_limit, spoil_size])
def test_a_failed_init_leaves_everything_native(spoil: Callable[[Guest], None]) -> None:
    guest = Guest()
    spoil(guest)
    assert guest.call("Init") == (SetGpr(Gpr.EAX, FAILED),)


@given(low=st.integers(0, 0xFFFFFFFF), high=st.integers(0, 0xFFFFFFFF), hole=st.sampled_from([0, 0xC0000000, HOLE]))
def test_any_descriptor_ends_below_the_hole_and_above_ring_0(low: int, high: int, hole: int) -> None:
    guest = Guest()
    guest.vmi = replace(guest.vmi, virtual_top=hole)
    guest.memory[GDT + SPARE : GDT + SPARE + 8] = pack("<II", low, high)
    guest.do("Init")
    after_low, after_high = guest.entry(SPARE)
    before, after = (d.segment_from_descriptor(0, *entry) for entry in ((low, high), (after_low, after_high)))
    if not high & d.NOT_SYSTEM or not high & d.PRESENT:
        assert (after_low, after_high) == (low, high)
        return
    assert after.base == before.base
    assert after.dpl == max(before.dpl, 1)
    assert after.limit <= before.limit
    expands_down = not high & d.CODE and high & d.EXPAND_DOWN
    if hole and d.is_present(after_high) and not expands_down:
        assert after.base + after.limit < hole
    if not hole:
        assert after.limit == before.limit
    again = paravirtual()
    again.do("WriteGDTEntry", table_pointer=DATA, index=0, low=after_low, high=after_high)
    if hole == HOLE:
        assert again.entry(0, DATA) == (after_low, after_high)


def segments() -> st.SearchStrategy[Segment]:
    selectors = st.sampled_from([0, 0x08, 0x10, 0x1B, 0x23, 0x12])
    return st.builds(lambda selector, level: d.flat(selector, level, code=False), selectors, st.sampled_from([0, 3]))


@given(segment=segments())
def test_a_live_selector_keeps_all_but_its_level(segment: Segment) -> None:
    guest = Guest()
    guest.segments[Seg.GS] = segment
    guest.do("Init")
    after = guest.segments[Seg.GS]
    if segment.selector == 0:
        assert after == segment
        return
    assert after.selector & ~3 == segment.selector & ~3
    assert after.rpl == max(segment.rpl, 1)
    assert after.dpl == max(segment.dpl, 1)


# The relocation query.


@BOTH
@pytest.mark.parametrize("native", [False, True])
def test_every_served_call_is_reached_by_call_in_the_rom_as_mapped(generation: Generation, native: bool) -> None:
    guest = Guest() if native else paravirtual(generation)
    for number, info in calls(generation).items():
        answer = guest.do("GetRelocationInfo", generation, number=number)
        absent = info.name in apic.UNSUPPORTED or number in (INIT_3, GET_RELOCATION_3)
        if generation is Generation.V3 and absent:
            assert answer == 0
        else:
            assert answer == Relocation.CALL << 32 | ROM + entry_offset(generation, number)


def test_13_3_answers_call_for_all_its_numbers() -> None:
    guest = Guest()
    answers = [guest.do("GetRelocationInfo", Generation.V13, number=number) for number in range(4, 88)]
    assert [answer >> 32 for answer in answers] == [Relocation.CALL] * 84
    assert [answer & 0xFFFFFFFF for answer in answers] == [ROM + 32 * number for number in range(4, 88)]


@given(number=st.integers(74, 0xFFFFFFFF))
def test_an_unknown_number_of_3_0_is_not_there(number: int) -> None:
    assert Guest().do("GetRelocationInfo", number=number) == 0


@given(number=st.integers(88, 0xFFFFFFFF))
def test_an_unknown_number_of_13_x_is_not_there(number: int) -> None:
    assert Guest().do("GetRelocationInfo", Generation.V13, number=number) == 0


def test_the_query_changes_nothing() -> None:
    guest = Guest()
    effects = guest.call("GetRelocationInfo", number=by_name("IRET").n3 or 0)
    assert {type(effect) for effect in effects} == {SetGpr}
    assert not any(isinstance(effect, SetVmi) for effect in effects)
