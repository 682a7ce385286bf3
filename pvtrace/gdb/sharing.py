"""One walk that a terminal UI and gdb share: they take turns, and each is told when the other has moved.

gdb is served by a thread of its own. Whoever holds the turn may run the machine and look at it; nobody else may.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from gdbstub.server import Server
from gdbstub.target import Interrupted
from pvtrace.gdb.address import attach_words
from pvtrace.gdb.serve import listening
from pvtrace.gdb.target import RecordingTarget
from pvtrace.session.commands import Commands
from pvtrace.session.explore import Walk


class Shared:
    """`moved` is called, by gdb's thread and outside any turn, when gdb has moved the walk."""

    def __init__(self, walk: Walk, commands: Commands, moved: Callable[[], None]) -> None:
        self._timeline = walk.timeline
        self._moved = moved
        self._lock = threading.RLock()
        self._running = False
        self._interrupt = False
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._target = RecordingTarget(walk, commands, lambda _: None)
        self._target.around = self._around

    # ------------------------------------------------------------------ for the terminal UI

    @property
    def running(self) -> bool:
        """Whether gdb runs the machine now; a turn would have to wait."""
        return self._running

    def interrupt(self) -> None:
        """Stop gdb's run, as Ctrl-C in gdb would."""
        self._interrupt = True

    @contextlib.contextmanager
    def turn(self, wait: bool = True) -> Iterator[bool]:
        """Hold it to run the machine or to look at it. Without `wait`, False if gdb has it.

        If the walk stands elsewhere when the turn ends, gdb is told before it goes on.
        """
        if not self._lock.acquire(blocking=wait):
            yield False
            return
        try:
            before = self._place()
            yield True
            if self._place() != before:
                self._target.moved_elsewhere()
        finally:
            self._lock.release()

    def listen(self, host: str, port: int) -> str:
        """Serve gdb from now on; returns the command to paste. Raises UsageError if nobody can listen there."""
        self._server = listening(host, port)
        self._thread = threading.Thread(target=self._serve, args=(self._server,), name="gdb", daemon=True)
        self._thread.start()
        return attach_words(*self._server.address)

    def close(self) -> None:
        """gdb is no longer served. Not from within a turn: gdb's thread may be waiting for one."""
        if self._server is None or self._thread is None:
            return
        self._interrupt = True
        self._server.close()
        self._thread.join()
        self._server = None

    # ------------------------------------------------------------------ for gdb

    def _serve(self, server: Server) -> None:
        server.serve(self._target, turn=self._gdbs_turn)

    @contextlib.contextmanager
    def _gdbs_turn(self) -> Iterator[None]:
        with self._lock:
            before = self._place()
            try:
                yield
            finally:
                moved = self._place() != before
        if moved:
            self._moved()

    @contextlib.contextmanager
    def _around(self, interrupted: Interrupted) -> Iterator[Interrupted]:
        """Around each run of gdb's."""
        self._running, self._interrupt = True, False
        try:
            yield lambda: self._interrupt or interrupted()
        finally:
            self._running = False

    def _place(self) -> tuple[int, int | None]:
        return self._timeline.here, self._timeline.branched_at
