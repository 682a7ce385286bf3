"""The guest's file as gdb is given it: with a section and the names of each VMI ROM, wherever the guest may see it.

Without them gdb takes a stub of a ROM for the middle of some function with a frame, and a backtrace from there leaves
callers out. What the guest's file holds stays where it is, byte for byte: the tables that grow are written once more
behind its end. Only how that file is made belongs here.

Source: System V ABI, chapters 4 and 5, and its i386 supplement.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from pvtrace.model.errors import InputError
from pvtrace.x86 import elf
from rom.elf import Symbol, decode
from rom.layout import RomError

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION: Final = struct.Struct("<10I")
_SYMBOL: Final = struct.Struct("<IIIBBH")
_SECTION_HEADERS_AT, _SECTION_COUNT = 6, 12
_SYMBOL_TABLE, _STRINGS, _NOT_IN_THE_FILE = 2, 3, 8
_CODE_IN_MEMORY: Final = 2 | 4  # SHF_ALLOC | SHF_EXECINSTR
_GLOBAL_FUNCTION: Final = 0x12
_MASK: Final = 0xFFFFFFFF
_MOST: Final = 0xFF00
"""Numbers of sections from here on mean something else (SHN_LORESERVE)."""


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int = 0
    info: int = 0
    alignment: int = 1
    entry_size: int = 0


class _File:
    """Sections of an ELF32 file, which can be added to. Contents that grow go behind its end."""

    def __init__(self, data: bytes, header: tuple[int, ...], sections: list[_Section]) -> None:
        self._data = data
        self._header = header
        self._sections = sections
        self._grown: dict[int, bytearray] = {}  # by number of section: its new content

    def add(self, section: _Section) -> int:
        self._sections.append(section)
        return len(self._sections) - 1

    def append(self, number: int, more: bytes) -> int:
        """Put bytes at the end of a section; returns where in it they begin."""
        section = self._sections[number]
        content = self._grown.setdefault(number, bytearray(self._data[section.offset : section.offset + section.size]))
        content += more
        return len(content) - len(more)

    def link(self, number: int) -> int:
        return self._sections[number].link

    def find(self, kind: int) -> int | None:
        """The first section of a type."""
        return next((number for number, section in enumerate(self._sections) if section.type == kind), None)

    def whole(self) -> bytes:
        out = bytearray(self._data)
        for number, content in self._grown.items():
            out += bytes(-len(out) % 4)
            self._sections[number] = self._sections[number]._replace(offset=len(out), size=len(content))
            out += content
        out += bytes(-len(out) % 4)
        header = list(self._header)
        header[_SECTION_HEADERS_AT], header[_SECTION_COUNT] = len(out), len(self._sections)
        for section in self._sections:
            out += _SECTION.pack(*section)
        out[: _HEADER.size] = _HEADER.pack(*header)
        return bytes(out)


def with_roms(data: bytes, roms: Sequence[tuple[int, bytes]]) -> bytes:
    """A guest's ELF file, and the names of ROMs (physical address and image) in it; as it is, if it has no sections or
    is not whole."""
    try:
        segments = elf.parse(data, "the guest").segments
        named = [(address, len(rom), decode(rom)) for address, rom in roms]
    except (InputError, RomError):
        return data
    file = _opened(data)
    if file is None or not named:
        return data
    names = _HEADER.unpack_from(data)[-1]
    table = file.find(_SYMBOL_TABLE)
    if table is None:
        table = _empty_table(file, names)
    for offset in sorted({(segment.vaddr - segment.paddr) & _MASK for segment in segments} | {0}):
        for address, size, symbols in named:
            _place(file, names, table, (address + offset) & _MASK, size, symbols)
    return file.whole()


def _opened(data: bytes) -> _File | None:
    header = _HEADER.unpack_from(data)
    at, size, count, names = header[_SECTION_HEADERS_AT], header[11], header[_SECTION_COUNT], header[13]
    if not at or size != _SECTION.size or at + size * count > len(data) or not 0 < names < count < _MOST - 100:
        return None
    sections = [_Section(*fields) for fields in _SECTION.iter_unpack(data[at : at + size * count])]
    ends = [section.offset + section.size for section in sections if section.type in (_SYMBOL_TABLE, _STRINGS)]
    linked = all(section.link < count for section in sections if section.type == _SYMBOL_TABLE)
    return _File(data, header, sections) if linked and max(ends, default=0) <= len(data) else None


def _empty_table(file: _File, names: int) -> int:
    """For a guest that was stripped."""
    strings = file.add(_Section(file.append(names, b".strtab\0"), _STRINGS, 0, 0, 0, 0))
    file.append(strings, b"\0")
    name = file.append(names, b".symtab\0")
    table = file.add(_Section(name, _SYMBOL_TABLE, 0, 0, 0, 0, strings, 1, 4, _SYMBOL.size))
    file.append(table, bytes(_SYMBOL.size))
    return table


def _place(file: _File, names: int, table: int, address: int, size: int, symbols: Sequence[Symbol]) -> None:
    """One ROM at one linear address."""
    name = file.append(names, b".vmi-%08x\0" % address)
    section = file.add(_Section(name, _NOT_IN_THE_FILE, _CODE_IN_MEMORY, address, 0, size))
    strings = file.link(table)
    for symbol in symbols:
        at = file.append(strings, symbol.name.encode("ascii", "replace") + b"\0")
        value = (address + symbol.offset) & _MASK
        file.append(table, _SYMBOL.pack(at, value, symbol.size, _GLOBAL_FUNCTION, 0, section))
