"""Source lines of addresses, from the DWARF line tables of an ELF file.

Pure. Damaged debugging information does not matter to the guest: it only gives fewer lines. Source: DWARF 5, 6.2.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Final, NamedTuple

from pvtrace.x86.elf import is_elf

SECTION: Final = b".debug_line"
_MASK: Final = 0xFFFFFFFF


class SourceLine(NamedTuple):
    """From `address` on, up to the next one, the code is of this line; line 0: of none that is known."""

    address: int
    file: str
    line: int


def read(data: bytes, offset: int = 0) -> list[SourceLine]:
    """All lines in order of address, moved by `offset`; none for a file without debugging information."""
    if not is_elf(data) or SECTION not in data:
        return []
    rows: Iterable[tuple[int, str, int]] = import_module("pvtrace.x86.dwarf_lines").rows(data)
    found: dict[int, SourceLine] = {}
    for place, file, line in rows:
        address = place + offset & _MASK
        if line or address not in found:  # the end of one sequence may be the beginning of another
            found[address] = SourceLine(address, file, line)
    return list(_without_repetitions([found[address] for address in sorted(found)]))


def _without_repetitions(lines: list[SourceLine]) -> Iterator[SourceLine]:
    before = ("", 0)
    for line in lines:
        if line[1:] != before:
            yield line
        before = line[1:]
