"""The outside world as it is: bytes from a file descriptor, and the host's clocks. No other module of tape, and none of
the machine, reads either."""

import contextlib
import os
import select
import stat
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import NEVER, RESET, Step

POLL_STEPS: Final = 1_000_000
"""Steps between two looks at the outside while nothing else stops the machine."""

CLOCK_STEPS: Final = 100_000
"""The same while virtual time follows the host's clock: how late a timer may be."""

POLL_SECONDS: Final = 0.005
"""Seconds of the host after which any stop of the machine is used for a look."""

CLOCK_SECONDS: Final = 0.001

READ_SIZE: Final = 256
"""Bytes taken at a time; what is pasted comes in pieces, between which the guest can read."""


class Keyboard(Protocol):
    """Where console bytes come from."""

    @property
    def open(self) -> bool:
        """Whether bytes may still come."""
        ...

    @property
    def scripted(self) -> bool:
        """Whether the guest alone decides when bytes come, and the host's time never."""
        ...

    def wait(self, seconds: float | None) -> bool:
        """Until bytes or the end of them can be read, or that time is over (None: for ever). Which it was."""
        ...

    def read(self) -> bytes:
        """Bytes, if there are some now; never waits."""
        ...


class NoKeyboard:
    """No console bytes ever come."""

    open = False
    scripted = True

    def wait(self, seconds: float | None) -> bool:
        if seconds is None:
            raise ValueError("nothing will ever come from here")
        time.sleep(seconds)
        return False

    def read(self) -> bytes:
        return b""


class FileKeyboard:
    """Console bytes from a file descriptor: a pipe, a terminal or a file.

    The descriptor stays in blocking mode, because that mode belongs to the file that other programs share.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self.open = True
        self.scripted = stat.S_ISREG(os.fstat(descriptor).st_mode)  # all its bytes are there already

    def wait(self, seconds: float | None) -> bool:
        return bool(self._poll.poll(None if seconds is None else max(0, seconds * 1000)))

    def read(self) -> bytes:
        if not self.open or not self.wait(0):
            return b""
        try:
            data = os.read(self._descriptor, READ_SIZE)
        except OSError:  # a terminal that went away
            data = b""
        self.open = bool(data)
        return data


def at_the_console(data: bytes) -> Input:
    """Bytes that are typed, as an input of the serial console; its step is not known yet."""
    return Input(RESET, InputKind.CONSOLE, data=data)


class Live:
    """Satisfies tape.recording.Outside.

    `hz` given: virtual time follows the host's clock, with so many ticks in a second from the first question on.
    None: virtual time is the machine's own, and the host's clock only decides how often to look for bytes; of a script
    or a regular file not even that, so that they type at the same steps each time. With `pace` (ticks in a second) a
    halted machine then waits for bytes as long as its virtual time stands for, so that a guest that idles while a
    person thinks does not run ahead of the person, nor burn the host. `encode`: what input of the machine the bytes
    from the keyboard are.
    `monotonic` in seconds, `wallclock` in nanoseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        keyboard: Keyboard,
        *,
        hz: int | None = None,
        pace: int | None = None,
        encode: Callable[[bytes], Input] = at_the_console,
        monotonic: Callable[[], float] = time.monotonic,
        wallclock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._keyboard = keyboard
        self._hz = hz
        self._pace = pace
        self._encode = encode
        self._monotonic = monotonic
        self._wallclock = wallclock
        self._start: float | None = None
        self._steps = POLL_STEPS if hz is None else CLOCK_STEPS
        self._seconds = POLL_SECONDS if hz is None else CLOCK_SECONDS
        self._look_at_step = Step(0)
        self._look_at_time = 0.0
        self._ticks = 0
        self._waiting = b""  # bytes that ended a halt, for the next `take`

    def read(self, step: Step, kind: InputKind) -> Input:
        if kind is not InputKind.WALLCLOCK:
            raise ValueError(f"a guest cannot ask for {kind.name}")
        return Input(step, kind, self._wallclock())

    def due(self, step: Step) -> Step:
        if self._hz is None and not self._keyboard.open:
            return NEVER
        if self._scripted:
            return Step(max(step + 1, self._look_at_step)) if self._keyboard.wait(0) else NEVER
        if self._monotonic() >= self._look_at_time:
            return Step(step + 1)
        return Step(max(step + 1, self._look_at_step))

    def take(self, step: Step) -> Sequence[Input]:
        if self._scripted:
            return self._typed(step)
        now = self._monotonic()
        if step < self._look_at_step and now < self._look_at_time:
            return ()
        self._look_at_step = Step(step + self._steps)
        self._look_at_time = now + self._seconds
        return [*self._clock(step), *self._console(step)]

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        while self._keyboard.open and self._keyboard.wait(self._patience(now, alarm)):
            self._waiting = self._keyboard.read()
            if self._waiting:
                return self._woken(step, max(now, self._host_ticks()))
        if alarm is None or self._hz is None:
            return None
        time.sleep(self._patience(now, alarm) or 0)
        # the host's sleep is not exact to a tick, but who slept until the alarm has reached it
        return self._woken(step, max(now, self._host_ticks(), alarm))

    def _patience(self, now: int, alarm: int | None) -> float | None:
        """Seconds to wait for bytes before the alarm ends a halt: in virtual time, which jumps, none at all or by the
        pace."""
        if alarm is None:
            return None
        if self._hz is None:
            return 0.0 if self._pace is None else max(0.0, (alarm - now) / self._pace)
        return max(0.0, (alarm - self._host_ticks()) / self._hz)

    def _woken(self, step: Step, ticks: int) -> Input:
        self._look_at_step = step  # what ended the halt is handed out by the next `take`
        self._ticks = max(self._ticks, ticks)
        return Input(step, InputKind.WAKE, ticks)

    @property
    def _scripted(self) -> bool:
        return self._hz is None and self._keyboard.scripted

    def _typed(self, step: Step) -> Sequence[Input]:
        """The next piece, if the guest has had its time to read the one before."""
        if step < self._look_at_step:
            return ()
        typed = list(self._console(step))
        if typed:
            self._look_at_step = Step(step + self._steps)
        return typed

    def _clock(self, step: Step) -> Iterator[Input]:
        if (ticks := self._host_ticks()) > self._ticks:
            self._ticks = ticks
            yield Input(step, InputKind.CLOCK, ticks)

    def _console(self, step: Step) -> Iterator[Input]:
        data, self._waiting = self._waiting or self._keyboard.read(), b""
        if data:
            yield self._encode(data)._replace(step=step)

    def _host_ticks(self) -> int:
        """Virtual time by the host's clock; 0 for ever if it does not follow that."""
        if self._hz is None:
            return 0
        now = self._monotonic()
        if self._start is None:
            self._start = now
        return int((now - self._start) * self._hz)


@contextlib.contextmanager
def typed_through(descriptor: int) -> Iterator[None]:
    """While this lasts, each key goes to the guest at once and the terminal does not echo; Ctrl-C still interrupts.

    Does nothing for a descriptor that is no terminal.
    """
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
