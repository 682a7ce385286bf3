import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.errors import InputError
from pvtrace.x86 import elf

SOURCE = """
.globl _start
.set VERSION, 0x100012
.section .text
.type _start, @function
_start: hlt; hlt
inner:  hlt
        jmp _start
.size _start, . - _start
.type helper, @function
helper: ret
.size helper, 1
        nop
label:  nop
        nop
.data
.type table, @object
table: .long 1, 2
.size table, 8
.bss
.lcomm room, 0x3000
"""


def built(require_tool: Callable[[str], Path], tmp_path: Path, *flags: str) -> bytes:
    """SOURCE linked with text at 1 MiB."""
    source, out = tmp_path / "guest.S", tmp_path / "guest.elf"
    source.write_text(SOURCE)
    base = ["-m32", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,noseparate-code", "-Wl,-Ttext=0x100000"]
    subprocess.run([require_tool("gcc"), *base, *flags, "-o", out, source], check=True)
    return out.read_bytes()


def tiny(**changes: int) -> bytes:
    """The smallest executable: headers and one segment of 16 bytes at 1 MiB, with some fields changed."""
    f = {
        "class": 1, "data": 1, "type": 2, "machine": 3, "entry": 0x100000, "phoff": 52, "phentsize": 32, "phnum": 1,
        "shoff": 0, "kind": 1, "offset": 84, "vaddr": 0x100000, "paddr": 0x100000, "filesz": 16, "memsz": 64,
    } | changes  # fmt: skip
    ident = b"\x7fELF" + bytes([f["class"], f["data"], 1]) + bytes(9)
    header = struct.pack(
        "<16sHHIIIIIHHHHHH",
        ident, f["type"], f["machine"], 1, f["entry"], f["phoff"], f["shoff"], 0, 52, f["phentsize"], f["phnum"],
        40, 0, 0,
    )  # fmt: skip
    program = struct.pack("<8I", f["kind"], f["offset"], f["vaddr"], f["paddr"], f["filesz"], f["memsz"], 5, 0x1000)
    return header + program + bytes(range(16))


def test_a_tiny_executable() -> None:
    image = elf.parse(tiny(vaddr=0xC0100000, entry=0xC0100004), "guest")
    assert image.segments == (elf.ElfSegment(0x100000, 0xC0100000, bytes(range(16)), 64, 5),)
    assert (image.name, image.entry, image.physical_entry) == ("guest", 0xC0100004, 0x100004)
    assert elf.symbols_of(tiny(vaddr=0xC0100000, entry=0xC0100004)).at(0x100000) is None
    assert elf.parse(tiny(vaddr=0xC0100000), "guest").physical_entry == 0x100000


def test_a_linked_executable_agrees_with_pyelftools(require_tool: Callable[[str], Path], tmp_path: Path) -> None:
    data = built(require_tool, tmp_path)
    image = elf.parse(data, "guest.elf")
    with (tmp_path / "guest.elf").open("rb") as file:
        reference = ELFFile(file)
        loads = [s for s in reference.iter_segments() if s["p_type"] == "PT_LOAD"]
        assert [(s.paddr, s.vaddr, s.data, s.memsz, s.flags) for s in image.segments] == [
            (s["p_paddr"], s["p_vaddr"], s.data(), s["p_memsz"], s["p_flags"]) for s in loads
        ]
        assert image.entry == reference["e_entry"]
        table = reference.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        symbols = elf.symbols_of(data)
        for symbol in table.iter_symbols():
            if symbol["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT"):
                assert symbols.address_of(symbol.name) == symbol["st_value"]


def test_symbol_lookup(require_tool: Callable[[str], Path], tmp_path: Path) -> None:
    symbols = elf.symbols_of(built(require_tool, tmp_path))
    start = symbols.address_of("_start")
    assert start == 0x100000
    assert symbols.at(start) == "_start"
    assert symbols.at(start + 1) == "_start+0x1"
    assert symbols.at(start + 2) == "inner"
    helper, label, table = (symbols.address_of(name) for name in ("helper", "label", "table"))
    assert helper is not None
    assert label is not None
    assert table is not None
    assert symbols.at(helper) == "helper"
    assert symbols.at(helper + 1) is None
    assert symbols.at(label + 1) == "label+0x1"
    assert symbols.at(label + 2) is None  # the end of its section
    assert symbols.at(table + 7) == "table+0x7"
    assert symbols.at(0) is None
    assert symbols.address_of("VERSION") == 0x100012
    assert symbols.at(0xFFFFFFFF) is None
    assert symbols.address_of("missing") is None


def test_nested_symbols_and_equal_addresses() -> None:
    names = ("outer", "small", "twin")
    symbols = tuple(elf.Symbol(n, a, s, "func") for n, a, s in zip(names, (16, 20, 40), (32, 4, 1), strict=True))
    table = elf.SymbolTable(symbols, (48, 24, 41))
    assert [table.at(a) for a in (15, 16, 21, 24, 40, 47, 48)] == [
        None, "outer", "small+0x1", "outer+0x8", "twin", "outer+0x1f", None,
    ]  # fmt: skip


def test_a_stripped_executable_has_no_symbols(require_tool: Callable[[str], Path], tmp_path: Path) -> None:
    assert elf.symbols_of(built(require_tool, tmp_path, "-s")) == elf.SymbolTable()


def test_other_kinds_of_files(require_tool: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a shared object, not an executable"):
        elf.parse(built(require_tool, tmp_path, "-shared"), "guest.elf")
    with pytest.raises(InputError, match="is a relocatable object, not an executable"):
        elf.parse(built(require_tool, tmp_path, "-r"), "guest.elf")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x is not an ELF file"),
        (b"#!/bin/sh\n", "x is not an ELF file"),
        (b"\x7fELF\x01\x01", "x is truncated: its ELF header is not complete"),
        (tiny()[:60], "x is truncated: its program headers are not complete"),
        (tiny()[:-1], "x is truncated: segment 0 ends behind the end of the file"),
        (tiny(**{"class": 2}), "x is a 64-bit ELF file, and pvtrace runs 32-bit kernels"),
        (tiny(**{"class": 3}), "x is an ELF file of unknown class 3"),
        (tiny(data=2), "x is not a little-endian ELF file, so it is not for i386"),
        (tiny(machine=40), "x is an ELF file for another machine (number 40), not for i386"),
        (tiny(type=1), "x is a relocatable object, not an executable"),
        (tiny(type=77), "x is of type 77, not an executable"),
        (tiny(phentsize=8), "x has program headers of 8 bytes, which are too short"),
        (tiny(phnum=0), "x has no loadable segment"),
        (tiny(kind=2), "x has no loadable segment"),
        (tiny(filesz=16, memsz=8), "x: segment 0 has more bytes in the file than in memory"),
        (tiny(paddr=0xFFFFFFF0), "x: segment 0 ends above 4 GiB"),
        (tiny(entry=0x200000), "x: its entry point 0x200000 is in no segment"),
    ],
)
def test_one_sentence_for_each_bad_file(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        elf.parse(data, "x")
    assert str(caught.value) == message


@given(data=st.data())
def test_hostile_bytes_raise_nothing_but_input_errors(data: st.DataObject, linked: bytes) -> None:
    """Any few bytes changed and any tail cut off, in a file with all kinds of headers."""
    changed = bytearray(linked)
    headers = st.sampled_from([*range(52 + 3 * 32), *range(max(0, len(changed) - 480), len(changed))])
    for at, value in data.draw(st.lists(st.tuples(headers | st.integers(0, len(changed) - 1), st.integers(0, 255)))):
        changed[at] = value
    hostile = bytes(changed[: data.draw(st.integers(0, len(changed)) | st.just(len(changed)))])
    elf.symbols_of(hostile).at(0x100001)
    try:
        image = elf.parse(hostile, "x")
    except InputError:
        return
    assert all(len(segment.data) <= segment.memsz for segment in image.segments)
    elf.symbols_of(hostile).at(image.entry)


@pytest.fixture(scope="module")
def linked(require_tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return built(require_tool, tmp_path_factory.mktemp("elf"))
