import struct
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.boot import BootImage, File, boot_image, memory_map
from pvtrace.model.errors import InputError, UsageError
from pvtrace.model.registers import Gpr, Seg
from pvtrace.x86 import elf

MIB = 1 << 20
RAM = 64 * MIB

KERNEL = """
bits 32
section .text
align 4
dd 0x1BADB002, FLAGS, -(0x1BADB002 + FLAGS)
global _start
_start: mov dword [message], 0
        hlt
section .data
message: db "hello"
section .bss
resb 0x5000
"""

Build = Callable[..., File]


@pytest.fixture
def build(require_tool: Callable[[str], Path], tmp_path: Path) -> Build:
    """Assemble and link KERNEL; `text` is its address, `flags` the Multiboot flags."""

    def build(flags: int = 3, text: int = 0x100000) -> File:
        source, obj, out = (tmp_path / name for name in ("k.asm", "k.o", "kernel.elf"))
        source.write_text(KERNEL)
        subprocess.run([require_tool("nasm"), "-felf32", f"-dFLAGS={flags}", "-o", obj, source], check=True)
        options = ["-melf_i386", "-N", "--no-warn-rwx-segments", f"-Ttext={text:#x}"]
        subprocess.run([require_tool("ld"), *options, "-o", out, obj], check=True)
        return File("kernel.elf", out.read_bytes())

    return build


def plain(paddr: int = 0x100000, memsz: int = 64) -> File:
    """A plain ELF executable with one segment of 16 bytes of HLT."""
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, paddr + 4, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    return File("p.elf", header + struct.pack("<8I", 1, 84, paddr, paddr, 16, memsz, 5, 4096) + b"\xf4" * 16)


def memory(image: BootImage, size: int = RAM) -> bytes:
    """All of memory as the guest finds it; also checks that no two pieces overlap."""
    ram, end = bytearray(size), 0
    for start, data in image.memory:
        assert start >= end
        end = start + len(data)
        ram[start:end] = data
    assert len(ram) == size
    return bytes(ram)


def word(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


def string(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def test_a_multiboot_kernel(build: Build) -> None:
    kernel = build()
    modules = [File("a.bin", b"A" * 5000), File("b.bin", b"B")]
    image = boot_image(kernel, ram_size=RAM, modules=modules, command_line="quiet x=1", loader="pvtrace 9")
    ram = memory(image)
    assert image.gprs[Gpr.EAX] == 0x2BADB002
    assert image.eip == elf.symbols_of(kernel.data).address_of("_start")
    assert ram[image.eip] == 0xC7
    info = image.gprs[Gpr.EBX]
    assert info == 0x9000
    assert string(ram, word(ram, info + 16)) == "kernel.elf quiet x=1"
    assert string(ram, word(ram, info + 64)) == "pvtrace 9"
    assert word(ram, info + 20) == 2
    table = word(ram, info + 24)
    for number, module in enumerate(modules):
        start, end = word(ram, table + 16 * number), word(ram, table + 16 * number + 4)
        assert start % 4096 == 0
        assert ram[start:end] == module.data
        assert string(ram, word(ram, table + 16 * number + 8)) == module.name
    assert word(ram, table) >= 0x100000 + 0x5000  # behind the bss
    assert "Multiboot kernel kernel.elf" in image.description


def test_the_cpu_and_low_memory_are_as_a_pc_leaves_them(build: Build) -> None:
    image = boot_image(build(), ram_size=RAM)
    ram = memory(image)
    assert (image.cr0, image.eflags) == (0x11, 2)
    gdt = [struct.unpack_from("<Q", ram, image.gdtr.base + at)[0] for at in range(0, image.gdtr.limit + 1, 8)]
    assert gdt[0] == 0
    for register in Seg:
        segment = image.segments[register]
        assert segment.selector == (0x08 if register is Seg.CS else 0x10)
        assert (segment.base, segment.limit, segment.dpl, segment.big) == (0, 0xFFFFFFFF, 0, True)
        high = gdt[segment.selector // 8] >> 32
        assert segment.attributes == high & 0x00F0FF00
    assert struct.unpack_from("<H", ram, 0x40E) == (0x9FC0,)
    assert struct.unpack_from("<H", ram, 0x413) == (639,)
    assert struct.unpack_from("<H", ram, 0x400) == (0x3F8,)
    assert ram[0x9FC00] == 1
    for vector in range(256):
        offset, segment_base = struct.unpack_from("<HH", ram, 4 * vector)
        assert ram[segment_base * 16 + offset] == 0xCF


def test_a_plain_elf_file() -> None:
    image = boot_image(plain(), ram_size=2 * MIB)
    assert (image.eip, image.gprs[Gpr.EAX], image.gprs[Gpr.EBX]) == (0x100004, 0, 0)
    assert memory(image, 2 * MIB)[0x100000:0x100014] == b"\xf4" * 16 + bytes(4)
    assert image.description == "ELF file p.elf, entry 0x100004, 2 MiB of RAM"


def test_a_flat_kernel_that_is_no_elf_file() -> None:
    flags = 1 << 16
    header = struct.pack("<3I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF)
    flat = File("flat.bin", header + struct.pack("<5I", 0x200000, 0x200000, 0, 0x208000, 0x200020) + b"\xf4" * 4)
    image = boot_image(flat, ram_size=RAM)
    assert image.eip == 0x200020
    assert memory(image)[0x200020] == 0xF4


def test_the_addresses_of_the_header_win_over_elf(build: Build) -> None:
    with pytest.raises(InputError, match=r"cannot be at address|cut off"):
        boot_image(build(flags=3 | 1 << 16), ram_size=RAM)


def test_the_information_keeps_clear_of_a_kernel_in_low_memory(build: Build) -> None:
    image = boot_image(build(text=0x8000), ram_size=RAM)
    assert image.gprs[Gpr.EBX] == 0xE000
    full = boot_image(build(text=0x8000), ram_size=RAM, command_line="x" * 0x95000)
    assert full.gprs[Gpr.EBX] >= 0x100000


def test_roms_are_where_they_were_asked_for(build: Build) -> None:
    roms = [(0xC8000, b"\x55\xaa" + bytes(2046)), (0xC8800, b"\x55\xaa" + bytes(4094))]
    ram = memory(boot_image(build(), ram_size=RAM, roms=roms))
    for start, data in roms:
        assert ram[start : start + len(data)] == data


@pytest.mark.parametrize(
    ("start", "size"), [(0xC8400, 512), (0xC0000, 512), (0xDF800, 4096), (0xE0000, 512), (0xC8000, 0)]
)
def test_roms_that_do_not_fit(start: int, size: int) -> None:
    with pytest.raises(InputError, match="a ROM of"):
        boot_image(plain(), ram_size=RAM, roms=[(start, bytes(size))])


@pytest.mark.parametrize("ram", [0, MIB, 2 * MIB - 4096, 2 * MIB + 1, 4096 * MIB])
def test_sizes_of_memory_that_cannot_be(ram: int) -> None:
    with pytest.raises(UsageError, match="bytes of RAM: it must be 2 MiB to 3072 MiB, in whole pages of 4 KiB"):
        boot_image(plain(), ram_size=ram)


def test_what_does_not_fit(build: Build) -> None:
    with pytest.raises(InputError, match=r"segment 0 of p\.elf occupies 0x3ff0000-0x4010000, outside .* 64 MiB of RAM"):
        boot_image(plain(paddr=0x3FF0000, memsz=0x20000), ram_size=RAM)
    with pytest.raises(InputError, match=r"module m ends at .*, outside 2 MiB of RAM"):
        boot_image(build(), ram_size=2 * MIB, modules=[File("m", bytes(MIB))])
    with pytest.raises(InputError, match=r"segment 0 of p\.elf .* overlaps the BIOS data area"):
        boot_image(plain(paddr=0x3F8 + 16), ram_size=RAM)
    with pytest.raises(InputError, match=r"the ROM at 0xc8800 .* overlaps the ROM at 0xc8000"):
        boot_image(plain(), ram_size=RAM, roms=[(0xC8000, bytes(4096)), (0xC8800, bytes(512))])
    with pytest.raises(InputError, match=r"no .* bytes left for the Multiboot information"):
        boot_image(build(), ram_size=2 * MIB, command_line="x" * (2 * MIB))


def test_a_plain_elf_file_takes_no_options() -> None:
    with pytest.raises(UsageError, match=r"p\.elf is a plain ELF file, .* can be given modules"):
        boot_image(plain(), ram_size=RAM, modules=[File("m", b"")])
    with pytest.raises(UsageError, match="can be given a command line"):
        boot_image(plain(), ram_size=RAM, command_line="quiet")


def test_what_is_neither() -> None:
    with pytest.raises(InputError, match=r"notes\.txt is not an ELF file"):
        boot_image(File("notes.txt", b"hello"), ram_size=RAM)


@pytest.mark.parametrize("ram", [2 * MIB, RAM])
def test_the_memory_map_covers_all_memory_once(ram: int) -> None:
    ranges = memory_map(ram)
    assert ranges[0].start == 0
    assert ranges[-1].end == ram
    assert all(before.end == after.start for before, after in pairwise(ranges))


@given(st.lists(st.integers(0, 9000), max_size=5), st.integers(0, 3000))
def test_modules_and_information_never_overlap(sizes: list[int], line: int) -> None:
    flags = 1 << 16
    header = struct.pack("<3I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF)
    flat = File("k", header + struct.pack("<5I", 0x9000, 0x9000, 0, 0x9000 + line + 40, 0x9000))
    modules = [File(f"m{n}", b"M" * size) for n, size in enumerate(sizes)]
    image = boot_image(flat, ram_size=2 * MIB, modules=modules, command_line="c" * line)
    ram = memory(image, 2 * MIB)
    assert ram[0x9000 : 0x9000 + 12] == header
    table = word(ram, image.gprs[Gpr.EBX] + 24)
    for number, module in enumerate(modules):
        start, end = word(ram, table + 16 * number), word(ram, table + 16 * number + 4)
        assert (start % 4096, ram[start:end]) == (0, module.data)
