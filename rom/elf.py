"""The ELF32 file inside a ROM: symbols that name the entry points, for readelf, gdb and the events of a recording.

The file begins at offset 64 of the ROM (elfHeader) and goes to its end; file offsets are relative to that byte, while
addresses are offsets in the ROM, so that a debugger only adds the address at which the ROM is mapped. It holds no
program headers: nothing loads it. Only writing and reading of that file live here.

Source: System V ABI, chapter 4 (object files), and its i386 supplement.
"""

import struct
from typing import Final, NamedTuple

from rom.layout import ELF_OFFSET, RomError

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION: Final = struct.Struct("<10I")
_SYMBOL: Final = struct.Struct("<IIIBBH")
_IDENT: Final = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")  # 32 bits, little-endian, version 1, System V
_ET_DYN, _EM_386, _EV_CURRENT = 3, 3, 1
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB = 1, 2, 3
_SHF_ALLOC_EXECINSTR: Final = 6
_GLOBAL_FUNCTION: Final = 0x12
_TEXT, _SYMTAB, _STRTAB = 1, 2, 3
_SECTIONS: Final = 4


class Symbol(NamedTuple):
    """A name for a range of the ROM: `offset` and `size` in bytes from the ROM's first byte."""

    name: str
    offset: int
    size: int


class ElfParts(NamedTuple):
    """The header for offset 64, and the tables for the offset that was asked for."""

    header: bytes
    tables: bytes


def encode(symbols: tuple[Symbol, ...], code: range, tables: int) -> ElfParts:
    """The two parts of the ELF file of a ROM whose code is at offsets `code`; `tables` is where the second part goes.

    `tables` must be a multiple of 4.
    """
    strings = bytearray(b"\0")
    names = [_add(strings, name) for name in (".text", ".symtab", ".strtab", *(s.name for s in symbols))]
    symtab = bytes(_SYMBOL.size) + b"".join(
        _SYMBOL.pack(name, s.offset, s.size, _GLOBAL_FUNCTION, 0, _TEXT)
        for name, s in zip(names[3:], symbols, strict=True)
    )
    strtab = bytes(strings).ljust(-(-len(strings) // 4) * 4, b"\0")
    at_symtab = tables - ELF_OFFSET
    at_strtab = at_symtab + len(symtab)
    at_sections = at_strtab + len(strtab)
    text = (code.start, code.start - ELF_OFFSET, len(code))
    sections = (
        bytes(_SECTION.size),
        _SECTION.pack(names[0], _SHT_PROGBITS, _SHF_ALLOC_EXECINSTR, *text, 0, 0, 4, 0),
        _SECTION.pack(names[1], _SHT_SYMTAB, 0, 0, at_symtab, len(symtab), _STRTAB, 1, 4, _SYMBOL.size),
        _SECTION.pack(names[2], _SHT_STRTAB, 0, 0, at_strtab, len(strings), 0, 0, 1, 0),
    )
    kind = (_ET_DYN, _EM_386, _EV_CURRENT)
    sizes = (_HEADER.size, 0, 0, _SECTION.size, _SECTIONS, _STRTAB)
    return ElfParts(_HEADER.pack(_IDENT, *kind, 0, 0, at_sections, 0, *sizes), symtab + strtab + b"".join(sections))


def _add(strings: bytearray, name: str) -> int:
    at = len(strings)
    strings += name.encode("ascii") + b"\0"
    return at


def decode(rom: bytes) -> tuple[Symbol, ...]:
    """The named symbols of the ELF file at offset 64 of a ROM. Raises RomError if there is none or it is damaged."""
    file = rom[ELF_OFFSET:]
    if not file.startswith(_IDENT[:7]) or len(file) < _HEADER.size:
        raise RomError("elfHeader is no header of a little-endian ELF32 file")
    header = _HEADER.unpack_from(file)
    at_sections, section_size, count = header[6], header[11], header[12]
    if section_size != _SECTION.size:
        raise RomError(f"elfHeader gives section headers of {section_size} bytes, not {_SECTION.size}")
    table = _part(file, at_sections, count * _SECTION.size, "section headers")
    sections = list(_SECTION.iter_unpack(table))
    symtab = next((s for s in sections if s[1] == _SHT_SYMTAB), None)
    if symtab is None:
        raise RomError("elfHeader leads to no symbol table")
    link = symtab[6]
    if link >= len(sections):
        raise RomError("elfHeader leads to a symbol table without names")
    entries = _part(file, symtab[4], symtab[5] - symtab[5] % _SYMBOL.size, "symbol table")
    strings = _part(file, sections[link][4], sections[link][5], "table of names")
    symbols = (Symbol(_name(strings, entry[0]), entry[1], entry[2]) for entry in _SYMBOL.iter_unpack(entries))
    return tuple(symbol for symbol in symbols if symbol.name)


def _part(file: bytes, start: int, size: int, what: str) -> bytes:
    if start + size > len(file):
        raise RomError(f"elfHeader leads to {what} that end beyond the ROM")
    return file[start : start + size]


def _name(strings: bytes, start: int) -> str:
    end = strings.find(b"\0", start)
    return strings[start : len(strings) if end < 0 else end].decode("ascii", "replace")
