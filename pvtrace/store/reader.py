"""A trace as it is replayed: read-only, growing, cut short or finished. Whatever is wrong with it is a TraceError.

Nothing is held between two calls, so that a recorder is never kept waiting. What was recorded after the last commit of
a recorder that was killed does not exist here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pvtrace.model.digest import Mark, Running, input_bytes, whole_digest
from pvtrace.model.errors import TraceError
from pvtrace.model.events import Event
from pvtrace.model.inputs import Input
from pvtrace.model.packed import unpack
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import RESET, Step
from pvtrace.model.stops import Why
from pvtrace.store import database, direct, pages
from pvtrace.store.meta import Meta, row_meta
from pvtrace.store.rows import (
    CHECKPOINT_COLUMNS,
    INPUT_COLUMNS,
    Checkpoint,
    Ending,
    Progress,
    SourceLine,
    Symbol,
    TraceFile,
    Value,
    row_checkpoint,
    row_input,
)

CHUNK: Final = 4096
"""Rows that are read at a time."""


class TraceReader:
    """Opens a trace; raises InputError if there is no such file, and TraceError if it is no trace that can be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = database.open_to_read(path)
        self._direct = direct.is_direct(self._connection)
        try:
            self.meta: Meta = self._read_meta()
            self.progress()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Any]:
        """All rows of one of our own statements; for people there is store.listing."""
        with database.reading(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def _read_meta(self) -> Meta:
        rows = self.rows("SELECT key, value FROM meta")
        with database.reading(self.path):
            return row_meta(rows)

    # ------------------------------------------------------------------------------------------------ how far it goes

    def progress(self) -> Progress:
        """How far it goes by now; a recorder that is still at work moves it."""
        rows = self.rows("SELECT step, inputs, events, input_digest, event_digest FROM progress")
        if len(rows) != 1:
            raise TraceError(f"{self.path} is damaged: it does not say how far it goes")
        step, *mark = rows[0]
        return Progress(Step(step), Mark(*mark))

    def last(self) -> Step:
        """The last step that can be replayed."""
        return self.progress().step

    def ending(self) -> Ending | None:
        """None while it grows, and for ever if its recorder was killed."""
        for step, why, code, detail, digest in self.rows("SELECT step, why, code, detail, digest FROM ending"):
            with database.reading(self.path):
                return Ending(Step(step), Why(why), code, detail, digest)
        return None

    @property
    def finished(self) -> bool:
        """Whether the recorder put everything in order at the end."""
        return self.rows("SELECT value FROM meta WHERE key = 'finished'") == [(1,)]

    # ------------------------------------------------------------------------------------- what a replay is made from

    def inputs(self, since: int = 0, until: int | None = None) -> Iterator[Input]:
        """From the input with this number on, in order, to the one before `until`."""
        end = self.progress().mark.inputs if until is None else until
        for rows in self._read("input", INPUT_COLUMNS, since, end):
            with database.reading(self.path):
                items = [row_input(row) for row in rows]
            yield from items

    def events(self, since: int = 0, until: int | None = None) -> Iterator[Event]:
        """From the event with this number on, in order, to the one before `until`."""
        for data in self.packed_events(since, until):
            with database.reading(self.path):
                items = unpack(data)
            yield from items

    def packed_events(self, since: int = 0, until: int | None = None) -> Iterator[bytes]:
        """The same as bytes (model.packed), many at a time."""
        end = self.progress().mark.events if until is None else until
        while since < end:
            last = min(since + CHUNK, end)
            with database.reading(self.path):
                data = direct.read(self._connection, since, last, direct=self._direct)
            if data is None:
                raise self._missing("event", since, last)
            yield data
            since = last

    def _read(self, table: str, columns: str, since: int, end: int) -> Iterator[list[Any]]:
        """The rows `since` to `end`, none of which may be missing."""
        while since < end:
            last = min(since + CHUNK, end)
            sql = f"SELECT {columns} FROM {table} WHERE seq >= ? AND seq < ? ORDER BY seq"
            rows = self.rows(sql, (since, last))
            if len(rows) != last - since:
                raise self._missing(table, since, last)
            yield rows
            since = last

    def _missing(self, table: str, since: int, last: int) -> TraceError:
        return TraceError(f"{self.path} is damaged: an {table} between number {since} and {last - 1} is missing")

    def checkpoints(self) -> list[Checkpoint]:
        """All of them, in order, with their digests."""
        return self._checkpoints("ORDER BY step")

    def checkpoint_before(self, step: Step) -> Checkpoint | None:
        """The last one at or before `step`."""
        return next(iter(self._checkpoints("WHERE step <= ? ORDER BY step DESC LIMIT 1", step)), None)

    def _checkpoints(self, which: str, *parameters: Value) -> list[Checkpoint]:
        rows = self.rows(f"SELECT {CHECKPOINT_COLUMNS} FROM checkpoint {which}", parameters)
        with database.reading(self.path):
            return [row_checkpoint(row) for row in rows]

    def blobs_at(self, step: Step) -> dict[int, int]:
        """For each page frame that is not zero, the row of its bytes as of the last checkpoint at or before `step`."""
        # SQLite gives the other columns from the row that has the maximum
        sql = "SELECT page, blob, max(step) FROM checkpoint_page WHERE step <= ? GROUP BY page"
        return {page: blob for page, blob, _ in self.rows(sql, (step,))}

    def blob(self, row: int) -> bytes:
        """Stored bytes, checked against their name."""
        return self._unpacked("id", row)

    def _unpacked(self, column: str, key: Value) -> bytes:
        rows = self.rows(f"SELECT hash, size, codec, bytes FROM blob WHERE {column} = ?", (key,))
        if not rows:
            raise TraceError(f"{self.path} is damaged: stored bytes are missing")
        blob = pages.Blob(*rows[0])
        if column == "hash" and blob.hash != key:
            raise TraceError(f"{self.path} is damaged: stored bytes have another name")
        with database.reading(self.path):
            return pages.unpack(blob, str(self.path))

    def pages_at(self, step: Step) -> dict[int, bytes]:
        """The bytes of each page frame that is not zero, as of the last checkpoint at or before `step`."""
        return {page: self.blob(row) for page, row in self.blobs_at(step).items()}

    def pages_stored(self, step: Step) -> dict[int, bytes]:
        """The hash of each page frame that the checkpoint at `step` stores: those that changed since the one before."""
        sql = "SELECT page, hash FROM checkpoint_page JOIN blob ON blob.id = checkpoint_page.blob WHERE step = ?"
        return dict(self.rows(sql, (step,)))

    def snapshot(self, checkpoint: Checkpoint) -> Snapshot:
        """The machine at a checkpoint, with all its pages."""
        state = self._unpacked("hash", checkpoint.state)
        return Snapshot(checkpoint.step, state, self.pages_at(checkpoint.step), checkpoint.ram_digest)

    @cached_property
    def files(self) -> tuple[TraceFile, ...]:
        """Everything that was given to the machine, in the order in which it was."""
        rows = self.rows("SELECT role, name, hash FROM file ORDER BY id")
        return tuple(TraceFile(role, name, self._unpacked("hash", key)) for role, name, key in rows)

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """By address."""
        return tuple(
            Symbol(*row) for row in self.rows("SELECT name, address, size, source FROM symbol ORDER BY address")
        )

    def line_at(self, address: int) -> SourceLine | None:
        """The source line of a linear address; None if it is not known."""
        sql = (
            "SELECT address, name, line FROM source_line JOIN source_file ON id = file "
            "WHERE address <= ? ORDER BY address DESC LIMIT 1"
        )
        found = [SourceLine(*row) for row in self.rows(sql, (address,))]
        return found[0] if found and found[0].line else None

    # --------------------------------------------------------------------------------------------- is it what it was?

    def verify(self) -> None:
        """Compare every input, event, checkpoint and stored page with its digest; raises TraceError for the first one
        that is not what was recorded. Takes about as long as reading the whole file."""
        progress = self.progress()
        self._verify_lengths(progress.step)
        places = [(checkpoint.step, checkpoint.mark) for checkpoint in self.checkpoints()]
        places.append((progress.step, progress.mark))
        inputs = _digests(lambda *numbers: map(input_bytes, self.inputs(*numbers)), [mark.inputs for _, mark in places])
        events = _digests(self.packed_events, [mark.events for _, mark in places])
        before = RESET
        for (step, mark), input_digest, event_digest in zip(places, inputs, events, strict=True):
            for what, same in (
                ("input", input_digest == mark.input_digest),
                ("event", event_digest == mark.event_digest),
            ):
                if not same:
                    raise TraceError(
                        f"{self.path} was altered: an {what} between steps {before} and {step} is not what was recorded"
                    )
            before = step
        self._verify_checkpoints()
        for (row,) in self.rows("SELECT id FROM blob"):
            self.blob(row)

    def _verify_lengths(self, last: Step) -> None:
        for table in ("input", "event"):
            # in one statement, because a recorder may be at work
            sql = f"SELECT {table}s, (SELECT coalesce(max(seq) + 1, 0) FROM {table}) FROM progress"
            if any(counted != found for counted, found in self.rows(sql)):
                raise TraceError(f"{self.path} was altered: it does not have as many {table}s as were recorded")
        ending = self.ending()
        if ending is not None and ending.step != last:
            raise TraceError(f"{self.path} was altered: its end is not where the recording ended")

    def _verify_checkpoints(self) -> None:
        wanted: bytes | None = None
        for step, mark, state, ram_digest, digest in self.checkpoints():
            wanted = whole_digest(step, state, ram_digest, mark)
            if wanted != digest:
                raise TraceError(f"{self.path} was altered: the checkpoint at step {step} does not match its digest")
        ending = self.ending()
        if ending and ending.digest is not None and ending.digest != wanted:
            raise TraceError(f"{self.path} was altered: its end does not have the digest of its last checkpoint")
        _ = self.files


def _digests(items: Callable[[int, int], Iterable[bytes]], counts: Sequence[int]) -> Iterator[bytes]:
    """The digest of the first n items, for each n of `counts`, which do not go down in a trace that is whole. `items`:
    the bytes of those from one number to before another."""
    running, seen = Running(), 0
    for count in counts:
        for data in items(seen, max(seen, count)):
            running.add((data,))
        seen = count
        yield running.value
