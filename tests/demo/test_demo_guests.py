"""The demo guests are what their sources say, and on real (emulated) hardware they say what the registry expects."""

import re
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pvtrace.demo.guests import GUESTS, Guest, says
from rom import abi

DEMO = GUESTS[0].path.parent
every_guest = pytest.mark.parametrize("guest", GUESTS, ids=[guest.name for guest in GUESTS])


def section(elf: bytes, name: str) -> bytes:
    found = ELFFile(BytesIO(elf)).get_section_by_name(name)
    assert found is not None, f"no section {name}"
    data = found.data()
    assert isinstance(data, bytes)
    return data


@every_guest
def test_says_natively_in_qemu_what_the_registry_expects(guest: Guest, qemu: Callable[..., tuple[int, bytes]]) -> None:
    code, console = qemu(guest.path, guest.input, b"time stamp counter\n")
    assert says(guest.native_console, console), console.decode()
    assert code == 0


def test_echo_ends_at_control_d_and_ignores_it_inside_a_line(qemu: Callable[..., tuple[int, bytes]]) -> None:
    echo = next(guest for guest in GUESTS if guest.name == "echo")
    code, console = qemu(echo.path, b"a\x04b\n" + b"x" * 300 + b"\n\x04", b"time stamp counter\n")
    lines = console.decode("ascii").splitlines()
    assert lines[2].endswith("] A\x04B")
    assert lines[3].endswith("] " + "X" * 127), "a line is cut at the size of the buffer"
    assert lines[4] == "2 lines echoed"
    assert code == 0


@every_guest
def test_the_built_file_is_what_the_sources_give(guest: Guest, make: Callable[..., None], tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(DEMO, copy, ignore=shutil.ignore_patterns("build", "*.elf", "__pycache__"))
    make(copy, f"{guest.name}.elf")
    built, kept = (copy / guest.path.name).read_bytes(), guest.path.read_bytes()
    if section(built, ".comment") != section(kept, ".comment"):
        pytest.skip("another compiler than the one that built the files kept here gives other bytes")
    for name in (".boot", ".text", ".rodata", ".data"):
        assert section(built, name) == section(kept, name), f"{name} differs: run make -C pvtrace/demo"
    assert built == kept, "the same source in another folder gives another file"


@every_guest
def test_has_symbols_and_lines_of_relative_paths(guest: Guest) -> None:
    with guest.path.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = elf.get_section_by_name(".symtab")
        assert isinstance(symbols, SymbolTableSection)
        assert symbols.get_symbol_by_name("main")
        dwarf = elf.get_dwarf_info()
        names = {unit.get_top_DIE().attributes["DW_AT_name"].value.decode() for unit in dwarf.iter_CUs()}
        folders = {unit.get_top_DIE().attributes["DW_AT_comp_dir"].value.decode() for unit in dwarf.iter_CUs()}
    assert f"{guest.name}.c" in names
    assert "kit/vmi.c" in names
    assert folders == {"."}


@every_guest
def test_is_a_multiboot_kernel_below_16_mb(guest: Guest) -> None:
    data = guest.path.read_bytes()
    magic, flags, checksum = (int.from_bytes(word, "little") for word in header_words(data))
    assert (magic + flags + checksum) & 0xFFFFFFFF == 0
    loads = [segment.header for segment in ELFFile(BytesIO(data)).iter_segments("PT_LOAD")]
    assert min(load.p_paddr for load in loads) == 0x100000
    assert max(load.p_paddr + load.p_memsz for load in loads) < 0x800000


def header_words(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The Multiboot header: its magic number, 4-aligned, in the first 8 KB of the file."""
    magic = (0x1BADB002).to_bytes(4, "little")
    at = next(offset for offset in range(0, 8192 - 12, 4) if data[offset : offset + 4] == magic)
    return data[at : at + 4], data[at + 4 : at + 8], data[at + 8 : at + 12]


@every_guest
def test_the_sources_are_short_enough_to_read(guest: Guest) -> None:
    for source in DEMO.glob(f"{guest.name}*.c"):
        text = source.read_text()
        assert text.startswith(f"/* {source.stem}: "), "it begins by saying what it is"
        assert len(text.splitlines()) < 300


def test_the_call_numbers_in_c_are_those_of_the_interface() -> None:
    text = (DEMO / "kit" / "vmi.c").read_text()
    numbers = {name: (int(in_3), int(in_13)) for in_3, in_13, name in re.findall(r"\{(\d+), (\d+), &pv\.(\w+)\}", text)}
    known = {snake_case(call.name): (call.n3, call.n13) for call in abi.CALLS}
    assert len(numbers) == 27
    assert numbers == {name: known[name] for name in numbers}
    fields = set(re.findall(r"\(VMICALL \*(\w+)\)", (DEMO / "kit" / "vmi.h").read_text())) | {"iret", "sysexit"}
    assert fields == set(numbers), "every operation is filled from the ROM"


def snake_case(name: str) -> str:
    """SetPxE -> set_pxe, GetCR2 -> get_cr2, WriteGDTEntry -> write_gdt_entry, IRET -> iret."""
    special = {"SetPxE": "set_pxe", "SetIOPLMask": "set_iopl_mask"}
    return special.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def test_a_star_stands_for_any_characters_of_one_line() -> None:
    assert says("[* ms] A\n", b"[12 ms] A\n")
    assert says("a.b\n", b"a.b\n")
    assert not says("a.b\n", b"axb\n")
    assert not says("[* ms] A\n", b"[1\n ms] A\n")
    assert not says("a\n", b"a\nmore\n")
