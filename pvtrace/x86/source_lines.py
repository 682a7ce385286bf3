"""Source lines of addresses, from the DWARF line tables of an ELF file.

Pure. Damaged debugging information does not matter to the guest: it only gives fewer lines. Source: DWARF 5, 6.2.
"""

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from elftools.common.exceptions import DWARFError, ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from pvtrace.x86.elf import is_elf

SECTION: Final = b".debug_line"
_MASK: Final = 0xFFFFFFFF
_DAMAGE: Final = (
    DWARFError,
    ELFError,
    ConstructError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
)
"""What the reader of DWARF raises, one way or another, when the tables make no sense."""


class SourceLine(NamedTuple):
    """From `address` on, up to the next one, the code is of this line; line 0: of none that is known."""

    address: int
    file: str
    line: int


def read(data: bytes, offset: int = 0) -> list[SourceLine]:
    """All lines in order of address, moved by `offset`; none for a file without debugging information."""
    if not is_elf(data) or SECTION not in data:
        return []
    found: dict[int, SourceLine] = {}
    try:
        for line in _lines(data):
            address = line.address + offset & _MASK
            if line.line or address not in found:  # the end of one sequence may be the beginning of another
                found[address] = SourceLine(address, line.file, line.line)
    except _DAMAGE:
        pass
    return list(_without_repetitions([found[address] for address in sorted(found)]))


def _lines(data: bytes) -> Iterator[SourceLine]:
    dwarf: Any = ELFFile(io.BytesIO(data)).get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        names: dict[int, str] = {}
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if state.end_sequence:
                yield SourceLine(state.address, "", 0)
                continue
            if state.file not in names:
                names[state.file] = _name(program.header, state.file)
            yield SourceLine(state.address, names[state.file], state.line)


def _name(header: Any, number: int) -> str:
    """The file's name as the compiler was given it: with its directory, but without that in which it was compiled."""
    first = 0 if header["version"] >= 5 else 1
    entry = header["file_entry"][number - first]
    directory = entry["dir_index"]
    name = PurePosixPath(entry["name"].decode("utf-8", "backslashreplace"))
    if not directory:
        return str(name)
    folder = header["include_directory"][directory - first].decode("utf-8", "backslashreplace")
    return str(PurePosixPath(folder) / name)


def _without_repetitions(lines: list[SourceLine]) -> Iterator[SourceLine]:
    before = ("", 0)
    for line in lines:
        if line[1:] != before:
            yield line
        before = line[1:]
