"""Rows are the same whoever inserts them: C within SQLite, or Python."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.events import Event, Kind
from pvtrace.model.packed import pack
from pvtrace.model.step import Step
from pvtrace.store.database import script
from pvtrace.store.direct import insert, is_direct, offered, read
from pvtrace.store.rows import EVENT_COLUMNS, INSERT_EVENT
from tests.laws.test_law_packed import EVENTS


def opened(path: str = ":memory:") -> sqlite3.Connection:
    with offered():
        connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(script("schema.sql"))
    return connection


needs_direct = pytest.mark.skipif(not is_direct(opened()), reason="this Python's SQLite has its functions inside")


def table(events: list[Event], first: int, *, direct: bool) -> list[tuple[object, ...]]:
    with contextlib.closing(opened()) as connection:
        insert(connection, first, b"".join(map(pack, events)), direct=direct)
        columns = ", ".join(f"{name}, typeof({name})" for name in ("seq", *EVENT_COLUMNS.split(", ")))
        return connection.execute(f"SELECT {columns} FROM event ORDER BY seq").fetchall()


@needs_direct
@given(st.lists(EVENTS, max_size=70), st.integers(0, 2**40))
def test_both_ways_are_one(events: list[Event], first: int) -> None:
    rows = table(events, first, direct=True)
    assert rows == table(events, first, direct=False)
    assert len(rows) == len(events)


@needs_direct
def test_more_than_one_statement_of_pythons_takes() -> None:
    events = [Event(Step(step), Kind.PORT_READ, step, 2, (step, 1, step)) for step in range(2500)]
    assert table(events, 7, direct=True) == table(events, 7, direct=False)


@needs_direct
def test_what_is_no_event_is_refused() -> None:
    with contextlib.closing(opened()) as connection, pytest.raises(sqlite3.OperationalError, match="no events"):
        insert(connection, 0, b"rubbish", direct=True)


@needs_direct
def test_what_sqlite_says_is_passed_on() -> None:
    event = pack(Event(Step(1), Kind.PORT_READ, 2, 3, ()))
    with contextlib.closing(opened()) as connection:
        insert(connection, 5, event, direct=True)
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            insert(connection, 5, event, direct=True)


@needs_direct
def test_a_full_disk(tmp_path: Path) -> None:
    with contextlib.closing(opened(str(tmp_path / "small.db"))) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            insert(connection, 0, pack(Event(Step(1), Kind.PORT_READ, 2, 3, (b"x" * 50_000,))), direct=True)


def test_only_who_is_offered_it_has_it() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        assert not is_direct(connection)
        with pytest.raises(sqlite3.OperationalError, match="no such function"):
            connection.execute("SELECT insert_events(x'', 0, 1, ?, ?)", (INSERT_EVENT, INSERT_EVENT))


@needs_direct
@given(st.lists(EVENTS, max_size=20), st.integers(0, 2**40))
def test_both_ways_read_alike(events: list[Event], first: int) -> None:
    data = b"".join(map(pack, events))
    with contextlib.closing(opened()) as connection:
        insert(connection, first, data, direct=False)
        for since in range(len(events) + 1):
            whole = [read(connection, first + since, first + len(events), direct=way) for way in (True, False)]
            assert whole == [b"".join(map(pack, events[since:]))] * 2
        assert read(connection, first, first + len(events) + 1, direct=True) is None
        assert read(connection, first, first + len(events) + 1, direct=False) is None


@needs_direct
@pytest.mark.parametrize(
    "change", ["a = 1.5", "cause = -7", "kind = -1", "kind = 70000"], ids=["real", "cause", "negative kind", "kind"]
)
def test_a_row_that_is_no_event_is_refused(change: str) -> None:
    with contextlib.closing(opened()) as connection:
        insert(connection, 0, pack(Event(Step(1), Kind.PORT_READ, 2, 3, (1, 2))), direct=True)
        connection.execute(f"UPDATE event SET {change}")
        with pytest.raises(sqlite3.OperationalError, match="no event"):
            read(connection, 0, 1, direct=True)
        with pytest.raises(ValueError, match="event"):
            read(connection, 0, 1, direct=False)
