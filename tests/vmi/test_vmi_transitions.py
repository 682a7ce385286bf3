"""IRET and SYSEXIT, where they go and where they fault."""

from dataclasses import replace
from struct import pack, unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.registers import Gpr, Seg
from pvtrace.model.stops import Why
from pvtrace.x86 import descriptors as d
from pvtrace.x86 import eflags
from pvtrace.x86.effects import End, Raise, SetEip, SetGpr
from pvtrace.x86.exceptions import GP, NP, PF, SS
from pvtrace.x86.latitude import Latitude
from pvtrace.x86.results import Returned
from rom.abi import Generation
from tests.vmi.vmi_flat import (
    GDT,
    HOLE,
    KERNEL_CS,
    KERNEL_DS,
    SITE,
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

EIP, USER_ESP = 0x00123456, 0x0BFFF000
ON = eflags.FIXED | eflags.IF
BOTH = pytest.mark.parametrize("generation", list(Generation))


def framed(*words: int) -> Guest:
    """A guest whose stack at the call site holds this frame."""
    guest = paravirtual()
    guest.put(STACK, *words)
    return guest


@BOTH
@pytest.mark.parametrize("rpl", [0, 1])
@pytest.mark.parametrize("interrupts", [0, eflags.IF])
def test_iret_to_the_kernel(generation: Generation, rpl: int, interrupts: int) -> None:
    image = eflags.FIXED | interrupts | eflags.CF | eflags.DF | eflags.IOPL
    guest = framed(EIP, KERNEL_CS | rpl, image)
    guest.system = replace(guest.system, vif=not interrupts, viopl=2)
    guest.do("IRET", generation)
    assert (guest.eip, guest.gprs[Gpr.ESP], guest.cpl) == (EIP, STACK + 12, 1)
    assert guest.segment(Seg.CS) == d.segment_from_descriptor(KERNEL_CS | 1, *guest.entry(KERNEL_CS))
    assert guest.segment(Seg.SS).selector == KERNEL_DS | 1
    assert guest.system.vif is bool(interrupts)
    assert guest.system.viopl == 2
    assert guest.eflags == ON | eflags.CF | eflags.DF
    assert guest.returned == Returned(EIP, KERNEL_CS | 1, image, STACK + 12, KERNEL_DS | 1)


@BOTH
def test_iret_to_user_mode(generation: Generation) -> None:
    image = ON | eflags.ZF | eflags.TF
    guest = framed(EIP, USER_CS, image, USER_ESP, USER_DS)
    guest.segments[Seg.FS] = d.flat(USER_DS, 3, code=False, hole=HOLE)
    guest.system = replace(guest.system, vif=False)
    guest.do("IRET", generation)
    assert (guest.eip, guest.gprs[Gpr.ESP], guest.cpl) == (EIP, USER_ESP, 3)
    assert guest.segment(Seg.CS) == d.flat(USER_CS, 3, code=True, hole=HOLE)
    assert guest.segment(Seg.SS) == d.flat(USER_DS, 3, code=False, hole=HOLE)
    assert guest.segment(Seg.DS) == d.null_segment(), "the kernel's data segment is not for user mode"
    assert guest.segment(Seg.FS).selector == USER_DS
    assert guest.system.vif
    assert guest.eflags == image
    assert guest.returned == Returned(EIP, USER_CS, image, USER_ESP, USER_DS)
    assert not guest.notes


def test_user_mode_always_has_interrupts_on() -> None:
    guest = framed(EIP, USER_CS, eflags.FIXED, USER_ESP, USER_DS)
    guest.do("IRET")
    assert guest.system.vif
    assert guest.returned == Returned(EIP, USER_CS, eflags.FIXED, USER_ESP, USER_DS)
    assert len(guest.notes) == 1


@pytest.mark.parametrize(("harsh", "esp"), [(False, USER_ESP), (True, STACK & 0xFFFF0000 | USER_ESP & 0xFFFF)])
def test_a_16_bit_user_stack(harsh: bool, esp: int) -> None:
    guest = framed(EIP, USER_CS, ON, USER_ESP, SPARE | 3)
    guest.latitude = Latitude(stack16=harsh)
    guest.put(GDT + SPARE, 0x0000FFFF, 0x0000F300)
    guest.do("IRET")
    assert guest.gprs[Gpr.ESP] == esp
    assert len(guest.notes) == int(harsh)


@BOTH
@pytest.mark.parametrize("viopl", [0, 3])
def test_user_code_that_owns_if_may_begin_with_it_clear(generation: Generation, viopl: int) -> None:
    guest = framed(EIP, USER_CS, eflags.FIXED, USER_ESP, USER_DS)
    guest.user_if = True
    guest.system = replace(guest.system, viopl=viopl)
    guest.do("IRET", generation)
    assert guest.system.vif is (viopl < 3)
    assert len(guest.notes) == int(viopl < 3)


def test_a_fault_of_iret_ends_an_unfinished_hypervisor() -> None:
    guest = framed(EIP, USER_CS, ON, USER_ESP, 0)
    guest.latitude = Latitude(iret_fault=True)
    (end,) = guest.call("IRET")
    assert isinstance(end, End)
    assert end.why is Why.TERMINATED


def test_an_unreadable_frame_is_a_page_fault_at_the_site() -> None:
    guest = framed(EIP, USER_CS, ON, USER_ESP, 0)
    guest.absent = {STACK >> 12}
    site, esp, raised = guest.call("IRET")
    assert (site, esp) == (SetEip(SITE), SetGpr(Gpr.ESP, STACK))
    assert raised == Raise(PF, 0, STACK)


@pytest.mark.parametrize("interrupts", [0, eflags.IF])
def test_iret_to_virtual_8086_mode(interrupts: int) -> None:
    image = eflags.FIXED | eflags.VM | interrupts | eflags.IOPL
    guest = framed(0x100, 0x2000, image, 0xFFFE, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000)
    guest.system = replace(guest.system, msrs=((0x174, 0x60), (0x175, 0x99)), vif=False, viopl=1)
    guest.do("IRET")
    selectors = {register: guest.segment(register).selector for register in Seg}
    assert selectors == {
        Seg.CS: 0x2000,
        Seg.SS: 0x3000,
        Seg.ES: 0x4000,
        Seg.DS: 0x5000,
        Seg.FS: 0x6000,
        Seg.GS: 0x7000,
    }
    assert all(guest.segment(register) == d.v8086_segment(selectors[register]) for register in Seg)
    assert (guest.eip, guest.gprs[Gpr.ESP], guest.cpl) == (0x100, 0xFFFE, 3)
    assert guest.eflags == ON | eflags.VM
    assert (guest.system.vif, guest.system.viopl) == (True, 1)
    assert (guest.system.msr(0x174), guest.system.msr(0x175)) == (0, 0x99)
    assert len(guest.notes) == (0 if interrupts else 1)


def at_site(vector: int, error: int) -> tuple[object, ...]:
    return (SetEip(SITE), SetGpr(Gpr.ESP, STACK), Raise(vector, error, None))


def absent(entry: bytes) -> bytes:
    low, high = unpack("<II", entry)
    return pack("<II", low, high & ~d.PRESENT)


BAD_TARGETS = {
    "null code": (bytes(8), 0, USER_DS, GP, 0),
    "null code, user": (bytes(8), 3, USER_DS, GP, 0),
    "code beyond the table": (bytes(8), 0x48, USER_DS, GP, 0x48),
    "code is data": (bytes(8), USER_DS, USER_DS, GP, USER_DS & ~3),
    "code is a TSS": (bytes(8), TSS_SELECTOR, USER_DS, GP, TSS_SELECTOR),
    "user level, kernel code": (bytes(8), KERNEL_CS | 3, USER_DS, GP, KERNEL_CS),
    "kernel level, user code": (bytes(8), USER_CS & ~3, USER_DS, GP, USER_CS & ~3),
    "code not present": (absent(code(3)), SPARE | 3, USER_DS, NP, SPARE),
    "eip beyond the limit": (code(3, limit=0xFFFF), SPARE | 3, USER_DS, GP, 0),
    "null stack": (bytes(8), USER_CS, 3, GP, 0),
    "stack beyond the table": (bytes(8), USER_CS, 0x4B, GP, 0x48),
    "stack is code": (bytes(8), USER_CS, USER_CS, GP, USER_CS & ~3),
    "stack of the kernel": (bytes(8), USER_CS, KERNEL_DS | 3, GP, KERNEL_DS),
    "stack with a wrong RPL": (bytes(8), USER_CS, USER_DS & ~3, GP, USER_DS & ~3),
    "stack not present": (absent(data(3)), USER_CS, SPARE | 3, SS, SPARE),
}


@pytest.mark.parametrize("what", BAD_TARGETS)
def test_a_target_that_cannot_be_entered_is_a_fault_at_the_call_site(what: str) -> None:
    entry, cs, ss, vector, error = BAD_TARGETS[what]
    guest = framed(EIP, cs, ON, USER_ESP, ss)
    guest.memory[GDT + SPARE : GDT + SPARE + 8] = entry
    assert guest.call("IRET") == at_site(vector, error)


def test_virtual_8086_code_lies_in_its_segment() -> None:
    guest = framed(0x10000, 0x2000, ON | eflags.VM, 0, 0, 0, 0, 0, 0)
    assert guest.call("IRET") == at_site(GP, 0)


def test_a_frame_that_is_not_mapped_is_a_page_fault_at_the_call_site() -> None:
    guest = paravirtual()
    guest.gprs[Gpr.ESP] = STACK
    guest.absent = {STACK >> 12}
    assert guest.call("IRET") == (SetEip(SITE), SetGpr(Gpr.ESP, STACK), Raise(14, 0, STACK))


def test_a_kernel_descriptor_stored_without_a_call_is_the_kernels_all_the_same() -> None:
    guest = framed(EIP, SPARE, ON)
    guest.memory[GDT + SPARE : GDT + SPARE + 8] = code(0)
    guest.do("IRET")
    assert guest.segment(Seg.CS).dpl == 1
    assert guest.segment(Seg.CS).limit == HOLE - 1


@given(image=st.integers(0, 0xFFFFFFFF), before=st.integers(0, 0xFFFFFFFF), viopl=st.integers(0, 3), user=st.booleans())
def test_flags_come_from_the_image_but_for_the_virtual_ones(image: int, before: int, viopl: int, user: bool) -> None:
    image &= ~eflags.VM
    guest = framed(EIP, USER_CS if user else KERNEL_CS, image, USER_ESP, USER_DS)
    guest.system = replace(guest.system, viopl=viopl)
    guest.eflags = before & ~(eflags.VM | eflags.IOPL) | ON
    guest.do("IRET")
    assert guest.eflags & eflags.UNPRIVILEGED == image & eflags.UNPRIVILEGED
    assert guest.eflags & (eflags.IF | eflags.IOPL | eflags.VM) == eflags.IF
    assert guest.system.vif is (user or bool(image & eflags.IF))
    assert guest.system.viopl == viopl


@BOTH
def test_sysexit(generation: Generation) -> None:
    guest = paravirtual(generation)
    guest.system = replace(guest.system, msrs=((0x174, KERNEL_CS | 1),), vif=False)
    guest.do("SYSEXIT", generation, eip=EIP, esp=USER_ESP)
    assert (guest.eip, guest.gprs[Gpr.ESP], guest.cpl) == (EIP, USER_ESP, 3)
    assert guest.segment(Seg.CS) == d.flat(KERNEL_CS + 16 | 3, 3, code=True, hole=HOLE)
    assert guest.segment(Seg.SS) == d.flat(KERNEL_CS + 24 | 3, 3, code=False, hole=HOLE)
    assert guest.system.vif
    assert guest.returned == Returned(EIP, KERNEL_CS + 16 | 3, ON, USER_ESP, KERNEL_CS + 24 | 3)


@pytest.mark.parametrize("msr", [0, 1])
def test_sysexit_without_segments_is_a_fault_at_the_call_site(msr: int) -> None:
    guest = paravirtual()
    guest.system = replace(guest.system, msrs=((0x174, msr),))
    assert guest.call("SYSEXIT", eip=EIP, esp=USER_ESP) == at_site(GP, 0)
