"""No segment is irreversible: what is live follows its table at once."""

from struct import pack, unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.registers import Gpr, Seg, TableRegister
from pvtrace.model.stops import Why
from pvtrace.x86 import descriptors as d
from pvtrace.x86.effects import End, Raise, SetEip, SetGpr, SetSegment, WriteMemory
from pvtrace.x86.exceptions import GP, NP
from rom.abi import Generation
from tests.vmi.vmi_flat import (
    DATA,
    GDT,
    HOLE,
    KERNEL_CS,
    KERNEL_DS,
    LDT,
    LDT_SELECTOR,
    SITE,
    SPARE,
    STACK,
    TSS,
    TSS_SELECTOR,
    USER_CS,
    USER_DS,
    Guest,
    code,
    data,
    paravirtual,
    system_entry,
)

NULL = d.null_segment()
words = st.integers(0, 0xFFFFFFFF)


def write(guest: Guest, selector: int, entry: bytes, *, table: int = GDT, name: str = "WriteGDTEntry") -> None:
    low, high = unpack("<II", entry)
    guest.do(name, table_pointer=table, index=selector >> 3, low=low, high=high)


def load(guest: Guest, register: Seg, selector: int, table: int = GDT) -> None:
    guest.segments[register] = d.segment_from_descriptor(selector, *guest.entry(selector, table))


def with_ldt() -> Guest:
    guest = paravirtual()
    guest.do("SetLDT", selector=LDT_SELECTOR)
    return guest


def test_a_live_segment_follows_its_descriptor() -> None:
    guest = paravirtual()
    write(guest, SPARE, data(3, base=0x1000, limit=0xFFFFF))
    load(guest, Seg.FS, SPARE | 3)
    load(guest, Seg.GS, SPARE)
    write(guest, SPARE, data(3, base=0x5000, limit=0x1FFFFF))
    assert guest.segment(Seg.FS) == d.segment_from_descriptor(SPARE | 3, *guest.entry(SPARE))
    assert guest.segment(Seg.FS).base == guest.segment(Seg.GS).base == 0x5000
    assert guest.segment(Seg.GS).selector == SPARE
    assert guest.segment(Seg.DS).selector == KERNEL_DS | 1


@pytest.mark.parametrize(
    "entry",
    [
        bytes(8),
        pack("<II", 0xFFFF, 0x00CF7300),  # not present
        system_entry(0, 0x67, d.SystemType.TSS32),
        data(1),  # RPL 3 > DPL 1
        pack("<II", 0xFFFF, 0x00CFF900),  # code that cannot be read
    ],
    ids=["zero", "absent", "system", "privileged", "execute-only"],
)
def test_a_live_segment_that_its_descriptor_no_longer_allows_is_null(entry: bytes) -> None:
    guest = paravirtual()
    write(guest, SPARE, data(3))
    load(guest, Seg.FS, SPARE | 3)
    write(guest, SPARE, entry)
    assert guest.segment(Seg.FS) == NULL


@pytest.mark.parametrize(("register", "selector"), [(Seg.CS, KERNEL_CS), (Seg.SS, KERNEL_DS)])
def test_a_kernel_without_code_or_stack_segment_ends(register: Seg, selector: int) -> None:
    guest = paravirtual()
    guest.segments[Seg.DS] = guest.segments[Seg.ES] = d.flat(USER_DS, 3, code=False, hole=HOLE)
    (end,) = guest.call("WriteGDTEntry", table_pointer=GDT, index=selector >> 3, low=0, high=0)
    assert isinstance(end, End)
    assert end.why is Why.TERMINATED
    assert register.name in end.detail


@pytest.mark.parametrize("table", [DATA, LDT])
def test_another_table_is_memory_and_no_more(table: int) -> None:
    guest = paravirtual()
    low, high = unpack("<II", bytes(8))
    for name in ("WriteGDTEntry", "WriteLDTEntry"):
        effects = guest.call(name, table_pointer=table, index=KERNEL_DS >> 3, low=low, high=high)
        assert effects == (WriteMemory(table + KERNEL_DS, bytes(8)),)
        guest.gprs[Gpr.ESP] += 4


def test_the_two_tables_do_not_mix() -> None:
    """Index 2 of the LDT is not index 2 of the GDT."""
    guest = with_ldt()
    write(guest, 0x14, data(3, base=0x7000), table=LDT, name="WriteLDTEntry")
    load(guest, Seg.GS, 0x17, LDT)
    assert guest.segment(Seg.DS).selector == KERNEL_DS | 1
    write(guest, 0x14, bytes(8), table=LDT, name="WriteLDTEntry")
    assert guest.segment(Seg.GS) == NULL
    assert guest.segment(Seg.DS).selector == KERNEL_DS | 1


def test_an_entry_beyond_the_limit_is_stored_all_the_same() -> None:
    guest = paravirtual()
    write(guest, 0x40, data(3))
    assert guest.entry(0x40) == (0x0000BFFF, 0x00CFF300)


def test_set_gdt_reloads_everything() -> None:
    guest = paravirtual()
    write(guest, SPARE, data(3, base=0x1000))
    load(guest, Seg.FS, SPARE | 3)
    load(guest, Seg.GS, USER_DS)
    new = bytes(8) + code(0) + data(0) + code(3) + data(3, limit=0xFFFFF)
    guest.memory[DATA : DATA + len(new)] = new
    guest.memory[DATA + 0x100 : DATA + 0x106] = pack("<HI", len(new) - 1, DATA)
    guest.do("SetGDT", table_pointer=DATA + 0x100)
    assert guest.gdtr == TableRegister(DATA, len(new) - 1)
    assert guest.segment(Seg.FS) == NULL, "its selector lies beyond the new limit"
    assert guest.segment(Seg.GS).limit == 0xFFFFF
    for register in (Seg.CS, Seg.SS, Seg.DS, Seg.ES, Seg.GS):
        segment = guest.segment(register)
        assert segment == d.segment_from_descriptor(segment.selector, *guest.entry(segment.selector, DATA))
    assert guest.cpl == 1


def test_set_gdt_to_unmapped_memory_ends_a_kernel() -> None:
    guest = paravirtual()
    guest.memory[DATA : DATA + 6] = pack("<HI", 0xFF, 0xF0000000)
    (end,) = guest.call("SetGDT", table_pointer=DATA)
    assert isinstance(end, End)
    assert end.why is Why.TERMINATED


def test_set_ldt_reloads_everything() -> None:
    guest = with_ldt()
    write(guest, 0x0C, data(3, base=0x7000), table=LDT, name="WriteLDTEntry")
    load(guest, Seg.GS, 0x0F, LDT)
    guest.do("SetLDT", selector=0)
    assert guest.segment(Seg.GS) == NULL
    assert guest.do("GetLDT") & 0xFFFFFFFF == 0
    assert guest.segment(Seg.CS).selector == KERNEL_CS | 1


def at_site(vector: int, error: int) -> tuple[object, ...]:
    return (SetEip(SITE), SetGpr(Gpr.ESP, STACK), Raise(vector, error, None))


@pytest.mark.parametrize("name", ["SetLDT", "SetTR"])
@pytest.mark.parametrize("selector", [KERNEL_DS, 0x48, 0x14])
def test_a_selector_of_the_wrong_kind_is_refused_at_the_call_site(name: str, selector: int) -> None:
    assert paravirtual().call(name, selector=selector) == at_site(GP, selector)


def test_a_selector_that_is_not_present_is_refused_at_the_call_site() -> None:
    for name, selector in (("SetLDT", LDT_SELECTOR), ("SetTR", TSS_SELECTOR)):
        guest = paravirtual()
        low, high = guest.entry(selector)
        guest.put(GDT + selector, low, high & ~d.PRESENT)
        assert guest.call(name, selector=selector) == at_site(NP, selector)


def test_a_null_tr_is_refused() -> None:
    assert paravirtual().call("SetTR", selector=0) == at_site(GP, 0)


def test_a_guest_reads_back_its_own_tables() -> None:
    guest = paravirtual()
    guest.put(DATA, 0x2000 << 16 | 0x7FF, 0)
    guest.do("SetIDT", table_pointer=DATA)
    guest.do("GetIDT", buffer_pointer=DATA + 8)
    assert guest.memory[DATA : DATA + 6] == guest.memory[DATA + 8 : DATA + 14]
    guest.do("SetTR", selector=TSS_SELECTOR)
    assert guest.do("GetTR") & 0xFFFFFFFF == TSS_SELECTOR


def test_update_kernel_stack_reads_ss0_from_the_tss_in_13_x() -> None:
    guest = paravirtual()
    guest.put(TSS + 8, USER_CS)
    guest.do("UpdateKernelStack", Generation.V13, stack=TSS, esp0=0x1234)
    assert guest.system.kernel_stack == (USER_CS & ~3 | 1, 0x1234)


@given(low=words, high=words, register=st.sampled_from([Seg.FS, Seg.GS, Seg.ES]))
def test_whatever_is_written_a_live_segment_is_its_image_or_null(low: int, high: int, register: Seg) -> None:
    guest = paravirtual()
    write(guest, SPARE, data(3))
    load(guest, register, SPARE | 3)
    guest.do("WriteGDTEntry", table_pointer=GDT, index=SPARE >> 3, low=low, high=high)
    segment = guest.segment(register)
    image = d.segment_from_descriptor(SPARE | 3, *guest.entry(SPARE))
    assert segment in (NULL, image)
    if segment != NULL:
        assert d.is_present(segment.attributes)
        assert segment.attributes & d.NOT_SYSTEM
        assert segment.dpl == 3 or d.is_conforming(segment.attributes)


def test_what_is_computed_is_computed_from_the_value_written() -> None:
    """The View is the state before the effects: the reload must not read the old descriptor again."""
    guest = paravirtual()
    write(guest, SPARE, data(3, base=0x1000))
    load(guest, Seg.FS, SPARE | 3)
    low, high = unpack("<II", data(3, base=0x9000))
    store, reload = guest.call("WriteGDTEntry", table_pointer=GDT, index=SPARE >> 3, low=low, high=high)
    assert isinstance(store, WriteMemory)
    assert isinstance(reload, SetSegment)
    assert reload.segment.base == 0x9000
    assert reload.segment.limit == HOLE - 1 - 0x9000 - (HOLE - 0x9000) % 0x1000
    assert reload.segment._replace(selector=0) == d.segment_from_descriptor(0, *unpack("<II", store.data))
