"""Names of addresses from files that people have beside a kernel: an ELF file's symbols, or a System.map.

Pure. A System.map is what nm prints: address, a letter for the kind, name; one in a line.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from pvtrace.model.errors import InputError
from pvtrace.x86 import elf
from pvtrace.x86.elf import Symbol, SymbolTable

_MAP_LINE: Final = re.compile(rb"^(?:[0-9a-f]{8})?([0-9a-f]{8}) ([a-zA-Z]) (\S+)", re.M)
_KINDS: Final = {b"t": "func", b"w": "func", b"a": "absolute"}
_MASK: Final = 0xFFFFFFFF
LAST_REACHES: Final = 0x1000
"""Bytes that belong to the last symbol of a System.map, which does not say where things end."""


def read(data: bytes, name: str, offset: int = 0) -> SymbolTable:
    """The symbols of a file, moved by `offset`. Raises InputError for a file that has none."""
    table = elf.symbols_of(data) if elf.is_elf(data) else _system_map(data)
    if not table.symbols:
        raise InputError(f"{name} holds no symbols: it is no 32-bit ELF file with a symbol table, and no System.map")
    return moved(table, offset) if offset else table


def _system_map(data: bytes) -> SymbolTable:
    found = sorted(
        (int(address, 16), text.decode("ascii", "backslashreplace"), _KINDS.get(kind.lower(), "object"))
        for address, kind, text in _MAP_LINE.findall(data)
    )
    starts = sorted({address for address, _, kind in found if kind != "absolute"})
    following = dict(pairwise(starts))
    symbols, ends = [], []
    for address, name, kind in found:
        size = 0 if kind == "absolute" else following.get(address, address + LAST_REACHES) - address
        symbols.append(Symbol(name, address, size, kind))
        ends.append(address + size)
    return SymbolTable(tuple(symbols), tuple(ends))


def moved(table: SymbolTable, offset: int) -> SymbolTable:
    """The same symbols at other addresses, all of them below 4 GiB."""
    pairs = [
        (symbol._replace(address=symbol.address + offset & _MASK), end - symbol.address)
        for symbol, end in zip(table.symbols, table.ends, strict=True)
    ]
    return _in_order(pairs)


def merged(tables: Sequence[SymbolTable]) -> SymbolTable:
    """All symbols of several tables; of those at one address the first table's is preferred."""
    if len(tables) == 1:
        return tables[0]
    pairs = [
        (symbol, end - symbol.address)
        for table in reversed(tables)
        for symbol, end in zip(table.symbols, table.ends, strict=True)
    ]
    return _in_order(pairs)


def _in_order(pairs: list[tuple[Symbol, int]]) -> SymbolTable:
    """From symbols and their lengths."""
    pairs = sorted(pairs, key=lambda pair: pair[0].address)
    return SymbolTable(tuple(s for s, _ in pairs), tuple(s.address + length for s, length in pairs))
