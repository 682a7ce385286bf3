"""Names for addresses: from a recording, or from a guest that is about to run."""

from collections.abc import Sequence
from pathlib import Path

from pvtrace.model.errors import PvtraceError
from pvtrace.report.describe import Symbols, no_symbols
from pvtrace.session.names import Names, contents
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


def of_guest(guest: Path, more: Sequence[str] = ()) -> Symbols:
    """The names in a guest's file and in others (see session.names.Names).

    No names if one cannot be read: it is not here that this is an error.
    """
    try:
        return Names(guest.name, contents(guest), more).symbols.at
    except PvtraceError:
        return no_symbols


def with_lines(trace: TraceReader, names: Symbols) -> Symbols:
    """The same names, and behind each the source line, where the recording knows one."""

    def at(address: int) -> str | None:
        name, line = names(address), trace.line_at(address)
        if line is None:
            return name
        return f"{name or f'{address:08x}'} {line.file}:{line.line}"

    return at
