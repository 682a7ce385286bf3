"""What a recording is made from, read from the user's files: the guest and all that it is given, names and lines.

The only place of the session that reads those files. Whatever is wrong with one is an InputError before anything runs.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pvtrace.machine.boot import BootImage, File
from pvtrace.machine.machine import Settings
from pvtrace.model.errors import InputError, UsageError
from pvtrace.session import build
from pvtrace.session.options import RecordOptions
from pvtrace.store.rows import SourceLine, Symbol, TraceFile
from pvtrace.vmi.steal import NOTHING
from pvtrace.x86 import source_lines, symbol_files
from pvtrace.x86.elf import SymbolTable
from rom.elf import decode


def read(path: Path) -> File:
    """Raises InputError for a file that cannot be read."""
    try:
        return File(path.name, path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _module(text: str | Path) -> File:
    """A file, or behind its name and a space the arguments that the guest is to see."""
    if isinstance(text, Path) or Path(text).exists():
        return read(Path(text))
    name, _, arguments = text.partition(" ")
    return replace(read(Path(name)), arguments=arguments)


def given(options: RecordOptions) -> build.Given:
    """Everything that the machine is made from."""
    if options.steal != NOTHING and options.clock == "host":
        raise UsageError("stolen time is made from virtual time: --steal cannot go with --clock host")
    return build.Given(
        guest=read(options.guest),
        modules=tuple(_module(module) for module in options.modules),
        initrd=None if options.initrd is None else read(options.initrd),
        load=options.load,
        entry=options.entry,
        roms=build.roms_of(options.vmi),
        command_line=options.append,
        settings=Settings(
            ram=options.ram,
            hz=options.hz,
            host_clock=options.clock == "host",
            latitude=options.latitude,
            user_if=options.user_if,
            steal=options.steal,
        ),
    )


def files(given: build.Given) -> list[TraceFile]:
    """The same as a trace keeps it."""
    initrd = [] if given.initrd is None else [given.initrd]
    return [
        TraceFile("guest", given.guest.name, given.guest.data),
        *(TraceFile("module", module.name, module.data) for module in given.modules),
        *(TraceFile("initrd", file.name, file.data) for file in initrd),
        *(TraceFile("rom", _rom_name(address), rom) for address, rom in given.roms),
    ]


class Names:
    """Names and source lines: of the guest, of the ROMs, and of the files that the user names besides."""

    def __init__(self, guest: File, symbols: SymbolTable, more: Sequence[str]) -> None:
        """`more`: each a file, perhaps with @OFFSET behind it: a hexadecimal number to add to its addresses."""
        self._tables = [(guest.name, symbols)]
        self._lines = list(source_lines.read(guest.data))
        for text in more:
            path, offset = _placed(text)
            file = read(path)
            self._tables.append((file.name, symbol_files.read(file.data, file.name, offset)))
            self._lines += source_lines.read(file.data, offset)

    @property
    def symbols(self) -> SymbolTable:
        """All in one table."""
        return symbol_files.merged([table for _, table in self._tables])

    def rows(self, roms: Sequence[tuple[int, bytes]]) -> list[Symbol]:
        """As a trace keeps them; with those of the ROMs at these addresses."""
        rows = [
            Symbol(symbol.name, symbol.address, symbol.size or max(0, end - symbol.address), source)
            for source, table in self._tables
            for symbol, end in zip(table.symbols, table.ends, strict=True)
        ]
        return rows + [Symbol(s.name, at + s.offset, s.size, _rom_name(at)) for at, rom in roms for s in decode(rom)]

    def lines(self) -> list[SourceLine]:
        """As a trace keeps them."""
        return [SourceLine(line.address, line.file, line.line) for line in self._lines]


def names(options: RecordOptions, given: build.Given, image: BootImage) -> Names:
    """Raises InputError for a file of symbols that cannot be read or has none."""
    return Names(given.guest, image.symbols, options.symbols)


def _placed(text: str) -> tuple[Path, int]:
    name, at, offset = text.rpartition("@")
    if not at or Path(text).exists():
        return Path(text), 0
    try:
        return Path(name), int(offset, 16)
    except ValueError:
        raise UsageError(f"--symbols {text}: {offset!r} is no hexadecimal offset") from None


def _rom_name(address: int) -> str:
    return f"vmi-{address:05X}.rom"
