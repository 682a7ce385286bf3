"""Privileged and sensitive instructions: who may, what happens, what a paravirtual guest sees."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.exits import PortRead, PortWrite
from pvtrace.model.registers import Gpr, Seg, TableRegister
from pvtrace.x86 import hypervisor
from pvtrace.x86.cpuid import cpuid
from pvtrace.x86.effects import (
    FlushTlb,
    HaltCpu,
    Native,
    Raise,
    ReadPort,
    SetCr,
    SetEip,
    SetGpr,
    WriteMemory,
    WritePort,
)
from pvtrace.x86.machine_specific import read_msr
from pvtrace.x86.ports import port_read, port_write
from pvtrace.x86.privileged import HANDLERS, execute
from pvtrace.x86.results import Result
from tests.x86.flat_view import (
    GDT,
    GDT_ENTRIES,
    KERNEL_CS,
    LDT,
    LDT_SELECTOR,
    STACK,
    TSS,
    TSS_SELECTOR,
    USER_CS,
    FlatView,
    at_ring,
)

PRIVILEGED = {
    "mov eax, cr0": "0f20c0",
    "mov cr3, eax": "0f22d8",
    "mov eax, dr7": "0f21f8",
    "mov dr7, eax": "0f23f8",
    "clts": "0f06",
    "lmsw ax": "0f01f0",
    "lgdt [eax]": "0f0110",
    "lidt [eax]": "0f0118",
    "lldt ax": "0f00d0",
    "invlpg [eax]": "0f0138",
    "wbinvd": "0f09",
    "invd": "0f08",
    "rdmsr": "0f32",
    "wrmsr": "0f30",
    "hlt": "f4",
}
LEVELS = [(0, False, True), (1, False, False), (3, False, False), (1, True, True), (3, True, False)]


def prepared(cpl: int, paravirtual: bool) -> FlatView:
    view = at_ring(cpl, paravirtual=paravirtual)
    view.gprs[Gpr.ECX] = 0x174
    view.gprs[Gpr.EAX] = 0
    view.put(0, 0x7F | GDT << 16, 6)  # what LGDT and LIDT load
    return view


def run(view: FlatView, code: str) -> Result:
    return execute(view, bytes.fromhex(code))


@pytest.mark.parametrize("code", PRIVILEGED.values(), ids=PRIVILEGED.keys())
@pytest.mark.parametrize(("cpl", "paravirtual", "allowed"), LEVELS)
def test_who_may(code: str, cpl: int, paravirtual: bool, allowed: bool) -> None:
    result = run(prepared(cpl, paravirtual), code)
    if not allowed:
        assert result.effects == (Raise(13, 0),)
    else:
        assert result.faulted is None
        assert SetEip(0x8000 + len(code) // 2) in result.effects


@pytest.mark.parametrize(
    "code", ["0fc7f0", "0f05", "0f07", "0f01c8", "0f01c9", "0f01c1", "0faa", "0f01d0", "0f01f9", "0f0b"]
)
@pytest.mark.parametrize("cpl", [0, 3])
def test_undefined(code: str, cpl: int) -> None:
    assert run(at_ring(cpl), code).effects == (Raise(6),)


def test_lock_prefix_is_undefined() -> None:
    assert run(at_ring(0), "f00f20c0").effects == (Raise(6),)


@pytest.mark.parametrize(
    "code", ["0f02c0", "0f03c0", "0f00e0", "0f00e8", "63c1", "8ed8", "0fb208", "cb", "9a000000000800", "ff28"]
)
def test_the_cpu_runs_the_others(code: str) -> None:
    assert run(at_ring(1, paravirtual=True), code).effects == (Native(),)


def test_icebp_is_a_trap() -> None:
    assert run(at_ring(3), "f1").effects == (SetEip(0x8001), Raise(1))


def test_halt() -> None:
    assert run(at_ring(0), "f4").effects == (SetEip(0x8001), HaltCpu())


@pytest.mark.parametrize(
    ("number", "value", "vector"),
    [
        (0, 0x80000000, 13),  # PG without PE
        (0, 0x20000001, 13),  # NW without CD
        (0, 0x80000011, None),
        (4, 0x800, 13),  # a reserved bit
        (4, 0x6B0 & 0x7BC, None),
        (2, 0xFFFFFFFF, None),
        (3, 0x1018, None),
        (1, 0, 6),
        (5, 0, 6),
        (7, 0, 6),
    ],
)
def test_mov_to_cr(number: int, value: int, vector: int | None) -> None:
    view = at_ring(0)
    view.gprs[Gpr.EBX] = value
    result = execute(view, bytes([0x0F, 0x22, 0xC3 | number << 3]))
    assert result.faulted == vector
    if vector is None:
        assert result.effects == (SetCr(number, value | (0x10 if number == 0 else 0)), SetEip(0x8003))
        assert (result.operand, result.value) == (number, value)


def test_paravirtual_kernel_keeps_protection_and_paging() -> None:
    view = at_ring(1, paravirtual=True)
    view.crs[0] = 0x80000011
    view.gprs[Gpr.EAX] = 0x10
    assert run(view, "0f22c0").effects[0] == SetCr(0, 0x80000011)


def test_lmsw_sets_pe_but_does_not_clear_it() -> None:
    view = at_ring(0)
    view.gprs[Gpr.EAX] = 0xE
    assert SetCr(0, 0x1F) in run(view, "0f01f0").effects


@pytest.mark.parametrize(("alias", "number"), [(4, 6), (5, 7)])
def test_debug_registers(alias: int, number: int) -> None:
    view = at_ring(0)
    view.gprs[Gpr.EAX] = 0xFFFFFFFF
    view.apply(execute(view, bytes([0x0F, 0x23, 0xC0 | alias << 3])).effects)
    view.apply(execute(view, bytes([0x0F, 0x21, 0xC3 | number << 3])).effects)
    assert view.gprs[Gpr.EBX] == {6: 0xFFFFEFFF, 7: 0xFFFF2FFF}[number]
    view.crs[4] = 8
    assert execute(view, bytes([0x0F, 0x21, 0xC0 | alias << 3])).effects == (Raise(6),)


@given(base=st.integers(0, 0xFFFFFFFF), limit=st.integers(0, 0xFFFF))
def test_lgdt_sgdt_round_trip(base: int, limit: int) -> None:
    view = at_ring(0)
    view.put(0x5000, limit | base << 16, 6)
    view.gprs[Gpr.EAX], view.gprs[Gpr.EBX] = 0x5000, 0x5100
    view.apply(run(view, "0f0110").effects)
    assert view.gdtr == TableRegister(base, limit)
    view.apply(run(view, "0f0103").effects)
    assert view.memory[0x5100:0x5106] == view.memory[0x5000:0x5006]
    view.apply(run(view, "660f0118").effects)
    assert view.idtr == TableRegister(base & 0xFFFFFF, limit)


def test_paravirtual_lgdt_moves_the_kernels_segments() -> None:
    view = at_ring(1, paravirtual=True)
    view.put(0x5000, 0x7F | GDT << 16, 6)
    view.gprs[Gpr.EAX] = 0x5000
    view.apply(run(view, "0f0110").effects)
    assert view.get(GDT + KERNEL_CS + 5, 1) == 0xBB
    assert view.get(GDT + (USER_CS & ~3) + 5, 1) == 0xFB
    assert view.get(GDT + TSS_SELECTOR, 8) == GDT_ENTRIES[TSS_SELECTOR]


@pytest.mark.parametrize("cpl", [1, 3])
def test_paravirtual_stores_show_the_hypervisor(cpl: int) -> None:
    view = at_ring(cpl, paravirtual=True)
    view.gprs[Gpr.EBX] = 0x5000
    view.apply(run(view, "0f010b").effects)  # sidt [ebx]
    assert view.get(0x5002) == hypervisor.IDTR.base >= 0xFC000000
    assert run(view, "0f00c8").effects[0] == SetGpr(Gpr.EAX, hypervisor.TR_SELECTOR)
    assert run(view, "0f00c0").effects[0] == SetGpr(Gpr.EAX, hypervisor.LDTR_SELECTOR)


@pytest.mark.parametrize(
    ("selector", "vector", "error"),
    [(0, 13, 0), (0x3C, 13, 0x3C), (KERNEL_CS, 13, KERNEL_CS), (0x80, 13, 0x80), (0x68, 13, 0x68)],
)
def test_ltr_refusals(selector: int, vector: int, error: int) -> None:
    view = at_ring(0)
    view.gprs[Gpr.EAX] = selector
    assert run(view, "0f00d8").effects == (Raise(vector, error),)


def test_ltr_marks_the_descriptor_busy() -> None:
    view = at_ring(0)
    view.gprs[Gpr.EAX] = TSS_SELECTOR
    view.apply(run(view, "0f00d8").effects)
    assert (view.tr.base, view.tr.attributes & 0xFF00) == (TSS, 0x8B00)
    assert run(view, "0f00d8").effects == (Raise(13, TSS_SELECTOR),)


def test_lldt() -> None:
    view = at_ring(0)
    view.gprs[Gpr.EAX] = LDT_SELECTOR
    view.apply(run(view, "0f00d0").effects)
    assert (view.ldtr.base, view.ldtr.selector) == (LDT, LDT_SELECTOR)
    view.gprs[Gpr.EAX] = TSS_SELECTOR
    assert run(view, "0f00d0").effects == (Raise(13, TSS_SELECTOR),)


def test_invlpg() -> None:
    view = at_ring(0)
    view.gprs[Gpr.EAX] = 0x1234
    result = run(view, "0f0138")
    assert FlushTlb() in result.effects
    assert result.operand == 0x1234


@given(value=st.integers(0, (1 << 64) - 1))
def test_msrs(value: int) -> None:
    view = at_ring(0)
    view.gprs[Gpr.EAX], view.gprs[Gpr.EDX] = value & 0xFFFFFFFF, value >> 32
    view.gprs[Gpr.ECX] = 0x10
    view.apply(run(view, "0f30").effects)
    view.ticks += 7
    assert read_msr(view, 0x10) == (value + 7) % (1 << 64)
    view.gprs[Gpr.ECX] = 0x174
    assert (run(view, "0f30").faulted == 13) is bool(value >> 32)


@pytest.mark.parametrize(
    ("index", "value"), [(0x1B, 0xFEE00900), (0x277, 0x0007040600070406), (0xC0000080, 0), (0xFE, 0)]
)
def test_msrs_after_reset(index: int, value: int) -> None:
    view = at_ring(0)
    view.gprs[Gpr.ECX] = index
    assert run(view, "0f32").value == value


@pytest.mark.parametrize("code", ["0f32", "0f30"])
def test_unknown_msr(code: str) -> None:
    view = at_ring(0)
    view.gprs[Gpr.ECX] = 0xDEAD
    assert run(view, code).effects == (Raise(13, 0),)


@pytest.mark.parametrize(("cpl", "tsd", "faults"), [(0, True, False), (3, False, False), (3, True, True)])
def test_rdtsc(cpl: int, tsd: bool, faults: bool) -> None:
    view = at_ring(cpl)
    view.crs[4] = 4 if tsd else 0
    view.ticks = 0x123456789
    result = run(view, "0f31")
    assert (result.faulted == 13) is faults
    if not faults:
        assert result.effects[:2] == (SetGpr(Gpr.EAX, 0x23456789), SetGpr(Gpr.EDX, 1))


def test_cpuid() -> None:
    eax, ebx, ecx, edx = cpuid(0)
    assert (eax, b"".join(word.to_bytes(4, "little") for word in (ebx, edx, ecx))) == (2, b"GenuineIntel")
    view = at_ring(3)
    view.gprs[Gpr.EAX] = 1
    view.apply(run(view, "0fa2").effects)
    assert view.gprs[Gpr.EDX] & 1 << 9
    view.system = replace(view.system, msrs=view.system.with_msr(0x1B, 1 << 11))  # switched off
    view.gprs[Gpr.EAX] = 1
    view.apply(run(view, "0fa2").effects)
    assert not view.gprs[Gpr.EDX] & 1 << 9
    assert view.gprs[Gpr.EDX] & 1 << 11
    assert cpuid(0x40000000) == cpuid(2)


@pytest.mark.parametrize(("paravirtual", "ring"), [(False, 0), (True, 1)])
def test_sysenter_and_back(paravirtual: bool, ring: int) -> None:
    view = at_ring(3, paravirtual=paravirtual)
    assert run(view, "0f34").effects == (Raise(13, 0),)
    kernel = at_ring(1 if paravirtual else 0, paravirtual=paravirtual)
    for index, value in ((0x174, 0x60 | ring), (0x175, 0xC000), (0x176, 0x6000)):
        kernel.gprs[:3] = [value, index, 0]
        kernel.apply(run(kernel, "0f30").effects)
    view.system = kernel.system
    result = run(view, "0f34")
    view.apply(result.effects)
    assert (view.segments[Seg.CS].selector, view.segments[Seg.SS].selector) == (0x60 | ring, 0x68 | ring)
    assert (view.cpl, view.eip, view.gprs[Gpr.ESP], view.system.vif) == (ring, 0x6000, 0xC000, False)
    assert result.entered is not None
    assert (result.entered.cs, result.entered.eip, result.entered.handler) == (USER_CS, 0x8002, 0x6000)
    view.gprs[Gpr.EDX], view.gprs[Gpr.ECX] = 0x8002, STACK
    view.apply(run(view, "0f35").effects)
    assert (view.cpl, view.segments[Seg.CS].selector, view.segments[Seg.SS].selector) == (3, 0x73, 0x7B)
    assert (view.eip, view.gprs[Gpr.ESP]) == (0x8002, STACK)
    assert run(view, "0f35").effects == (Raise(13, 0),)


def test_ports() -> None:
    view = at_ring(0)
    assert port_read(view, PortRead(0x60, 1, 2)).effects == (ReadPort(0x60, 1), SetEip(0x8002))
    assert port_write(view, PortWrite(0x80, 4, 7, 1)).effects == (WritePort(0x80, 4, 7), SetEip(0x8001))
    assert port_read(at_ring(3), PortRead(0x60, 1, 2)).effects == (Raise(13, 0),)


def test_string_ports() -> None:
    view = at_ring(0)
    view.memory[0x8000:0x8003] = bytes.fromhex("f3666d")
    view.gprs[Gpr.EDI], view.gprs[Gpr.ECX] = 0x5000, 2
    exit_ = PortRead(0x1F0, 2, 3, string=True, rep=True)
    moved = (SetGpr(Gpr.EDI, 0x5002), SetGpr(Gpr.ECX, 1))
    assert port_read(view, exit_).effects == (ReadPort(0x1F0, 2, address=0x5000), *moved)
    view.gprs[Gpr.ECX] = 0
    assert port_read(view, exit_).effects == (SetEip(0x8003),)
    view.memory[0x8000:0x8003] = bytes.fromhex("67266e")  # outs dx, es:[si]
    view.gprs[Gpr.ESI], view.eflags = 0x50000, 0x402
    view.memory[0] = 0x5A
    written = port_write(view, PortWrite(0xE9, 1, 0, 3, string=True)).effects
    assert written == (WritePort(0xE9, 1, 0x5A), SetGpr(Gpr.ESI, 0x5FFFF), SetEip(0x8003))


def test_stores_come_first() -> None:
    """A page fault in a store must leave the registers alone, whatever the instruction."""
    view = at_ring(0)
    view.gprs[Gpr.EAX] = 0x5000
    for code in ("9c", "0f0100", "0f0108", "0f0000", "0f0008", "0f0120"):
        effects = run(view, code).effects
        assert isinstance(effects[0], WriteMemory)
    assert all(name == name.upper() for name in HANDLERS)
