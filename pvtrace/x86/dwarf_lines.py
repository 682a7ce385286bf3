"""Reading DWARF line tables by pyelftools, which takes as long to load as a small guest to run: see source_lines.

Pure. Source: DWARF 5, 6.2.
"""

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from elftools.common.exceptions import DWARFError, ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

Row = tuple[int, str, int]
"""Address, file, line: from there on the code is of this line; line 0: of none that is known."""

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


def rows(data: bytes) -> Iterator[Row]:
    """All that can be read of an ELF file's tables, in their order."""
    try:
        yield from _rows(data)
    except _DAMAGE:
        return


def _rows(data: bytes) -> Iterator[Row]:
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
                yield state.address, "", 0
                continue
            if state.file not in names:
                names[state.file] = _name(program.header, state.file)
            yield state.address, names[state.file], state.line


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
