"""Makes a new trace, which explains itself: its tables describe the kinds of events, inputs and calls in it."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pvtrace.model.errors import InputError
from pvtrace.model.events import KINDS
from pvtrace.model.inputs import INPUT_DOC
from pvtrace.model.words import ATTEMPT, FLAG, HOW, MODE, OUTCOME, RETURN_BY
from pvtrace.store.database import APPLICATION, LOCK_WAIT, beside, script, writing
from pvtrace.store.direct import offered
from pvtrace.store.meta import GENERATION
from pvtrace.store.rows import Value
from pvtrace.x86.exceptions import EXCEPTIONS
from rom.abi import Generation, calls, unified


def claim(path: Path, *, overwrite: bool) -> Path:
    """An empty draft beside the trace that is to be, from which `create` makes it.

    Raises InputError if it cannot be written there or, without `overwrite`, if there is such a file.
    """
    if path.exists():
        if not path.is_file():
            raise InputError(f"cannot write {path}: it is not a regular file")
        if not overwrite:
            raise InputError(f"{path} exists already")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with _said(path):
        os.close(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666))
    return draft


def create(
    draft: Path, path: Path, fill: Callable[[sqlite3.Connection], None], *, overwrite: bool
) -> sqlite3.Connection:
    """A new trace with its description and what `fill` puts in, ready to grow.

    It appears under its name only when it is whole, so that a trace that exists can be opened. Raises InputError if
    its name has been taken since it was claimed, and PvtraceError if it cannot be written.
    """
    with _said(path), writing(path):
        try:
            _write(draft, fill)
            if overwrite:
                for old in beside(path):
                    old.unlink(missing_ok=True)
                draft.replace(path)
            else:
                _name(draft, path)
        finally:
            for old in (draft, *beside(draft)):
                old.unlink(missing_ok=True)
    with writing(path), offered():
        connection = sqlite3.connect(
            path,
            timeout=LOCK_WAIT,
            isolation_level=None,
            check_same_thread=False,  # a recorder's two threads take turns
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power failure may cost the last second, never the trace
    return connection


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """What the system answers, as sentences."""
    try:
        yield
    except FileExistsError:
        raise InputError(f"{path} exists already") from None
    except OSError as error:
        raise InputError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _name(draft: Path, path: Path) -> None:
    """Give the draft its name; FileExistsError if that is taken."""
    if not path.exists():
        for old in beside(path):
            old.unlink(missing_ok=True)
    try:
        os.link(draft, path)
    except PermissionError:  # a file system without hard links: claim the name first
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        draft.replace(path)


def _write(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(script("schema.sql") + script("views.sql") + script("findings.sql"))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {GENERATION}")
        for table, rows in _described():
            for row in rows:
                columns = ", ".join(row)
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {table}({columns}) VALUES ({marks})", tuple(row.values()))
        fill(connection)
        connection.commit()
        connection.execute("PRAGMA journal_mode = WAL")  # here, because a kill during this change needs a repair


def _described() -> Iterator[tuple[str, list[dict[str, Value]]]]:
    """The tables by which a trace explains itself, from the program's own."""
    yield (
        "event_kind",
        [
            {
                "id": int(kind),
                "name": info.name,
                "family": info.family,
                "doc": info.doc,
                **dict(zip("abcdef", info.columns, strict=False)),
            }
            for kind, info in KINDS.items()
        ],
    )
    yield (
        "input_kind",
        [{"id": int(kind), "name": kind.name.lower(), "doc": doc} for kind, doc in INPUT_DOC.items()],
    )
    yield (
        "vmi_call",
        [
            {
                "id": unified(generation, number),
                "generation": int(generation),
                "number": number,
                "name": call.name,
                "family": str(call.family),
                "arguments": ", ".join(str(operand) for operand in call.arguments),
                "results": ", ".join(str(operand) for operand in call.results),
                "doc": call.doc,
            }
            for generation in Generation
            for number, call in calls(generation).items()
        ],
    )
    topics: Mapping[str, Mapping[int, str]] = {
        "outcome": OUTCOME,
        "attempt": ATTEMPT,
        "how": HOW,
        "return_by": RETURN_BY,
        "flag": FLAG,
        "mode": MODE,
        "vector": {exception.vector: exception.mnemonic for exception in EXCEPTIONS},
    }
    yield (
        "word",
        [
            {"topic": topic, "value": int(value), "word": word}
            for topic, words in topics.items()
            for value, word in words.items()
        ],
    )
