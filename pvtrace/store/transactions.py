"""What a recorder does to the file of its trace: one transaction after the other, each of which leaves a prefix that
replays by itself. Called by one thread at a time, which need not be the recorder's (store.writer)."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from pvtrace.model.digest import Mark, Running, digest, input_bytes, whole_digest
from pvtrace.model.inputs import Input
from pvtrace.model.packed import skip
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop
from pvtrace.store import database
from pvtrace.store.direct import insert, is_direct
from pvtrace.store.gathering import Gathered
from pvtrace.store.pages import pack
from pvtrace.store.rows import (
    INSERT_CHECKPOINT,
    INSERT_INPUT,
    Checkpoint,
    checkpoint_row,
    input_row,
)

ASKED_AT_ONCE: Final = 500
"""Blobs by their names; SQLite takes no more than 999 parameters everywhere."""


class Job(NamedTuple):
    """One transaction: what was gathered up to and with `step` completes the trace until there. `snapshot`: a
    checkpoint to be made there; `stop`: the recording ends there."""

    step: Step
    gathered: Gathered
    snapshot: Snapshot | None = None
    stop: Stop | None = None


class Transactions:
    """`mark`: what is committed; `size`: bytes of the trace then, without the indexes that `finish` adds.

    After an error of SQLite it is `broken` and commits nothing more.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._direct = is_direct(connection)
        self._inputs, self._events = Running(), Running()
        self.mark = Mark()
        self.size = self._measured()
        self.broken = False

    def commit(self, job: Job) -> Checkpoint | None:
        """What of a job is committed already is passed over. Returns the checkpoint, if it was to make one."""
        if self.broken:
            return None
        gathered = job.gathered
        given = gathered.inputs[self.mark.inputs - gathered.first_input :]
        packed = b"".join(run.data for run in gathered.events)
        done = packed[skip(packed, 0, self.mark.events - gathered.first_event) :]
        inputs = self._inputs.copy().add(map(input_bytes, given))
        events = self._events.copy().add((done,))
        mark = Mark(self.mark.inputs + len(given), gathered.first_event + gathered.total, inputs.value, events.value)
        checkpoint = None
        with self._transaction():
            self._insert(given, done)
            self._connection.execute(
                "UPDATE progress SET step = ?, inputs = ?, events = ?, input_digest = ?, event_digest = ?",
                (job.step, *mark),
            )
            if job.snapshot is not None:
                checkpoint = self._insert_checkpoint(job.snapshot, mark)
            if job.stop is not None:
                self._insert_ending(job.stop, checkpoint)
        self.mark, self._inputs, self._events = mark, inputs, events
        self.size = self._measured()
        return checkpoint

    def finish(self) -> None:
        """Make the indexes, and say that everything is in order."""
        with self._transaction():
            for statement in database.script("indexes.sql").split(";"):
                self._connection.execute(statement)
            self._connection.execute("UPDATE meta SET value = 1 WHERE key = 'finished'")

    def close(self) -> None:
        """One file remains."""
        database.close_as_one_file(self._connection)

    def _measured(self) -> int:
        with database.writing(self._path):
            pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
            return int(pages * self._connection.execute("PRAGMA page_size").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with database.writing(self._path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException as error:
                self.broken = isinstance(error, sqlite3.Error)
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _insert(self, given: Sequence[Input], done: bytes) -> None:
        inputs = (input_row(seq, item) for seq, item in enumerate(given, self.mark.inputs))
        self._connection.executemany(INSERT_INPUT, inputs)
        insert(self._connection, self.mark.events, done, direct=self._direct)

    def _insert_checkpoint(self, snapshot: Snapshot, mark: Mark) -> Checkpoint:
        step, ram_digest = snapshot.step, snapshot.ram_digest
        state, _ = store_blob(self._connection, snapshot.state)
        checkpoint = Checkpoint(step, mark, state, ram_digest, whole_digest(step, state, ram_digest, mark))
        self._connection.execute(INSERT_CHECKPOINT, checkpoint_row(checkpoint))
        pages = sorted(snapshot.pages.items())
        blobs = store_blobs(self._connection, [data for _, data in pages])
        self._connection.executemany(
            "INSERT OR REPLACE INTO checkpoint_page(page, step, blob) VALUES (?, ?, ?)",
            [(page, step, row) for (page, _), (_, row) in zip(pages, blobs, strict=True)],
        )
        return checkpoint

    def _insert_ending(self, stop: Stop, checkpoint: Checkpoint | None) -> None:
        self._connection.execute(
            "INSERT INTO ending(id, step, why, code, detail, digest) VALUES (1, ?, ?, ?, ?, ?)",
            (stop.step, stop.why.value, stop.code, stop.detail, checkpoint and checkpoint.digest),
        )


def store_blobs(connection: sqlite3.Connection, plain: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """The name and the row of each; equal bytes are stored once."""
    names = [digest(each) for each in plain]
    rows: dict[bytes, int] = {}
    for start in range(0, len(names), ASKED_AT_ONCE):
        asked = names[start : start + ASKED_AT_ONCE]
        marks = ", ".join("?" * len(asked))
        rows.update(connection.execute(f"SELECT hash, id FROM blob WHERE hash IN ({marks})", asked))
    new = {name: each for name, each in zip(names, plain, strict=True) if name not in rows}
    (first,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM blob").fetchone()
    connection.executemany(
        "INSERT INTO blob(id, hash, size, codec, bytes) VALUES (?, ?, ?, ?, ?)",
        ((row, *pack(each, name)) for row, (name, each) in enumerate(new.items(), first)),
    )
    rows.update(zip(new, count(first), strict=False))
    return [(name, rows[name]) for name in names]


def store_blob(connection: sqlite3.Connection, plain: bytes) -> tuple[bytes, int]:
    """Of a single one."""
    return store_blobs(connection, [plain])[0]
