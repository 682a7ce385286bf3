"""A recording that is walked in while it is made: under a debugger, from the first instruction on."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Final

from pvtrace.model.digest import Mark
from pvtrace.model.errors import EngineError, UsageError
from pvtrace.model.events import Event
from pvtrace.model.inputs import Input, Tape
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.session import build, names
from pvtrace.session.console import Output
from pvtrace.session.explore import Walk
from pvtrace.session.observer import NOBODY, Observer
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import RecordResult, outside, prepared
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint
from pvtrace.store.writer import TraceFull, TraceWriter
from pvtrace.tape.live import Keyboard
from pvtrace.tape.live import Live as World
from pvtrace.tape.recording import RecordingTape
from pvtrace.timeline.explorer import Interrupted
from pvtrace.timeline.live import CHECKPOINT_EVERY, Live, Undone
from pvtrace.timeline.timeline import Timeline

LOOK_SECONDS: Final = 0.05
"""Seconds between two looks at whether a wait was interrupted."""


class _Patient:
    """A keyboard whose wait can be interrupted."""

    def __init__(self, keyboard: Keyboard, interrupted: Callable[[], bool]) -> None:
        self._keyboard = keyboard
        self._interrupted = interrupted
        self.read = keyboard.read

    @property
    def open(self) -> bool:
        return self._keyboard.open

    @property
    def scripted(self) -> bool:
        return self._keyboard.scripted

    def wait(self, seconds: float | None) -> bool:
        """Raises Undone if it is interrupted."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            left = LOOK_SECONDS if end is None else min(LOOK_SECONDS, max(0.0, end - time.monotonic()))
            if self._keyboard.wait(left):
                return True
            if self._interrupted():
                raise Undone
            if end is not None and time.monotonic() >= end:
                return False


class _Outside:
    """The live world; the console's output is shown whenever the machine looks there."""

    def __init__(self, world: World, looks: Callable[[], None]) -> None:
        self._world = world
        self._looks = looks
        self.read = world.read
        self.due = world.due

    def take(self, step: Step) -> Sequence[Input]:
        self._looks()
        return self._world.take(step)

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        self._looks()
        return self._world.idle(step, now, alarm)


class _Edge:
    """Satisfies timeline.live.Edge. `stopping`: Ctrl-C came in the terminal, and the recording is to end."""

    def __init__(self, writer: TraceWriter, output: Output, observer: Observer, world: Callable[[Interrupted], World]):
        self.interrupted: Interrupted | None = None
        self.saw: Callable[[Event], None] = lambda _: None
        self.stopping = False
        self._writer = writer
        self._output = output
        self._observer = observer
        self._outside = _Outside(world(self.asked_to_stop), output.flush)
        self._tape = RecordingTape(writer, self._outside, self._happened)
        self._live = True

    def asked_to_stop(self) -> bool:
        return self.stopping or (self.interrupted is not None and self.interrupted())

    def heard(self, byte: int) -> None:
        """The guest wrote this to its console, perhaps once more."""
        if self._live:
            self._output.byte(byte)

    def _happened(self, event: Event) -> None:
        if self._observer.wants_events:
            self._observer.event(event)
        self.saw(event)

    def tape(self) -> Tape:
        self._live = True
        return self._tape

    def rest(self) -> None:
        self._live = False
        self._output.flush()

    def write(self, step: Step) -> Mark:
        self._writer.progress(step)
        return self._writer.mark

    def checkpoint(self, snapshot: Snapshot) -> Checkpoint:
        return self._writer.checkpoint(snapshot)

    def undo(self, step: Step) -> None:
        self._writer.take_back(step)
        self._writer.progress(step)
        self._tape = RecordingTape(self._writer, self._outside, self._happened, taken=step)


class Recording:
    """A recording under way. `walk`: its past, and the live edge; `result`: how it ended, once it has."""

    def __init__(self, walk: Walk, live: Live, edge: _Edge, writer: TraceWriter) -> None:
        self.walk = walk
        self.result: RecordResult | None = None
        self._live = live
        self._edge = edge
        self._writer = writer
        self._begun = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether Ctrl-C came in the terminal."""
        return self._edge.stopping

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """While this lasts, Ctrl-C in the terminal raises KeyboardInterrupt when no step is under way, and else sets
        `over` and stops the run."""

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            self._edge.stopping = True
            if self._edge.interrupted is None:
                raise KeyboardInterrupt

        try:
            before = signal.signal(signal.SIGINT, on_signal)
        except ValueError:  # not in the main thread: signals are somebody else's
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def finish(self, broken: TraceFull | EngineError | None = None) -> None:
        """The end: everything that ran is kept. `broken`: why nothing more can run."""
        if broken is not None:
            why = Why.UNSUPPORTED if isinstance(broken, EngineError) else Why.ARRIVED
            stop, snapshot = Stop(self._writer.reached, why, detail=str(broken)), None
        else:
            self.walk.timeline.rejoin()
            snapshot = self._live.finish()
            stop = self._live.machine.ended or Stop(snapshot.step, Why.ARRIVED, detail="ended in gdb")
        self._writer.finish(stop, snapshot)
        seconds = time.monotonic() - self._begun
        events = self._writer.mark.events
        self.result = RecordResult(self._writer.path, stop, stop.step, events, seconds, interrupted=self.over)


@contextlib.contextmanager
def recording(options: RecordOptions, observer: Observer = NOBODY) -> Iterator[Recording]:
    """Stands at the guest's first instruction. However this is left, what ran is recorded.

    Raises UsageError or InputError before anything ran.
    """
    for option, value in (("--until", options.until), ("--break-on", options.break_on), ("--timeout", options.timeout)):
        if value:
            raise UsageError(f"{option} ends a recording by itself, and with --gdb you do: leave one of them out")
    with prepared(options, observer) as made:
        writer, guests = made.writer, made.console

        def world(interrupted: Interrupted) -> World:
            return outside(options, guests, _Patient(guests.keyboard, interrupted))

        edge = _Edge(writer, made.output, observer, world)
        machine = build.machine(made.given, made.image, edge.tape())
        machine.journal.heard = edge.heard
        machine.answers.lag = not made.output.listened
        machine.run(machine.step)
        writer.checkpoint(machine.snapshot())
        with TraceReader(writer.path) as trace:
            live = Live(machine, trace, edge, checkpoint_every=options.checkpoint_every or CHECKPOINT_EVERY)
            walk = Walk(trace, Timeline(live), names.stored(trace), made.image.roms)
            under_way = Recording(walk, live, edge, writer)
            try:
                with under_way.stoppable():
                    yield under_way
            except KeyboardInterrupt:
                under_way.finish()
            except (TraceFull, EngineError) as broken:
                under_way.finish(broken)
            else:
                under_way.finish()
