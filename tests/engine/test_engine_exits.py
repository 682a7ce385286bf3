"""Each kind of exit by name: what it says, where it leaves EIP, what it counts."""

import pytest

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.model.errors import EngineError
from pvtrace.model.exits import (
    Arrived,
    Exit,
    Fault,
    Halt,
    Hypercall,
    MmioRead,
    MmioWrite,
    PortRead,
    PortWrite,
    Sensitive,
    SoftInt,
)
from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.model.step import NEVER, Step
from tests.oracle.assembler import assemble
from tests.oracle.guest import DATA0, Guest, flat

START = 0x10000


def cpu_with(code: bytes, cpl: int = 0) -> UnicornCpu:
    cpu = Guest(((START, code),), eip=START, esp=0x30800, cpl=cpl).fast()
    cpu.set_gpr(Gpr.EDX, 0xABCD03F8)
    cpu.set_gpr(Gpr.EAX, 0x12345678)
    return cpu


EXITS: dict[str, tuple[str, Exit]] = {
    "IN AL, imm": ("in al, 0x60", PortRead(0x60, 1, 2)),
    "IN EAX, DX": ("in eax, dx", PortRead(0x3F8, 4, 1)),
    "IN AX, DX": ("in ax, dx", PortRead(0x3F8, 2, 2)),
    "OUT imm, AL": ("out 0x80, al", PortWrite(0x80, 1, 0x78, 2)),
    "OUT DX, AX": ("out dx, ax", PortWrite(0x3F8, 2, 0x5678, 2)),
    "OUT DX, EAX": ("out dx, eax", PortWrite(0x3F8, 4, 0x12345678, 1)),
    "INSB": ("insb", PortRead(0x3F8, 1, 1, string=True)),
    "REP INSW": ("rep insw", PortRead(0x3F8, 2, 3, string=True, rep=True)),
    "REP OUTSD": ("rep outsd", PortWrite(0x3F8, 4, 0, 2, string=True, rep=True)),
    "INT 80h": ("int 0x80", SoftInt(0x80, 2)),
    "INT3": ("int3", SoftInt(3, 1)),
    "HLT": ("hlt", Halt(1)),
    "VMCALL": ("db 0x0f, 0x01, 0xc1", Hypercall(3)),
    "UD2": ("ud2", Fault(6, None, None)),
    "divide error": ("div bl", Fault(0, None, None)),
    "sixteen bytes": ("times 14 db 0x66\nint 0x80", Fault(13, 0, None)),
    "fifteen bytes": ("times 13 db 0x2e\nint 0x80", SoftInt(0x80, 15)),
    "bad selector": ("mov ebx, 0x7ff8\nmov ds, ebx", Fault(13, 0x7FF8, None)),
}


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.parametrize("cpl", [0, 3])
def test_exit(name: str, cpl: int) -> None:
    source, expected = EXITS[name]
    prologue = b"\x90\x90\x90"
    cpu = cpu_with(prologue + assemble(source, START + 3), cpl)
    before = cpu.registers()
    assert cpu.run(NEVER) == expected
    setup = 5 if source.startswith("mov ebx") else 0
    assert cpu.eip == START + 3 + setup
    assert cpu.steps == 4 + bool(setup)
    assert cpu.registers().eflags == before.eflags
    assert cpu.cpl == cpl


@pytest.mark.parametrize(
    "source",
    [
        *("cli", "sti", "pushf", "popf", "iret", "retf", "jmp 8:0", "call far [0]", "sysenter", "sysexit"),
        *("lgdt [0]", "sidt [0]", "sldt ax", "ltr ax", "smsw ax", "lmsw ax", "clts", "invd", "wbinvd", "invlpg [0]"),
        *("mov cr3, eax", "mov eax, cr0", "mov dr7, eax", "rdtsc", "rdtscp", "rdpmc", "cpuid", "rdmsr", "wrmsr"),
        *("rdrand eax", "db 0xf1", "monitor", "mwait", "xgetbv"),
    ],
)
@pytest.mark.parametrize("cpl", [0, 1, 3])
def test_sensitive_at_every_level(source: str, cpl: int) -> None:
    code = assemble(source, START)
    cpu = cpu_with(code, cpl)
    before = cpu.registers()
    found = cpu.run(NEVER)
    assert isinstance(found, Sensitive)
    assert found.code.startswith(code)
    assert (cpu.steps, cpu.registers()) == (1, before)


def test_into_only_with_overflow() -> None:
    cpu = cpu_with(assemble("mov al, 0x7f\nadd al, 1\ninto", START))
    assert cpu.run(NEVER) == SoftInt(4, 1)
    assert isinstance(cpu_with(b"\xce").run(NEVER), Sensitive)


def test_sixteen_bit_code() -> None:
    cpu = cpu_with(b"\xed\x66\xed")
    cpu.set_segment(Seg.CS, Segment(8, 0, 0xFFFFF, 0x9B00))
    assert cpu.run(NEVER) == PortRead(0x3F8, 2, 1)
    cpu.eip += 1
    assert cpu.run(NEVER) == PortRead(0x3F8, 4, 2)


def test_run_native_counts_once() -> None:
    cpu = cpu_with(assemble(f"jmp 8:{START + 16}", START))
    assert isinstance(cpu.run(NEVER), Sensitive)
    assert cpu.run_native() is None
    assert (cpu.steps, cpu.eip) == (1, START + 16)


def test_run_native_faults() -> None:
    cpu = cpu_with(assemble("jmp 0x7ff8:0", START))
    assert isinstance(cpu.run(NEVER), Sensitive)
    assert cpu.run_native() == Fault(13, 0x7FF8, None)
    assert (cpu.steps, cpu.eip) == (1, START)


def test_a_load_from_a_device() -> None:
    cpu = cpu_with(assemble("mov eax, [0xfee00030]\nhlt", START))
    assert cpu.run(NEVER) == MmioRead(0xFEE00030, 4)
    assert cpu.eip == START
    cpu.supply(0xCAFEF00D)
    assert isinstance(cpu.run(NEVER), Arrived | Halt)
    assert cpu.gpr(Gpr.EAX) == 0xCAFEF00D
    assert cpu.eip == START + 5


def test_a_store_to_a_device() -> None:
    cpu = cpu_with(assemble("mov word [0xfee000b0], 0x1234\nhlt", START))
    assert cpu.run(NEVER) == MmioWrite(0xFEE000B0, 2, 0x1234)
    assert (cpu.steps, cpu.eip) == (1, START + 9)


def test_a_store_to_rom() -> None:
    cpu = cpu_with(assemble("mov eax, [0x21000]\nmov dword [0x21000], 7\nhlt", START))
    cpu.write_physical(0x21000, b"\x05")
    cpu.protect(0x21000, 0x1000)
    assert cpu.run(NEVER) == MmioWrite(0x21000, 4, 7)
    assert cpu.gpr(Gpr.EAX) == 5
    assert cpu.read_physical(0x21000, 1) == b"\x05"
    assert cpu.run(NEVER) == Halt(1)


def test_nothing_to_supply() -> None:
    with pytest.raises(EngineError, match="no load from device memory is pending"):
        cpu_with(b"\xf4").supply(1)


def test_the_hole() -> None:
    cpu = cpu_with(assemble("mov eax, [0x20000]\nmov eax, [0x21000]", START))
    cpu.hole = 0x21000
    assert cpu.run(NEVER) == Fault(13, 0, None)
    assert (cpu.steps, cpu.eip) == (2, START + 5)


def test_a_state_of_another_size() -> None:
    with pytest.raises(EngineError, match="a saved CPU state has"):
        cpu_with(b"\xf4").load(bytes(100), {})


def test_the_past_is_arrived_at_once() -> None:
    cpu = cpu_with(b"\x90" * 8)
    assert cpu.run(Step(5)) == Arrived()
    assert cpu.run(Step(3)) == Arrived()
    assert cpu.steps == 5


def test_a_shadow_lasts_one_instruction() -> None:
    cpu = cpu_with(assemble("mov ss, ecx\nnop\nnop", START))
    cpu.set_gpr(Gpr.ECX, DATA0)
    shadows = []
    for step in (1, 2, 3):
        cpu.run(Step(step))
        shadows.append(cpu.shadowed)
    assert shadows == [True, False, False]


def test_going_elsewhere_ends_a_shadow() -> None:
    cpu = cpu_with(assemble("mov ss, ecx\nhlt", START))
    cpu.set_gpr(Gpr.ECX, DATA0)
    assert cpu.run(NEVER) == Halt(1)
    assert cpu.shadowed
    cpu.eip += 1
    assert not cpu.shadowed


def test_the_level_follows_ss() -> None:
    cpu = cpu_with(b"\xf4")
    for selector, level in ((0x23, 3), (0x31, 1), (0x10, 0)):
        cpu.set_segment(Seg.SS, flat(selector))
        assert cpu.cpl == level


def test_a_segment_is_only_its_attributes() -> None:
    """A register loaded by the guest reads as one that was set: no bits of base and limit."""
    cpu = cpu_with(assemble("mov ecx, 0x10\nmov ds, ecx\nhlt", START))
    cpu.run(NEVER)
    assert cpu.segment(Seg.DS).attributes == 0xC09300


def test_two_engines_at_once() -> None:
    one, two = cpu_with(b"\x40" * 100), cpu_with(b"\x48" * 100)
    for step in range(1, 50, 7):
        one.run(Step(step))
        two.run(Step(step))
    assert (one.gpr(0), two.gpr(0)) == (0x12345678 + 43 + 0, 0x12345678 - 43)
