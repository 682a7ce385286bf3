"""Names and lines from files beside a guest, and from one that gcc made."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.errors import InputError
from pvtrace.x86 import elf, elf_sections, source_lines, symbol_files
from pvtrace.x86.elf import Symbol, SymbolTable

MAP = b"""\
00000000 A limit
c0100000 T startup_32
c0100010 t local
c0100010 T alias
c0200000 D data
ffffffffc0200010 b bss
"""

SOURCE = """
int twice(int n)
{
    return n + n;
}

int _start(void)
{
    int sum = 0;
    for (int n = 0; n < 3; n++)
        sum += twice(n);
    return sum;
}
"""


@pytest.fixture(params=["-gdwarf-2", "-gdwarf-4", "-gdwarf-5"])
def kernel(request: pytest.FixtureRequest, require_tool: Callable[[str], Path], tmp_path: Path) -> bytes:
    """SOURCE, compiled with debugging information."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "k.c").write_text(SOURCE)
    options = ["-m32", "-O0", "-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-pic", "-Wl,-Ttext=0x100000"]
    command = [require_tool("gcc"), request.param, *options, "-o", "k.elf", "sub/k.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return (tmp_path / "k.elf").read_bytes()


def line_of(lines: list[source_lines.SourceLine], address: int) -> tuple[str, int]:
    found = [line for line in lines if line.address <= address][-1]
    return found.file, found.line


def test_lines_of_a_guest(kernel: bytes) -> None:
    lines = source_lines.read(kernel)
    symbols = elf.symbols_of(kernel)
    twice, start = symbols.address_of("twice"), symbols.address_of("_start")
    assert twice is not None
    assert start is not None
    assert line_of(lines, twice) == ("sub/k.c", 3)
    assert line_of(lines, start) == ("sub/k.c", 8)
    assert line_of(lines, start - 1)[1] in (4, 5)
    assert line_of(lines, start + 0x1000)[1] == 0  # behind the end of the code
    assert [line.address for line in lines] == sorted({line.address for line in lines})
    moved = source_lines.read(kernel, 0xC0000000)
    assert [line.address for line in moved] == [line.address + 0xC0000000 for line in lines]


def test_damaged_lines_only_give_fewer(kernel: bytes) -> None:
    whole = source_lines.read(kernel)
    for cut in range(60, len(kernel), len(kernel) // 40):
        assert len(source_lines.read(kernel[:cut])) <= len(whole)
    assert source_lines.read(b"") == []
    assert source_lines.read(b"\x7fELF .debug_line") == []


@given(st.integers(52, 4000), st.binary(min_size=1, max_size=8))
def test_any_damage_is_survived(at: int, noise: bytes) -> None:
    data = b"\x7fELF\x01\x01\x01".ljust(52, b"\0") + b".debug_line" + bytes(4000)
    source_lines.read(data[:at] + noise + data[at + len(noise) :])


def test_a_system_map() -> None:
    table = symbol_files.read(MAP, "System.map")
    assert table.at(0xC0100000) == "startup_32"
    assert table.at(0xC010000F) == "startup_32+0xf"
    assert table.at(0xC01FFFFF) == "local+0xfffef"
    assert table.at(0xC0200018) == "bss+0x8"
    assert table.at(0xC0300000) is None
    assert table.address_of("alias") == 0xC0100010
    assert table.at(0) is None


def test_symbols_that_were_moved() -> None:
    table = symbol_files.read(MAP, "System.map", 0x40000000)
    assert table.at(0x00100004) == "startup_32+0x4"


def test_several_tables_at_once() -> None:
    first = SymbolTable((Symbol("a", 0x1000, 16, "func"), Symbol("b", 0x2000, 0, "func")), (0x1010, 0x2800))
    second = SymbolTable((Symbol("other", 0x1000, 16, "func"), Symbol("c", 0x1008, 4, "func")), (0x1010, 0x100C))
    table = symbol_files.merged([first, second])
    assert table.at(0x1000) == "a"
    assert table.at(0x1009) == "c+0x1"
    assert table.at(0x27FF) == "b+0x7ff"
    assert table.address_of("other") == 0x1000
    assert symbol_files.merged([first]) is first


def test_files_without_names() -> None:
    for data in (b"", b"hello\n", b"\x7fELF"):
        with pytest.raises(InputError, match="x holds no symbols"):
            symbol_files.read(data, "x")


def test_the_sections_of_a_kernel(kernel: bytes) -> None:
    """As a kernel that reads its own symbols finds them (Multiboot flag 5)."""
    found = elf_sections.sections(kernel, 0x300000)
    assert found is not None
    assert len(found.data) == len(elf_sections.sections(kernel, 0).data)  # type: ignore[union-attr]
    rows = [found.headers[40 * n : 40 * n + 40] for n in range(found.count)]
    words = [[int.from_bytes(row[at : at + 4], "little") for at in range(0, 40, 4)] for row in rows]
    [(_, _, _, at, _, size, link, *_)] = [row for row in words if row[1] == 2]  # the symbol table

    def memory(address: int, size: int) -> bytes:
        return found.data[address - 0x300000 : address - 0x300000 + size]

    strings = memory(words[link][3], words[link][5])
    names = {
        strings[int.from_bytes(entry[:4], "little") :].split(b"\0")[0]
        for entry in (memory(at + n, 16) for n in range(0, size, 16))
    }
    assert {b"twice", b"_start"} <= names
    assert any(row[3] == 0x100000 for row in words)  # what is in the program stays where it is
    assert elf_sections.sections(b"", 0) is None
    assert elf_sections.sections(kernel[:-1000], 0) is None
