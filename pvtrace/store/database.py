"""Opens a trace to read, and turns SQLite's complaints into sentences. A new one is made in store.creation."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pvtrace.model.errors import InputError, PvtraceError, TraceError, UsageError
from pvtrace.store.direct import offered
from pvtrace.store.meta import GENERATION

APPLICATION: Final = 0x50565452
"""'PVTR' in SQLite's application_id: the command `file` can show it."""

LOCK_WAIT: Final = 2.0  # seconds; nobody holds a lock for longer than one short transaction

_MAGIC: Final = b"SQLite format 3\0"


def script(name: str) -> str:
    """The text of one of this package's SQL files."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def beside(path: Path) -> Iterator[Path]:
    """Files that SQLite keeps beside a database. Left over from another one they would be taken for this one's."""
    for suffix in ("-wal", "-shm", "-journal"):
        yield path.with_name(path.name + suffix)


def close_as_one_file(connection: sqlite3.Connection) -> None:
    """End WAL mode, so that one file remains. While somebody reads, those beside it stay until the last reader goes."""
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


def open_to_read(path: Path) -> sqlite3.Connection:
    """A trace that may still be growing. Raises TraceError, or InputError if there is no such file."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    if head != _MAGIC:
        raise TraceError(f"{path} is empty" if not head else f"{path} is not a trace of pvtrace")
    if path.with_name(path.name + "-journal").exists():
        _recover(path)
    with reading(path):
        try:
            return _open_and_check(path, size)
        except sqlite3.OperationalError as error:
            # A recorder that was killed may leave work that only a writer can do, and a reader may not.
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
        _recover(path)
        return _open_and_check(path, size)


def _open_and_check(path: Path, size: int) -> sqlite3.Connection:
    with offered():
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro",
            uri=True,
            timeout=LOCK_WAIT,
            isolation_level=None,
            check_same_thread=False,  # one walk may be shared by two threads that take turns
        )
    try:
        _check(connection, path, size)
    except BaseException:
        connection.close()
        raise
    return connection


def _recover(path: Path) -> None:
    """Finish what a recorder left that was killed in the middle: roll a change back, or find the end of its log."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(path, timeout=LOCK_WAIT)) as writer,
    ):
        writer.execute("PRAGMA user_version").fetchone()


def _check(connection: sqlite3.Connection, path: Path, size: int) -> None:
    def pragma(name: str) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    if pragma("application_id") != APPLICATION:
        raise TraceError(f"{path} is a SQLite database, but not a trace of pvtrace")
    if (generation := pragma("user_version")) != GENERATION:
        raise TraceError(
            f"{path} is a trace of generation {generation}, but this pvtrace reads generation {GENERATION} alone"
        )
    pages, page_size = pragma("page_count"), pragma("page_size")
    if not isinstance(pages, int) or not isinstance(page_size, int):
        raise TraceError(f"{path} is damaged: SQLite does not know its size")
    if pragma("journal_mode") != "wal" and size < pages * page_size:
        raise TraceError(f"{path} is truncated: it has {size:,} of {pages * page_size:,} bytes")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong while rows are read and understood means that the trace is damaged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise TraceError(f"{path} is locked by another program") from None
        raise TraceError(f"{path} is damaged or not a whole trace: {_reason(error)}") from None
    except sqlite3.Error as error:
        raise TraceError(f"{path} is damaged: {_reason(error)}") from None
    except (ValueError, TypeError, KeyError, LookupError, OverflowError, AttributeError) as error:
        raise TraceError(f"{path} is damaged: a row cannot be understood ({_reason(error)})") from None


@contextlib.contextmanager
def asking(path: Path) -> Iterator[None]:
    """For SQL that people wrote: what SQLite does not understand is theirs, the rest is `reading`'s."""
    with reading(path):
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UsageError(f"this SQL cannot be run on {path}: {_reason(error)}") from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """SQLite's complaints while writing, as sentences."""
    try:
        yield
    except sqlite3.Error as error:
        reason = "the disk is full" if "is full" in str(error) else _reason(error)
        raise PvtraceError(f"cannot write {path}: {reason}") from None


def _reason(error: Exception) -> str:
    """In one line: SQLite may quote a damaged schema, which is long."""
    return ascii(str(error).partition("\n")[0])[1:-1]
