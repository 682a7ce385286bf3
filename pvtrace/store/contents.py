"""What a trace holds before anything happened: what it says of itself, the files that the machine was given, names."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pvtrace.model.digest import Mark
from pvtrace.model.step import RESET
from pvtrace.store.meta import Meta, meta_rows
from pvtrace.store.rows import SourceLine, Symbol, TraceFile, Value
from pvtrace.store.transactions import store_blob


class Contents(NamedTuple):
    """`symbols` and `lines` are gone through once, when they are stored."""

    meta: Meta
    files: Sequence[TraceFile] = ()
    symbols: Iterable[Symbol] = ()
    lines: Iterable[SourceLine] = ()

    def fill(self, connection: sqlite3.Connection) -> None:
        """Store it all in a new trace."""
        sums = [hashlib.sha256(file.data).hexdigest() for file in self.files]
        about = [*meta_rows(self.meta), *_about(self.files, sums)]
        connection.executemany("INSERT INTO meta(key, value) VALUES (?, ?)", about)
        connection.execute(
            "INSERT INTO progress(id, step, inputs, events, input_digest, event_digest) VALUES (1, ?, ?, ?, ?, ?)",
            (RESET, *Mark()),
        )
        for file, sha256 in zip(self.files, sums, strict=True):
            name, _ = store_blob(connection, file.data)
            connection.execute(
                "INSERT INTO file(role, name, sha256, hash) VALUES (?, ?, ?, ?)", (file.role, file.name, sha256, name)
            )
        connection.executemany(
            "INSERT OR IGNORE INTO symbol(name, address, size, source) VALUES (?, ?, ?, ?)", self.symbols
        )
        _store_lines(connection, self.lines)


def _store_lines(connection: sqlite3.Connection, lines: Iterable[SourceLine]) -> None:
    files: dict[str, int] = {}
    rows = [(line.address, files.setdefault(line.file, len(files)), line.line) for line in lines]
    connection.executemany("INSERT INTO source_file(name, id) VALUES (?, ?)", files.items())
    connection.executemany("INSERT OR IGNORE INTO source_line(address, file, line) VALUES (?, ?, ?)", rows)


def _about(files: Iterable[TraceFile], sums: Iterable[str]) -> Iterator[tuple[str, Value]]:
    """Rows of meta beside those of Meta: whether it is finished and, for people, the files by SHA-256."""
    yield "finished", 0
    numbers: dict[str, int] = {}
    for file, sha256 in zip(files, sums, strict=True):
        number = numbers[file.role] = numbers.get(file.role, 0) + 1
        key = file.role if number == 1 else f"{file.role}.{number}"
        yield f"{key}.name", file.name
        yield f"{key}.sha256", sha256
