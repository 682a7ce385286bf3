"""Which flags an instruction reads and writes, against a real emulated processor that runs it with all of them."""

import random
import subprocess
import tempfile
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Final

import pytest
import unicorn as uc
from unicorn import x86_const as x86

from pvtrace.x86 import eflags
from pvtrace.x86.disasm import FlagUse, flag_use

CODE: Final = 0x1000
DATA: Final = 0x2800
BITS: Final = tuple(bit for bit, _ in eflags.NAMES if bit & eflags.ARITHMETIC)
REGISTERS: Final = (
    x86.UC_X86_REG_EAX,
    x86.UC_X86_REG_EBX,
    x86.UC_X86_REG_ECX,
    x86.UC_X86_REG_EDX,
    x86.UC_X86_REG_ESI,
    x86.UC_X86_REG_EDI,
)
SEEDS: Final = 3

STRAIGHT: Final = (
    *("adc eax, ebx", "sbb al, 1", "rcl eax, 1", "rcr ebx, 3", "lahf", "pushf", "cmc", "daa", "das", "aaa", "aas"),
    *("db 0xD6", "setz al", "setbe [esi]", "cmovo eax, ebx", "cmovg eax, ebx", "cmovp ecx, edx", "sahf", "popf"),
    *("add eax, ebx", "inc eax", "dec ebx", "xor eax, eax", "test eax, ebx", "cmp eax, 1", "and eax, ebx", "or al, 1"),
    *("shl eax, 1", "shl eax, cl", "sar ebx, 2", "rol eax, cl", "ror eax, 1", "mul ebx", "imul eax, ebx", "neg eax"),
    *("not eax", "clc", "stc", "cld", "bt eax, 1", "bts eax, ebx", "bsf eax, ebx", "shld eax, ebx, 3", "aad", "aam"),
    *("cmpxchg [esi], ebx", "xadd [esi], ebx", "cmpxchg8b [esi]", "movsb", "cmpsb", "scasb", "stosd", "lodsb"),
    *("mov eax, ebx", "push eax", "pop ecx", "lea eax, [ebx + 4]", "xchg eax, ebx", "bswap eax", "movzx eax, bl"),
    *("fcomi st0, st1", "fld1", "lock add [esi], ebx", "arpl ax, bx", "cwde", "bound eax, [esi]"),
)
"""Instructions behind which control goes on with the next."""

BRANCHES: Final = (
    "jc $ + 8",
    "jbe $ + 8",
    "jg $ + 8",
    "jp $ + 8",
    "jl $ + 8",
    "js $ + 8",
    "loope $ + 8",
    "jecxz $ + 8",
)


@lru_cache(maxsize=256)
def assembled(text: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.asm"
        path.write_text(f"bits 32\n{text}\n", encoding="ascii")
        subprocess.run(["nasm", "-f", "bin", "-o", f"{folder}/bin", str(path)], check=True)
        return (Path(folder) / "bin").read_bytes()


def observed(text: str) -> tuple[int, int]:
    """The flags on which anything depends, and those that ever change."""
    cpu = uc.Uc(uc.UC_ARCH_X86, uc.UC_MODE_32)
    cpu.mem_map(0, 0x4000)
    code = assembled(text)
    cpu.mem_write(CODE, code + b"\x90" * 16)
    reads = writes = 0
    for seed in range(SEEDS):
        made = random.Random(seed)
        values = [made.getrandbits(32) for _ in REGISTERS]
        values[4:] = [DATA, DATA + 0x100]
        memory = bytes(64) if text.startswith("bound") else made.randbytes(64)
        after = {}
        for chosen in product((0, 1), repeat=len(BITS)):
            flags = sum(bit for bit, on in zip(BITS, chosen, strict=True) if on)
            for register, value in zip(REGISTERS, values, strict=True):
                cpu.reg_write(register, 0 if text.startswith("bound") and register == REGISTERS[0] else value)
            cpu.mem_write(DATA - 32, memory)
            cpu.reg_write(x86.UC_X86_REG_ESP, DATA - 16)
            cpu.reg_write(x86.UC_X86_REG_EFLAGS, flags | eflags.FIXED)
            cpu.emu_start(CODE, 0, count=1)
            state = tuple(cpu.reg_read(each) for each in (*REGISTERS, x86.UC_X86_REG_ESP, x86.UC_X86_REG_EIP))
            shown = bytes(cpu.mem_read(DATA - 32, 64))
            after[flags] = ((state, shown), cpu.reg_read(x86.UC_X86_REG_EFLAGS) & eflags.ARITHMETIC)
        for flags, (done, out) in after.items():
            writes |= flags ^ out
            for bit in BITS:
                other, other_out = after[flags ^ bit]
                inverted = out & bit != flags & bit and other_out & bit != (flags ^ bit) & bit
                if other != done or (out ^ other_out) & ~bit or inverted:
                    reads |= bit
    return reads, writes


@pytest.mark.parametrize("text", STRAIGHT)
def test_against_a_processor(text: str) -> None:
    use = flag_use(assembled(text))
    reads, writes = observed(text)
    assert eflags.words(use.reads) == eflags.words(reads)
    assert not writes & ~use.writes, eflags.words(writes)
    assert use.onward == len(assembled(text))


@pytest.mark.parametrize("text", BRANCHES)
def test_a_branch_ends_the_certain_way(text: str) -> None:
    use = flag_use(assembled(text))
    assert eflags.words(use.reads) == eflags.words(observed(text)[0])
    assert (use.writes, use.onward) == (0, None)


@pytest.mark.parametrize(
    ("text", "onward"),
    [
        ("jmp $ + 0x40", 0x40),
        ("jmp $ - 0x20", -0x20),
        ("call $ + 0x1000", 0x1000),
        ("call eax", None),
        ("jmp [eax]", None),
        ("jmp 8:0x1000", None),
        ("ret", None),
        ("iretd", None),
        ("int 3", None),
        ("int 0x80", None),
        ("hlt", None),
        ("ud2", None),
        ("vmcall", None),
        ("db 0x0F, 0xFF, 0xFF", None),
    ],
)
def test_where_control_certainly_goes_on(text: str, onward: int | None) -> None:
    assert flag_use(assembled(text)).onward == onward


@pytest.mark.parametrize(
    ("text", "reads"),
    [("into", eflags.OF), ("fcmovb st0, st1", eflags.CF), ("fcmovnu st0, st1", eflags.PF)],
)
def test_what_the_emulated_processor_cannot_show(text: str, reads: int) -> None:
    assert flag_use(assembled(text)).reads == reads


def test_undefined_flags_count_as_written() -> None:
    """Nobody can rely on what they were."""
    assert flag_use(assembled("div ebx")) == FlagUse(0, eflags.ARITHMETIC, 2)
