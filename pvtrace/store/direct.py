"""Events between bytes and rows of the table `event`: in C if SQLite lets us (_direct.c), else by Python's sqlite3."""

import _sqlite3
import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from pvtrace.model.packed import pack_rows, rows, skip
from pvtrace.store import _direct
from pvtrace.store.rows import EVENT_COLUMNS, EVENT_PARAMETERS, INSERT_EVENT

AT_ONCE: Final = (1024, 64, 1)
"""Events that are inserted by one statement of Python's, as many as there are: SQLite then takes two thirds of the
time."""

_INSERT: Final = {count: INSERT_EVENT + f", {EVENT_PARAMETERS}" * (count - 1) for count in AT_ONCE}
_CALL: Final = "SELECT insert_events(?, ?, ?, ?, ?)"
_TOGETHER: Final = 64
_STATEMENTS: Final = (_TOGETHER, _INSERT[_TOGETHER], _INSERT[1])


@contextlib.contextmanager
def offered() -> Iterator[None]:
    """Connections that are opened within can do it in C, if anything can here."""
    _direct.offer(getattr(_sqlite3, "__file__", None))
    try:
        yield
    finally:
        _direct.withdraw()


def is_direct(connection: sqlite3.Connection) -> bool:
    """Whether it can."""
    try:
        connection.execute(_CALL, (b"", 0, *_STATEMENTS))
    except sqlite3.OperationalError:
        return False
    return True


def insert(connection: sqlite3.Connection, number: int, events: bytes, *, direct: bool) -> None:
    """The first event has this number."""
    if direct:
        connection.execute(_CALL, (events, number, *_STATEMENTS)).fetchone()
        return
    start = 0
    for together in AT_ONCE:
        made = rows(events, start, number, together)
        connection.executemany(_INSERT[together], made)
        number += len(made) * together
        start = skip(events, start, len(made) * together)


_SELECT: Final = f"SELECT {EVENT_COLUMNS} FROM event WHERE seq >= ? AND seq < ? ORDER BY seq"


def read(connection: sqlite3.Connection, first: int, last: int, *, direct: bool) -> bytes | None:
    """The events from number `first` to the one before `last`; None if one of them is missing. Raises ValueError or
    sqlite3.Error for what is no event."""
    if direct:
        (data,) = connection.execute("SELECT packed_events(?, ?, ?)", (_SELECT, first, last)).fetchone()
        assert data is None or isinstance(data, bytes)
        return data if first < last else b""
    found = connection.execute(_SELECT, (first, last)).fetchall()
    return pack_rows(found) if len(found) == last - first else None
