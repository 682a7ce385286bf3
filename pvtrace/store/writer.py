"""A trace while it is recorded. Rows go in by batches; each transaction leaves a prefix that replays by itself."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from pvtrace.model.digest import Mark, digest, whole_digest, with_event, with_input
from pvtrace.model.errors import PvtraceError
from pvtrace.model.events import Event
from pvtrace.model.inputs import Input
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import RESET, Step
from pvtrace.model.stops import Stop
from pvtrace.store import database
from pvtrace.store.meta import Meta, meta_rows
from pvtrace.store.pages import pack
from pvtrace.store.rows import (
    INSERT_CHECKPOINT,
    INSERT_EVENT,
    INSERT_INPUT,
    Checkpoint,
    SourceLine,
    Symbol,
    TraceFile,
    Value,
    checkpoint_row,
    event_row,
    input_row,
)

BATCH: Final = 4096
"""Events after which rows are committed even without a checkpoint: the most that a kill can cost."""

INDEX_BYTES: Final = 28
"""What the indexes add for each event when the recording ends, rounded up."""


class TraceFull(PvtraceError):
    """The trace has reached the size that it may have. Everything until here is in it, and it can be finished."""


class TraceWriter:
    """Creates the trace at once, with what the machine was given.

    Raises InputError if it cannot be created, and PvtraceError, at any later moment, if it cannot be written (a full
    disk): what was committed until then remains a valid trace. With `max_size` (bytes of the finished file) TraceFull
    is raised by the first commit at which that size is reached.

    Steps never go back; everything of one step is handed over before anything of the next.
    """

    def __init__(
        self,
        path: Path,
        meta: Meta,
        files: Iterable[TraceFile] = (),
        symbols: Iterable[Symbol] = (),
        lines: Iterable[SourceLine] = (),
        *,
        overwrite: bool = False,
        max_size: int | None = None,
        batch: int = BATCH,
    ) -> None:
        given = tuple(files)

        def fill(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT INTO meta(key, value) VALUES (?, ?)", [*meta_rows(meta), *_about(given)])
            connection.execute(
                "INSERT INTO progress(id, step, inputs, events, input_digest, event_digest) VALUES (1, ?, ?, ?, ?, ?)",
                (RESET, *Mark()),
            )
            for file in given:
                name, _ = _store_blob(connection, file.data)
                sha256 = hashlib.sha256(file.data).hexdigest()
                connection.execute(
                    "INSERT INTO file(role, name, sha256, hash) VALUES (?, ?, ?, ?)",
                    (file.role, file.name, sha256, name),
                )
            connection.executemany(
                "INSERT OR IGNORE INTO symbol(name, address, size, source) VALUES (?, ?, ?, ?)", symbols
            )
            _store_lines(connection, lines)

        self._path = path
        self._connection = database.create(path, fill, overwrite=overwrite)
        self._max_size = max_size
        self._batch = batch
        self._inputs: list[Input] = []
        self._events: list[Event] = []
        self._mark = Mark()
        self._committed = RESET
        self._newest = RESET
        self._broken = False
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        return self._path

    @property
    def mark(self) -> Mark:
        """How much is committed, with digests; after `checkpoint` and `finish` that is everything."""
        return self._mark

    @property
    def events(self) -> int:
        """Events seen so far."""
        return self._mark.events + len(self._events)

    @property
    def inputs(self) -> int:
        """Inputs seen so far."""
        return self._mark.inputs + len(self._inputs)

    @property
    def reached(self) -> Step:
        """The last step of which everything is certainly here, also if the machine was stopped halfway through one."""
        return Step(max(self._committed, self._newest - 1))

    @property
    def size(self) -> int:
        """Bytes of the trace as it is committed, without the indexes that `finish` adds."""
        with database.writing(self._path):
            pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
            return int(pages * self._connection.execute("PRAGMA page_size").fetchone()[0])

    def input(self, item: Input) -> None:
        """This came from outside."""
        self._advance(item.step)
        self._inputs.append(item)

    def event(self, event: Event) -> None:
        """The machine did this."""
        self._advance(event.step)
        self._events.append(event)

    def _advance(self, step: Step) -> None:
        if step == self._newest:
            return
        if step < self._newest:
            raise ValueError(f"step {step} after step {self._newest}")
        if len(self._events) >= self._batch:
            self._commit(Step(step - 1))
            self._check_size()
        self._newest = step

    def progress(self, step: Step) -> None:
        """The machine stands at `step`: commit everything, so that readers see it."""
        self._commit(step)
        self._check_size()

    def checkpoint(self, snapshot: Snapshot) -> Checkpoint:
        """Commit everything together with a place to come back to."""
        self._newest = max(self._newest, snapshot.step)
        with self._transaction():
            mark = self._insert(snapshot.step)
            checkpoint = self._insert_checkpoint(snapshot, mark)
        self._forget(snapshot.step, mark)
        self._check_size()
        return checkpoint

    def finish(self, stop: Stop, snapshot: Snapshot | None = None) -> Checkpoint | None:
        """The end: one file with its indexes remains. `snapshot`: the state at stop.step, from which its digest comes.

        Events and inputs after stop.step, of a step that did not complete, are dropped.
        """
        if stop.step < self._committed or (snapshot is not None and snapshot.step != stop.step):
            raise ValueError(f"the recording cannot end at step {stop.step}")
        with self._transaction():
            mark = self._insert(stop.step)
            checkpoint = None if snapshot is None else self._insert_checkpoint(snapshot, mark)
            self._connection.execute(
                "INSERT INTO ending(id, step, why, code, detail, digest) VALUES (1, ?, ?, ?, ?, ?)",
                (stop.step, stop.why.value, stop.code, stop.detail, checkpoint and checkpoint.digest),
            )
        self._forget(stop.step, mark)
        self._inputs.clear()
        self._events.clear()
        with self._transaction():
            for statement in database.script("indexes.sql").split(";"):
                self._connection.execute(statement)
            self._connection.execute("UPDATE meta SET value = 1 WHERE key = 'finished'")
        self.close()
        return checkpoint

    def close(self) -> None:
        """Without `finish`: what is complete is committed, and the trace remains a valid prefix. May be repeated."""
        if not self._open:
            return
        try:
            if self.reached > self._committed and not self._broken:
                self._commit(self.reached)
        finally:
            self._open = False
            database.close_as_one_file(self._connection)

    def _commit(self, step: Step) -> None:
        with self._transaction():
            mark = self._insert(step)
        self._forget(step, mark)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        if not self._open:
            raise PvtraceError(f"cannot write {self._path}: it is closed")
        with database.writing(self._path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException as error:
                self._broken = isinstance(error, sqlite3.Error)
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _insert(self, step: Step) -> Mark:
        """Insert what was collected up to and with `step`; the rest, of a step still going on, stays."""
        inputs, events, input_digest, event_digest = self._mark
        given = _until(step, self._inputs)
        done = _until(step, self._events)
        self._connection.executemany(INSERT_INPUT, (input_row(seq, item) for seq, item in enumerate(given, inputs)))
        self._connection.executemany(INSERT_EVENT, (event_row(seq, event) for seq, event in enumerate(done, events)))
        for item in given:
            input_digest = with_input(input_digest, item)
        for event in done:
            event_digest = with_event(event_digest, event)
        mark = Mark(inputs + len(given), events + len(done), input_digest, event_digest)
        self._connection.execute(
            "UPDATE progress SET step = ?, inputs = ?, events = ?, input_digest = ?, event_digest = ?", (step, *mark)
        )
        return mark

    def _forget(self, step: Step, mark: Mark) -> None:
        """After the commit: what is in the file is no longer needed here."""
        del self._inputs[: mark.inputs - self._mark.inputs]
        del self._events[: mark.events - self._mark.events]
        self._mark = mark
        self._committed = step

    def _insert_checkpoint(self, snapshot: Snapshot, mark: Mark) -> Checkpoint:
        step, ram_digest = snapshot.step, snapshot.ram_digest
        state, _ = _store_blob(self._connection, snapshot.state)
        checkpoint = Checkpoint(step, mark, state, ram_digest, whole_digest(step, state, ram_digest, mark))
        self._connection.execute(INSERT_CHECKPOINT, checkpoint_row(checkpoint))
        self._connection.executemany(
            "INSERT OR REPLACE INTO checkpoint_page(page, step, blob) VALUES (?, ?, ?)",
            [(page, step, _store_blob(self._connection, data)[1]) for page, data in sorted(snapshot.pages.items())],
        )
        return checkpoint

    def _check_size(self) -> None:
        if self._max_size is not None and self.size + INDEX_BYTES * self._mark.events >= self._max_size:
            raise TraceFull(f"{self._path} has reached its largest size of {self._max_size:,} bytes")


T = TypeVar("T", Event, Input)


def _until(step: Step, items: list[T]) -> list[T]:
    """Those up to and with `step`; they come in order."""
    count = len(items)
    while count and items[count - 1].step > step:
        count -= 1
    return items[:count]


def _store_blob(connection: sqlite3.Connection, plain: bytes) -> tuple[bytes, int]:
    """Its name and its row; equal bytes are stored once."""
    name = digest(plain)
    row = connection.execute("SELECT id FROM blob WHERE hash = ?", (name,)).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO blob(hash, size, codec, bytes) VALUES (?, ?, ?, ?) RETURNING id", pack(plain, name)
        ).fetchone()
    return name, int(row[0])


def _store_lines(connection: sqlite3.Connection, lines: Iterable[SourceLine]) -> None:
    files: dict[str, int] = {}
    rows = [(line.address, files.setdefault(line.file, len(files)), line.line) for line in lines]
    connection.executemany("INSERT INTO source_file(name, id) VALUES (?, ?)", files.items())
    connection.executemany("INSERT OR IGNORE INTO source_line(address, file, line) VALUES (?, ?, ?)", rows)


def _about(files: Iterable[TraceFile]) -> Iterator[tuple[str, Value]]:
    """Rows of meta beside those of Meta: whether it is finished and, for people, the files by SHA-256."""
    yield "finished", 0
    numbers: dict[str, int] = {}
    for file in files:
        number = numbers[file.role] = numbers.get(file.role, 0) + 1
        key = file.role if number == 1 else f"{file.role}.{number}"
        yield f"{key}.name", file.name
        yield f"{key}.sha256", hashlib.sha256(file.data).hexdigest()
