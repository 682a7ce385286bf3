"""The thread that owns the walk: it does one piece of work after the other, so that the screen never waits.

Of several places that were asked for, only the last one counts: a seek that was overtaken is given up. Whoever else
moves in the same walk (gdb) takes turns with it, see Turns.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Final, Protocol

from pvtrace.model.errors import PvtraceError
from pvtrace.model.step import Step
from pvtrace.session.commands import Commands
from pvtrace.session.explore import Walk, exploring
from pvtrace.tui.effects import (
    Find,
    FindCode,
    Finish,
    Follow,
    Go,
    LastWrite,
    Perform,
    Query,
    Refresh,
    Seek,
    SeekName,
    SeekTime,
    StepOver,
    Work,
)
from pvtrace.tui.errands import Errands
from pvtrace.tui.messages import Doing, Failed, Message, Said
from pvtrace.tui.picture import Wanted
from pvtrace.tui.record import Voice

PATIENCE: Final = 0.15
"""Seconds that something may take before it is said."""

NAMES: Final[dict[type[Work], str]] = {
    Seek: "going there",
    SeekTime: "looking for the time",
    SeekName: "running on",
    StepOver: "stepping over",
    Finish: "running out of the function",
    Go: "continuing",
    LastWrite: "looking for the last write",
    Perform: "working",
    Query: "asking",
    Find: "searching",
    FindCode: "searching",
}
"""What work is called while it takes long."""


class Turns(Protocol):
    """A walk that somebody else moves in as well; see pvtrace.gdb.sharing."""

    def turn(self, wait: bool = True) -> AbstractContextManager[bool]:
        """Held while the machine runs or is looked at. Without `wait` it gives False if the other one has it."""
        ...

    def interrupt(self) -> None:
        """Stop what the other one runs."""
        ...

    def close(self) -> None: ...


class Alone:
    """Nobody else is there."""

    def turn(self, wait: bool = True) -> AbstractContextManager[bool]:
        del wait
        return nullcontext(True)

    def interrupt(self) -> None: ...
    def close(self) -> None: ...


Share = Callable[[Walk, Commands, Callable[[], None], Callable[[str], None]], Turns]
"""Makes the turns of a walk. It is given what is to be called when the other one has moved, and with what there is to
say of it."""


def alone(_walk: Walk, _commands: Commands, _moved: Callable[[], None], _say: Callable[[str], None]) -> Turns:
    return Alone()


def queued(queue: Iterable[tuple[Work, Wanted]], work: Work, wanted: Wanted) -> Iterator[tuple[Work, Wanted]]:
    """The queue with this behind it. A seek makes the seeks and pictures before it needless; a picture those before it,
    and it stands for what they stood for."""
    wish = 0
    for earlier, its in queue:
        if isinstance(earlier, Refresh) and isinstance(work, Refresh):
            wish = max(wish, earlier.wish)
        elif not (isinstance(work, Seek) and isinstance(earlier, Seek | Refresh)):
            yield earlier, its
    yield (Refresh(max(wish, work.wish)) if isinstance(work, Refresh) else work), wanted


class Worker:
    """`post` is called from the worker's thread, and must hand the message to the screen's; `broken` is told of what
    must not happen."""

    def __init__(
        self,
        path: Path,
        voice: Voice,
        post: Callable[[Message], None],
        broken: Callable[[Exception], None],
        share: Share = alone,
    ) -> None:
        self._broken = broken
        self._path = path
        self._voice = voice
        self._post = post
        self._share = share
        self._queue: deque[tuple[Work, Wanted]] = deque()
        self._changed = threading.Condition()
        self._current: Work | None = None
        self._stop = False
        self._closed = False
        self._follow = True
        self._own = Step(0)
        self._wanted = Wanted()
        self._said = 0.0
        self._turns: Turns = Alone()
        self._thread = threading.Thread(target=self._run, name="walk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    # ------------------------------------------------------------------ from the screen's thread

    def submit(self, work: Work, wanted: Wanted) -> None:
        with self._changed:
            self._queue = deque(queued(self._queue, work, wanted))
            if isinstance(work, Seek) and isinstance(self._current, Seek):
                self._stop = True
            self._changed.notify()

    def interrupt(self) -> None:
        """Give up what is being done, and what waits."""
        with self._changed:
            self._stop = True
            given_up = [work.wish for work, _ in self._queue if isinstance(work, Seek)]
            self._queue.clear()
            if given_up:
                self._queue.append((Refresh(max(given_up)), self._wanted))
        self._turns.interrupt()

    def close(self) -> None:
        with self._changed:
            self._closed = self._stop = True
            self._queue.clear()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    # ------------------------------------------------------------------ the worker's own

    def _run(self) -> None:
        try:
            with exploring(self._path) as walk:
                commands = Commands(walk, self._voice.words)
                self._turns = self._share(walk, commands, self._moved, self._say)
                try:
                    self._work(walk, Errands(walk, commands, self._voice, self._post), self._turns)
                finally:
                    self._turns.close()
        except PvtraceError as error:
            self._post(Failed(str(error)))
        except Exception as error:
            self._broken(error)

    def _work(self, walk: Walk, errands: Errands, turns: Turns) -> None:
        walk.timeline.progress(self._progress)
        errands.bookmarks()
        while (job := self._next()) is not None:
            work, wanted = job
            with turns.turn(wait=False) as free:
                if free:
                    self._do(walk, errands, work, wanted)
            if not free:
                self._post(Doing("gdb runs the machine"))
                with turns.turn():
                    self._do(walk, errands, work, wanted)
            self._post(Doing(""))

    def _do(self, walk: Walk, errands: Errands, work: Work, wanted: Wanted) -> None:
        """With the turn. If the two do not follow each other, the other one finds the machine where it was."""
        here = walk.timeline.here
        self._said = time.monotonic() + PATIENCE
        if not self._follow:
            walk.timeline.seek(self._own)
        try:
            errands.run(work, wanted, self._interrupted)
        except PvtraceError as error:
            self._post(Said(str(error), True))
            with suppress(PvtraceError):  # wherever it stands now
                errands.run(Refresh(), wanted, self._interrupted)
        self._own = walk.timeline.here
        if not self._follow:
            walk.timeline.seek(here)

    def _next(self) -> tuple[Work, Wanted] | None:
        with self._changed:
            self._current = None
            while not self._queue and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            work, wanted = self._queue.popleft()
            self._current, self._wanted, self._stop = work, wanted, False
            if isinstance(work, Follow):
                self._follow = work.on
            return work, wanted

    def _interrupted(self) -> bool:
        self._tell(None)
        return self._stop

    def _progress(self, step: Step) -> None:
        self._tell(step)

    def _tell(self, step: Step | None) -> None:
        """What takes long is said, and then now and again how far it has come."""
        now = time.monotonic()
        if now >= self._said and self._current is not None:
            self._said = now + PATIENCE
            self._post(Doing(NAMES.get(type(self._current), "working"), step))

    def _say(self, text: str) -> None:
        self._post(Said(text))

    def _moved(self) -> None:
        """The other one has moved in the walk: look where it is."""
        if self._follow:
            self.submit(Refresh(), self._wanted)
