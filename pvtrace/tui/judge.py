"""The thread that judges the recording, if it was not judged yet: a run of its own, beside the worker's walk."""

import threading
from collections.abc import Callable
from pathlib import Path

from pvtrace.model.errors import PvtraceError
from pvtrace.model.step import Step
from pvtrace.session.judging import judged
from pvtrace.session.observer import Nobody
from pvtrace.tui.messages import Judged, Judging, Message, Unjudged


class _Leaving(Exception):
    """The program ends: nobody waits for the judgement."""


class _Watching(Nobody):
    """Tells how far it has come, and ends it when the program does."""

    def __init__(self, post: Callable[[Message], None], closed: Callable[[], bool]) -> None:
        self._post = post
        self._closed = closed

    def progress(self, steps: int, events: int, size: int) -> None:
        del events, size
        if self._closed():
            raise _Leaving
        self._post(Judging(Step(steps)))


class JudgeThread:
    """`post` and `broken` are called from its thread; see Worker."""

    def __init__(self, path: Path, post: Callable[[Message], None], broken: Callable[[Exception], None]) -> None:
        self._broken = broken
        self._path = path
        self._post = post
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """What was found so far is given up; the recording is as it was."""
        self._closed.set()

    def _run(self) -> None:
        try:
            self._post(Judged(judged(self._path, _Watching(self._post, self._closed.is_set))))
        except _Leaving:
            pass
        except PvtraceError as error:
            self._post(Unjudged(f"divergences cannot be told: {error}"))
        except Exception as error:
            self._broken(error)
