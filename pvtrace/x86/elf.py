"""ELF32 executables for i386: segments to load and symbols to show.

Pure: bytes in, frozen values out. A file that cannot be loaded raises InputError with one sentence; damaged symbols do
not matter to the guest and only give fewer names. Source: System V ABI, chapters 4 and 5, and its i386 supplement.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final, NamedTuple

from pvtrace.model.errors import InputError

MAGIC: Final = b"\x7fELF"
CLASS_32, CLASS_64 = 1, 2
LITTLE_ENDIAN: Final = 1
TYPE_EXECUTABLE: Final = 2
MACHINE_386: Final = 3
TYPE_NAMES: Final = {0: "no type", 1: "a relocatable object", 3: "a shared object", 4: "a core dump"}
LOAD: Final = 1
SYMBOL_TABLE: Final = 2
ADDRESSES: Final = 1 << 32
UNDEFINED, RESERVED, ABSOLUTE = 0, 0xFF00, 0xFFF1
KINDS: Final = {0: "notype", 1: "object", 2: "func"}
RANKED: Final = ("absolute", "notype", "object", "func")
"""Kinds of symbols, the best name of an address last."""

EXECUTABLE, WRITABLE, READABLE = 1, 2, 4
"""Segment.flags (p_flags)."""

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER: Final = struct.Struct("<8I")
_SECTION_HEADER: Final = struct.Struct("<10I")
_SYMBOL: Final = struct.Struct("<IIIBBH")


class ElfSegment(NamedTuple):
    """`data` goes to physical address `paddr`, followed by zeros up to `memsz` bytes."""

    paddr: int
    vaddr: int
    data: bytes
    memsz: int
    flags: int


class Symbol(NamedTuple):
    """`kind`: func, object, notype or absolute. `size` is 0 where the file does not say."""

    name: str
    address: int
    size: int
    kind: str


@dataclass(frozen=True)
class SymbolTable:
    """Symbols in order of address. `ends` holds, for each, the first address that is not its own any more."""

    symbols: tuple[Symbol, ...] = ()
    ends: tuple[int, ...] = ()

    @cached_property
    def _addresses(self) -> tuple[int, ...]:
        return tuple(symbol.address for symbol in self.symbols)

    @cached_property
    def _reach(self) -> tuple[int, ...]:
        """The highest end so far."""
        return tuple(accumulate(self.ends, max))

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {symbol.name: symbol.address for symbol in reversed(self.symbols)}

    def at(self, address: int) -> str | None:
        """`name` or `name+0x12` for an address inside a symbol, of several the innermost; None outside all of them."""
        index = bisect_right(self._addresses, address) - 1
        while index >= 0 and self.ends[index] <= address < self._reach[index]:
            index -= 1
        if index < 0 or address >= self.ends[index]:
            return None
        symbol = self.symbols[index]
        return symbol.name if symbol.address == address else f"{symbol.name}+{address - symbol.address:#x}"

    def address_of(self, name: str) -> int | None:
        """The address of a symbol; of several with one name, the lowest."""
        return self._by_name.get(name)


class ElfImage(NamedTuple):
    """`entry` is e_entry as the file has it."""

    name: str
    entry: int
    segments: tuple[ElfSegment, ...]

    @property
    def physical_entry(self) -> int:
        """Where to start with paging off: the entry's physical address if it lies in a segment's virtual range."""
        for segment in self.segments:
            if 0 <= self.entry - segment.vaddr < segment.memsz:
                return self.entry - segment.vaddr + segment.paddr
        return self.entry


class _Header(NamedTuple):
    ident: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int


def is_elf(data: bytes) -> bool:
    return data.startswith(MAGIC)


def parse(data: bytes, name: str) -> ElfImage:
    """Parse an executable; `name` is what messages call it. Raises InputError."""
    header = _header(data, name)
    segments = tuple(_segments(data, header, name))
    if not segments:
        raise InputError(f"{name} has no loadable segment")
    if not any(
        0 <= header.entry - start < segment.memsz for segment in segments for start in (segment.vaddr, segment.paddr)
    ):
        raise InputError(f"{name}: its entry point {header.entry:#x} is in no segment")
    return ElfImage(name, header.entry, segments)


def symbols_of(data: bytes) -> SymbolTable:
    """The symbols of any file, as far as it has some: also of a kernel that is not loaded by its ELF headers."""
    if not is_elf(data) or len(data) < _HEADER.size or data[4] != CLASS_32 or data[5] != LITTLE_ENDIAN:
        return SymbolTable()
    return _symbols(data, _Header(*_HEADER.unpack_from(data)))


def _header(data: bytes, name: str) -> _Header:
    if not is_elf(data):
        raise InputError(f"{name} is not an ELF file")
    if len(data) > 4 and data[4] == CLASS_64:
        raise InputError(f"{name} is a 64-bit ELF file, and pvtrace runs 32-bit kernels")
    if len(data) < _HEADER.size:
        raise InputError(f"{name} is truncated: its ELF header is not complete")
    header = _Header(*_HEADER.unpack_from(data))
    if header.ident[4] != CLASS_32:
        raise InputError(f"{name} is an ELF file of unknown class {header.ident[4]}")
    if header.ident[5] != LITTLE_ENDIAN:
        raise InputError(f"{name} is not a little-endian ELF file, so it is not for i386")
    if header.machine != MACHINE_386:
        raise InputError(f"{name} is an ELF file for another machine (number {header.machine}), not for i386")
    if header.type != TYPE_EXECUTABLE:
        kind = TYPE_NAMES.get(header.type, f"of type {header.type}")
        raise InputError(f"{name} is {kind}, not an executable")
    return header


def _segments(data: bytes, header: _Header, name: str) -> Iterator[ElfSegment]:
    if header.phnum and header.phentsize < _PROGRAM_HEADER.size:
        raise InputError(f"{name} has program headers of {header.phentsize} bytes, which are too short")
    if header.phoff + header.phnum * header.phentsize > len(data):
        raise InputError(f"{name} is truncated: its program headers are not complete")
    for number in range(header.phnum):
        at = header.phoff + number * header.phentsize
        kind, offset, vaddr, paddr, filesz, memsz, flags, _ = _PROGRAM_HEADER.unpack_from(data, at)
        if kind != LOAD or memsz == 0:
            continue
        if filesz > memsz:
            raise InputError(f"{name}: segment {number} has more bytes in the file than in memory")
        if offset + filesz > len(data):
            raise InputError(f"{name} is truncated: segment {number} ends behind the end of the file")
        if max(vaddr, paddr) + memsz > 1 << 32:
            raise InputError(f"{name}: segment {number} ends above 4 GiB")
        yield ElfSegment(paddr, vaddr, data[offset : offset + filesz], memsz, flags)


def _sections(data: bytes, header: _Header) -> list[_Section]:
    """All section headers, or none if they are not all there."""
    end = header.shoff + header.shnum * header.shentsize
    if not header.shoff or header.shentsize < _SECTION_HEADER.size or end > len(data):
        return []
    offsets = range(header.shoff, end, header.shentsize)
    return [_Section(*_SECTION_HEADER.unpack_from(data, at)) for at in offsets]


def _symbols(data: bytes, header: _Header) -> SymbolTable:
    sections = _sections(data, header)
    found: set[_Found] = set()
    for table in sections:
        if table.type == SYMBOL_TABLE and table.link < len(sections):
            found.update(_read_symbols(data, table, sections))
    return _table(sorted(found))


_ABSOLUTE: Final = RANKED.index("absolute")
_Found = tuple[int, int, str, int, int]
"""Address, place in RANKED, name, size, and the end of its section (its own address for an absolute symbol). In order,
the best name of an address is its last one, which SymbolTable.at finds."""


def _read_symbols(data: bytes, table: _Section, sections: list[_Section]) -> Iterator[_Found]:
    """Those that have a name."""
    strings = _slice(data, sections[table.link])
    body = _slice(data, table)
    whole = len(body) // _SYMBOL.size * _SYMBOL.size
    ends = [section.addr + section.size for section in sections[:RESERVED]]
    ranks = {number: RANKED.index(kind) for number, kind in KINDS.items()}
    for name_at, address, size, info, _, index in _SYMBOL.iter_unpack(body[:whole]):
        rank = ranks.get(info & 15)
        if rank is None or index == UNDEFINED:
            continue
        name = strings[name_at : strings.find(b"\0", name_at)].decode("ascii", "backslashreplace")
        if not name:
            continue
        if index == ABSOLUTE:
            yield address, _ABSOLUTE, name, size, address
        elif index < len(ends):
            yield address, rank, name, size, ends[index]


def _slice(data: bytes, section: _Section) -> bytes:
    return data[section.offset : section.offset + section.size]


def _table(ordered: Sequence[_Found]) -> SymbolTable:
    """A symbol without a size reaches to the next one or to the end of its section; an absolute one is a number, and
    has no inside."""
    ends: list[int] = []
    start = following = ADDRESSES
    for address, rank, _, size, limit in reversed(ordered):
        if rank == _ABSOLUTE:
            ends.append(address)
            continue
        if address != start:
            start, following = address, start
        ends.append(address + size if size else min(following, limit))
    symbols = tuple(Symbol(name, address, size, RANKED[rank]) for address, rank, name, size, _ in ordered)
    return SymbolTable(symbols, tuple(reversed(ends)))
