"""The transparent ROM: its bytes are its assembly's, it reads back, and its code does what the calls say."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from unicorn import UC_ARCH_X86, UC_MODE_32, Uc
from unicorn.x86_const import UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EIP, UC_X86_REG_ESP

from pvtrace.cli.main import cli
from rom import native
from rom.abi import CALLS, GET_RELOCATION_3, INIT_3, Family, Generation, by_name, calls
from rom.build import build, standard
from rom.layout import entry_offset, entry_size
from rom.native import offered, routine, routines
from rom.parse import parse

GENERATIONS = pytest.mark.parametrize("generation", list(Generation))
BASE, STACK, DATA, RETURN = 0xC00C8000, 0x20000, 0x30000, 0x10000


def assembled(folder: Path, asm: str) -> bytes:
    source, output = folder / "routine.asm", folder / "routine"
    source.write_text("bits 32\nroutine:\n" + "\n".join(asm.split("; ")) + "\n")
    subprocess.run(["nasm", "-f", "bin", "-o", output, source], check=True)
    return output.read_bytes()


@pytest.mark.parametrize("name", routines())
def test_the_code_is_the_assembly(name: str, tmp_path: Path) -> None:
    found = routines()[name]
    assert found.code == assembled(tmp_path, found.asm)


@GENERATIONS
def test_the_relocation_query_is_its_assembly(generation: Generation, tmp_path: Path) -> None:
    at = 0x1234
    code = routine(generation, by_name("GetRelocationInfo").number(generation) or 0, at)
    asm = native.RELOCATION_ASM.format(
        count=max(offered(generation)) + 1,
        here=at + 12,
        bitmap=at + 47,
        shift=5 if generation is Generation.V13 else 4,
        table=0 if generation is Generation.V13 else 0x100,
    )
    text = assembled(tmp_path, asm)
    assert code[: len(text)] == text
    bits = int.from_bytes(code[len(text) :], "little")
    assert {number for number in range(256) if bits >> number & 1} == offered(generation)


@GENERATIONS
def test_every_call_has_its_routine_or_a_jump_to_it(generation: Generation) -> None:
    image = build(replace(standard(generation), native=True))
    for number in calls(generation):
        at = entry_offset(generation, number)
        code = routine(generation, number, at)
        if len(code) > entry_size(generation, number):
            assert image[at] == 0xE9
            at += 5 + int.from_bytes(image[at + 1 : at + 5], "little")
            code = routine(generation, number, at)
        assert image[at:].startswith(code), by_name(calls(generation)[number].name)


@GENERATIONS
def test_parse_undoes_build(generation: Generation) -> None:
    spec = replace(standard(generation), native=True)
    found = parse(build(spec))
    assert found.spec == spec
    assert found.problems == ()
    assert not any(entry.trap for entry in found.entry_points)
    assert {symbol.name for symbol in found.symbols} == {f"VMI_{call.name}" for call in calls(generation).values()}


def test_what_is_offered() -> None:
    assert offered(Generation.V13) == frozenset(range(4, 88))
    absent = {call.name for call in CALLS if call.n3 is not None and call.n3 not in offered(Generation.V3)}
    time = {call.name for call in CALLS if call.family is Family.TIME}
    others = {"SetInitialAPState", "SetCallbacks", "APICRead", "APICWrite", "Init", "GetRelocationInfo"}
    assert absent == time | others
    assert not {INIT_3, GET_RELOCATION_3} & offered(Generation.V3)


def called(generation: Generation, number: int, *, eax: int = 0, edx: int = 0, ecx: int = 0) -> tuple[int, int, Uc]:
    """EAX and EDX after a call into the ROM, mapped where Linux has it."""
    cpu = Uc(UC_ARCH_X86, UC_MODE_32)
    cpu.mem_map(RETURN, 0x30000)
    cpu.mem_map(BASE & ~0xFFFF, 0x20000)
    cpu.mem_write(BASE, build(replace(standard(generation), native=True)))
    cpu.mem_write(STACK, RETURN.to_bytes(4, "little") + (0x11112222).to_bytes(4, "little"))
    for register, value in ((UC_X86_REG_EAX, eax), (UC_X86_REG_EDX, edx), (UC_X86_REG_ECX, ecx)):
        cpu.reg_write(register, value)
    cpu.reg_write(UC_X86_REG_ESP, STACK)
    cpu.emu_start(BASE + entry_offset(generation, number), RETURN, count=100)
    assert cpu.reg_read(UC_X86_REG_EIP) == RETURN
    assert cpu.reg_read(UC_X86_REG_ESP) == STACK + 4
    return cpu.reg_read(UC_X86_REG_EAX), cpu.reg_read(UC_X86_REG_EDX), cpu


@GENERATIONS
def test_the_relocation_query_answers(generation: Generation) -> None:
    query = by_name("GetRelocationInfo").number(generation)
    assert query is not None
    for number in (*range(100), INIT_3, 0xFFFFFFFF):
        eax, edx, _ = called(generation, query, eax=number)
        if number in offered(generation):
            assert (eax, edx) == (BASE + entry_offset(generation, number), 1)
        else:
            assert (eax, edx) == (0, 0)


def word(cpu: Uc, at: int) -> int:
    return int.from_bytes(cpu.mem_read(at, 4), "little")


def test_some_of_the_calls() -> None:
    v13, v3 = Generation.V13, Generation.V3
    assert called(v13, 4)[0] == 0
    assert word(called(v3, 38, eax=0x1067, edx=DATA, ecx=0x31)[2], DATA) == 0x1067
    assert word(called(v13, 45, eax=DATA, edx=0x2067)[2], DATA) == 0x2067
    _, _, cpu = called(v3, 11, eax=DATA, edx=2, ecx=0xFFFF)
    assert (word(cpu, DATA + 16), word(cpu, DATA + 20)) == (0xFFFF, 0x11112222)
    eax, _, cpu = called(v13, 51, eax=DATA, edx=33)
    assert (eax, word(cpu, DATA)) == (0, 2)
    _, _, cpu = called(v13, 50, eax=1, edx=2, ecx=DATA)
    assert (word(cpu, DATA), word(cpu, DATA + 4)) == (1, 2)
    assert called(v3, 67, eax=2)[:2] == (0, 0)


@pytest.mark.parametrize("vmi", ["3.0", "13.3"])
def test_the_command(vmi: str, tmp_path: Path) -> None:
    path = tmp_path / "native.rom"
    result = CliRunner().invoke(cli, ["rom", "build", "--native", "--vmi", vmi, "-o", str(path)])
    assert result.exit_code == 0, result.output
    assert "native ROM" in result.output
    spec = parse(path.read_bytes()).spec
    assert spec is not None
    assert spec.native
    assert spec.virtual_top == 0
