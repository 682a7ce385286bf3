"""Places that people keep in a trace, by name. Written through a short-lived connection of its own."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pvtrace.model.errors import TraceError
from pvtrace.model.step import Step
from pvtrace.store.reader import TraceReader


class Bookmark(NamedTuple):
    name: str
    step: Step
    note: str = ""


def every(trace: TraceReader) -> list[Bookmark]:
    """All of them, by step."""
    rows = trace.rows("SELECT name, step, note FROM bookmark ORDER BY step, name")
    return [Bookmark(name, Step(step), note) for name, step, note in rows]


def named(trace: TraceReader, name: str) -> Bookmark | None:
    return next((item for item in every(trace) if item.name == name), None)


def keep(path: Path, bookmark: Bookmark) -> None:
    """Raises TraceError if the trace cannot be written to. One of the same name is replaced."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO bookmark(name, step, note) VALUES (?, ?, ?)", bookmark)
    except sqlite3.Error as error:
        raise TraceError(f"the bookmark cannot be kept in {path}: {error}") from None
