"""Names and source lines for addresses, from the guest's file and from those that the user names besides."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from pvtrace.model.errors import InputError, UsageError
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import SourceLine, Symbol
from pvtrace.x86 import elf, source_lines, symbol_files
from pvtrace.x86.elf import SymbolTable
from rom.elf import decode


def contents(path: Path) -> bytes:
    """Raises InputError for a file that cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def stored(trace: TraceReader, roms: bool = True) -> SymbolTable:
    """All that a recording knows: of the guest, of what was named beside it, and perhaps of the ROMs. Of several names
    of one address that of the smallest thing counts: a function, not the label in front of it."""
    without = frozenset() if roms else {file.name for file in trace.files if file.role == "rom"}
    rows = sorted(
        (row for row in trace.symbols if row.size and row.source not in without),
        key=lambda row: (row.address, -row.size),
    )
    placed = tuple(elf.Symbol(row.name, row.address, row.size, "func") for row in rows)
    return SymbolTable(placed, tuple(row.address + row.size for row in rows))


class Names:
    """Names and source lines: of the guest, of the ROMs, and of the files that the user names besides."""

    def __init__(self, name: str, data: bytes, more: Sequence[str]) -> None:
        """The guest's name and file, which is read when it is asked for names. `more`: each a file, perhaps with
        @OFFSET behind it: a hexadecimal number to add to its addresses."""
        self._guest = (name, data)
        self._more: list[tuple[str, SymbolTable]] = []
        self._lines = list(source_lines.read(data))
        for text in more:
            path, offset = _placed(text)
            content = contents(path)
            self._more.append((path.name, symbol_files.read(content, path.name, offset)))
            self._lines += source_lines.read(content, offset)

    @cached_property
    def _tables(self) -> list[tuple[str, SymbolTable]]:
        name, data = self._guest
        return [(name, elf.symbols_of(data)), *self._more]

    @cached_property
    def symbols(self) -> SymbolTable:
        """All in one table."""
        return symbol_files.merged([table for _, table in self._tables])

    def address_of(self, name: str) -> int | None:
        """The address of a symbol; of several with one name, the lowest."""
        return self.symbols.address_of(name)

    def rows(self, roms: Sequence[tuple[int, bytes]]) -> Iterator[Symbol]:
        """As a trace keeps them; with those of the ROMs at these addresses."""
        for source, table in self._tables:
            for symbol, end in zip(table.symbols, table.ends, strict=True):
                yield Symbol(symbol.name, symbol.address, symbol.size or max(0, end - symbol.address), source)
        for at, rom in roms:
            for entry in decode(rom):
                yield Symbol(entry.name, at + entry.offset, entry.size, rom_name(at))

    def lines(self) -> Iterator[SourceLine]:
        """As a trace keeps them."""
        return (SourceLine(line.address, line.file, line.line) for line in self._lines)


def _placed(text: str) -> tuple[Path, int]:
    name, at, offset = text.rpartition("@")
    if not at or Path(text).exists():
        return Path(text), 0
    try:
        return Path(name), int(offset, 16)
    except ValueError:
        raise UsageError(f"--symbols {text}: {offset!r} is no hexadecimal offset") from None


def rom_name(address: int) -> str:
    """What a trace calls the file of a ROM."""
    return f"vmi-{address:05X}.rom"
