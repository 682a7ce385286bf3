"""The live outside world of a recording that a person, or a time limit, can stop at any moment."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from pvtrace.model.inputs import Input
from pvtrace.model.step import Step
from pvtrace.tape.live import Live


class Stopped(BaseException):
    """The run ends here, while the machine waits: its step is not complete."""


class Interruptible:
    """The outside world, with Ctrl-C and a time limit: noted while the machine runs; while it waits for the outside,
    they raise Stopped.

    `interrupted`: by Ctrl-C; `late`: the time is over. `looks` is called whenever the machine stops to look outside.
    """

    def __init__(self, live: Live, looks: Callable[[], None] = lambda: None) -> None:
        self._live = live
        self._looks = looks
        self.read = live.read
        self.due = live.due
        self.interrupted = False
        self.late = False
        self._waiting = False

    def take(self, step: Step) -> Sequence[Input]:
        self._looks()
        return self._live.take(step)

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        self._looks()
        self._waiting = True
        try:
            if self.interrupted or self.late:
                raise Stopped
            return self._live.idle(step, now, alarm)
        finally:
            self._waiting = False

    @contextlib.contextmanager
    def stoppable(self, timeout: float | None = None) -> Iterator[None]:
        """While this lasts, Ctrl-C and the end of `timeout` seconds stop the run instead of the program."""

        def on_signal(number: int, _frame: FrameType | None) -> None:
            if number == signal.SIGINT:
                self.interrupted = True
            else:
                self.late = True
            if self._waiting:
                raise Stopped

        try:
            before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGALRM)}
        except ValueError:  # not in the main thread: signals are somebody else's
            yield
            return
        try:
            signal.setitimer(signal.ITIMER_REAL, timeout or 0)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)
