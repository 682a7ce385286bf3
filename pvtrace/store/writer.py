"""A trace while it is recorded.

A thread of its own creates it and writes the inputs and events, which are gathered by batches (store.transactions),
while the guest runs on; few at a time, so that memory is bounded and errors are soon told.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pvtrace.model.digest import Mark
from pvtrace.model.errors import PvtraceError
from pvtrace.model.events import Event
from pvtrace.model.inputs import Input
from pvtrace.model.packed import Packed, pack
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import NEVER, RESET, Step
from pvtrace.model.stops import Stop
from pvtrace.store import creation
from pvtrace.store.contents import Contents
from pvtrace.store.gathering import Gathering
from pvtrace.store.rows import Checkpoint
from pvtrace.store.transactions import Job, Transactions

BATCH: Final = 2048
"""Events after which rows are written even without a checkpoint, if nothing is being written at that moment."""

BACKLOG: Final = 16
"""Batches after which they are handed over whatever is being written at that moment."""

QUEUE: Final = 10
"""Jobs that may wait for being written, or be written, before the guest has to. What a kill can cost at most is as many
backlogs and one more, and what the CPU has answered since it last stopped."""

INDEX_BYTES: Final = 14
"""What the indexes add for each event when the recording ends, rounded up."""


class TraceFull(PvtraceError):
    """The trace has reached the size that it may have. Everything until here is in it, and it can be finished."""


class TraceWriter:
    """Claims the trace's name at once, and creates the trace, with what the machine was given, in its thread.

    Raises InputError if it cannot be created, and PvtraceError, at any later moment, if it cannot be written (a full
    disk): what was committed until then remains a valid trace. With `max_size` (bytes of the finished file) TraceFull
    is raised by the first commit at which that size is reached.

    Steps never go back; everything of one step is handed over before anything of the next.
    """

    def __init__(
        self,
        path: Path,
        contents: Contents,
        *,
        overwrite: bool = False,
        max_size: int | None = None,
        batch: int = BATCH,
        backlog: int = BACKLOG,
    ) -> None:
        draft = creation.claim(path, overwrite=overwrite)

        def created() -> Transactions:
            return Transactions(path, creation.create(draft, path, contents.fill, overwrite=overwrite))

        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._file = self._thread.submit(created)
        self._writing: deque[Future[Checkpoint | None]] = deque()
        self._max_size = max_size
        self._batch, self._most = batch, batch * backlog
        self._gathered = Gathering()
        self._waiting = 0  # events in it, but for one that Ctrl-C came upon
        self._handed_over = RESET
        self._newest = RESET
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
        """How much is committed, with digests; after `progress`, `checkpoint` and `finish` that is everything."""
        self._wait()
        return self._file.result().mark

    @property
    def events(self) -> int:
        """Events seen so far."""
        return self._gathered.first_event + self._gathered.until(NEVER).total

    @property
    def inputs(self) -> int:
        """Inputs seen so far."""
        return self._gathered.first_input + len(self._gathered.inputs)

    @property
    def reached(self) -> Step:
        """The last step of which everything is certainly here, also if the machine was stopped halfway through one."""
        return Step(max(self._handed_over, self._newest - 1))

    @property
    def size(self) -> int:
        """Bytes of the trace as far as it is committed by now, without the indexes that `finish` adds."""
        return self._file.result().size if self._file.done() else 0

    def input(self, item: Input) -> None:
        """This came from outside."""
        self._advance(item.step)
        self._gathered.inputs.append(item)

    def event(self, event: Event) -> None:
        """The machine did this."""
        if event.step != self._newest:
            self._advance(event.step)
        self._gathered.events.append(Packed(pack(event), 1, event.step, event.step))
        self._waiting += 1

    def many(self, events: Packed) -> None:
        """It did these."""
        self._advance(events.first)
        self._gathered.events.append(events)
        self._waiting += events.total
        self._newest = events.last

    def _advance(self, step: Step) -> None:
        if step == self._newest:
            return
        if step < self._newest:
            raise ValueError(f"step {step} after step {self._newest}")
        if self._waiting >= self._batch and (self._idle or self._waiting >= self._most):
            self._hand_over(Step(step - 1))
            self._check_size()
        self._newest = step

    def take_back(self, step: Step) -> None:
        """What was handed over of the steps behind this one has not happened after all. Raises ValueError if some of it
        is committed already."""
        if step < self._handed_over:
            raise ValueError(f"step {self._handed_over} is committed already")
        self._gathered = Gathering.of(self._gathered.until(step))
        self._newest = step

    def progress(self, step: Step) -> None:
        """The machine stands at `step`: commit everything, so that readers see it."""
        self._hand_over(step)
        self._wait()
        self._check_size()

    def checkpoint(self, snapshot: Snapshot) -> Checkpoint:
        """Commit everything together with a place to come back to."""
        self._newest = max(self._newest, snapshot.step)
        self._hand_over(snapshot.step, snapshot)
        checkpoint = self._wait()
        assert checkpoint is not None, "the last job was to make one"
        self._check_size()
        return checkpoint

    def checkpoint_soon(self, snapshot: Snapshot) -> None:
        """The same, but it need not be committed when this returns; an error is raised by what is called next."""
        self._newest = max(self._newest, snapshot.step)
        self._hand_over(snapshot.step, snapshot)
        self._check_size()

    def finish(self, stop: Stop, snapshot: Snapshot | None = None) -> Checkpoint | None:
        """The end: one file with its indexes remains. `snapshot`: the state at stop.step, from which its digest comes.

        Events and inputs after stop.step, of a step that did not complete, are dropped.
        """
        if stop.step < self._handed_over or (snapshot is not None and snapshot.step != stop.step):
            raise ValueError(f"the recording cannot end at step {stop.step}")
        self._hand_over(stop.step, snapshot, stop)
        checkpoint = self._wait()
        self._gathered = Gathering(self._gathered.first_input, self._gathered.first_event)
        self._file.result().finish()
        self.close()
        return checkpoint

    def close(self) -> None:
        """Without `finish`: what is complete is committed, and the trace remains a valid prefix. May be repeated."""
        if not self._open:
            return
        try:
            if self.reached > self._handed_over:
                self._hand_over(self.reached)
            self._wait()
            self._file.result()
        finally:
            self._open = False
            self._thread.shutdown()
            if self._file.exception() is None:
                self._file.result().close()

    def _hand_over(self, step: Step, snapshot: Snapshot | None = None, stop: Stop | None = None) -> None:
        """Have what was collected up to and with `step` written; the rest, of a step still going on, stays.

        Ctrl-C may come between any two lines: what is then handed over again is known by its numbers.
        """
        if not self._open:
            raise PvtraceError(f"cannot write {self._path}: it is closed")
        while self._writing and (self._writing[0].done() or len(self._writing) >= QUEUE):
            self._writing.popleft().result()
        complete = self._gathered.until(step)
        self._writing.append(self._thread.submit(self._commit, Job(step, complete, snapshot, stop)))
        self._gathered, self._waiting = self._gathered.behind(complete), 0
        self._handed_over = step

    def _commit(self, job: Job) -> Checkpoint | None:
        """In the thread, behind the trace's creation."""
        return self._file.result().commit(job)

    @property
    def _idle(self) -> bool:
        """Whether nothing is being written."""
        return not self._writing or self._writing[-1].done()

    def _wait(self) -> Checkpoint | None:
        """Until what was handed over is committed. Raises what went wrong with it, once."""
        last = None
        while self._writing:
            last = self._writing.popleft().result()
        return last

    def _check_size(self) -> None:
        """Of everything that was handed over."""
        if self._max_size is None:
            return
        self._wait()
        if self.size + INDEX_BYTES * self._gathered.first_event >= self._max_size:
            raise TraceFull(f"{self._path} has reached its largest size of {self._max_size:,} bytes")
