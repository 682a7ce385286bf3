"""Names for addresses: from a recording, or from a guest that is about to run."""

from pathlib import Path

from pvtrace.report.describe import Symbols, no_symbols
from pvtrace.store.reader import TraceReader
from pvtrace.x86.elf import Symbol, SymbolTable, symbols_of


def of_recording(trace: TraceReader) -> Symbols:
    """The names in the guest that it holds and, where that has none, those of the ROMs."""
    guest = [symbols_of(file.data).at for file in trace.files if file.role == "guest"]
    sized = [row for row in trace.symbols if row.size]
    placed = tuple(Symbol(row.name, row.address, row.size, "func") for row in sized)
    stored = SymbolTable(placed, tuple(row.address + row.size for row in sized)).at
    tables = [*guest, stored]
    return lambda address: next(filter(None, (at(address) for at in tables)), None)


def of_guest(guest: Path) -> Symbols:
    """The names in a guest's file. No names for a file that cannot be read: it is not here that this is an error."""
    try:
        return symbols_of(guest.read_bytes()).at
    except OSError:
        return no_symbols
