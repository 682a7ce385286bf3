"""Record a guest: build the machine, run it in slices, write checkpoints, and keep what ran whatever happens."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from pvtrace.engine import library
from pvtrace.machine.boot import BootImage
from pvtrace.machine.machine import Machine
from pvtrace.model.errors import EngineError
from pvtrace.model.events import Event, Kind
from pvtrace.model.step import RESET, Step
from pvtrace.model.stops import Stop, Why
from pvtrace.session import breaks, build, console, materials, until
from pvtrace.session.breaks import Breaks, Watch
from pvtrace.session.console import Console, Output
from pvtrace.session.interruptible import Interruptible, Stopped
from pvtrace.session.names import Names
from pvtrace.session.observer import NOBODY, PROGRESS_SECONDS, Observer
from pvtrace.session.options import RecordOptions, output_path
from pvtrace.session.spacing import Place, Spacing
from pvtrace.store.contents import Contents
from pvtrace.store.meta import Meta
from pvtrace.store.writer import TraceFull, TraceWriter
from pvtrace.tape.live import Keyboard, Live
from pvtrace.tape.recording import RecordingTape
from pvtrace.tape.script import Line
from pvtrace.timeline.pace import RECORDING
from pvtrace.version import VERSION

WOKE: Final = "virtual time has jumped"
"""Why the machine pauses behind a halt when it is to stop at some time."""


class RecordResult(NamedTuple):
    """`seconds` of the host. `stop` is where the recording ends; `untyped`: what of its script was not typed."""

    path: Path
    stop: Stop
    steps: int
    events: int
    seconds: float
    interrupted: bool = False
    timed_out: bool = False
    untyped: tuple[Line, ...] = ()


class Prepared(NamedTuple):
    """All that a recording is made with, before anything ran. `goal`, `stops`: where the user wants it to end."""

    given: build.Given
    image: BootImage
    names: Names
    goal: until.Until
    stops: Breaks
    console: Console
    writer: TraceWriter
    output: Output


@contextlib.contextmanager
def prepared(options: RecordOptions, observer: Observer = NOBODY) -> Iterator[Prepared]:
    """The trace is being created from here on. Raises UsageError or InputError."""
    given = materials.given(options)
    image = given.boot_image()
    names = materials.names(options, given)
    goal = until.parse(options.until, options.hz, names.address_of)
    stops = breaks.parse(options.break_on, names.address_of)
    path = output_path(options, Path.cwd())
    with contextlib.ExitStack() as stack:
        guests = stack.enter_context(console.opened(options))
        writer = stack.enter_context(
            TraceWriter(
                path,
                Contents(_meta(options, given), materials.files(given), names.rows(given.roms), names.lines()),
                overwrite=options.force,
                max_size=options.max_size,
            )
        )
        observer.begins(image.description)
        output = Output(guests, observer)
        stack.callback(output.flush)
        yield Prepared(given, image, names, goal, stops, guests, writer, output)


def outside(options: RecordOptions, console: Console, keyboard: Keyboard) -> Live:
    """The outside world as the options want it; `keyboard`: the console's, or one around it."""
    host_hz = options.hz if options.clock == "host" else None
    pace = options.hz if console.terminal else None
    return Live(keyboard, hz=host_hz, pace=pace, encode=console.encode)


def record(options: RecordOptions, observer: Observer = NOBODY) -> RecordResult:
    """Run a guest and record it to a file. Raises UsageError or InputError before anything ran."""
    with prepared(options, observer) as made:
        output, guests = made.output, made.console
        world = Interruptible(outside(options, guests, guests.keyboard), output.flush)
        watchers: list[Callable[[Event], None]] = [observer.event] if observer.wants_events else []
        tape = RecordingTape(made.writer, world, observer.event if observer.wants_events else None)
        machine = build.machine(made.given, made.image, tape, watchful=made.stops.divergence)
        machine.journal.heard = output.byte
        _watch(machine, made.stops, made.goal, watchers, output)
        if watchers:
            tape.observer = lambda event: _tell(watchers, event)
        with world.stoppable(options.timeout):
            done = _Recording(machine, made.writer, world, options, made.goal, made.stops, observer).run()
    return done if guests.script is None else done._replace(untyped=guests.script.left)


def _tell(watchers: list[Callable[[Event], None]], event: Event) -> None:
    for watcher in watchers:
        watcher(event)


def _watch(
    machine: Machine,
    stops: Breaks,
    goal: until.Until,
    watchers: list[Callable[[Event], None]],
    output: Output,
) -> None:
    """Have the machine pause where the user wants the recording to end."""
    addresses = [*stops.addresses, *([] if goal.address is None else [goal.address])]
    if addresses:
        machine.cpu.set_breakpoints(addresses)
    if goal.ticks is not None:
        watchers.append(lambda event: machine.pause(WOKE) if event.kind is Kind.WAKE else None)
    watch = Watch(stops, machine.pause)
    if stops.vectors or stops.calls:
        watchers.append(watch.event)
    machine.answers.allowed = not (stops.calls or stops.vectors)  # the machine pauses behind an exit
    if stops.texts:
        output.listen(watch.byte)
    machine.answers.lag = not output.listened
    if stops.divergence:
        watchers.append(import_module("pvtrace.session.divergence_watch").DivergenceWatch(machine).event)


class _Recording:
    """One run, from the first instruction to the last row."""

    def __init__(
        self,
        machine: Machine,
        writer: TraceWriter,
        outside: Interruptible,
        options: RecordOptions,
        goal: until.Until,
        stops: Breaks,
        observer: Observer,
    ) -> None:
        self._machine = machine
        self._writer = writer
        self._outside = outside
        self._goal = goal
        self._stops = stops
        self._observer = observer
        self._spacing = Spacing(options.checkpoint_every)
        self._begun = time.monotonic()
        self._deadline = None if options.timeout is None else self._begun + options.timeout
        self._shown = self._begun
        self._checkpoint: Place | None = None  # the last one
        self._looked: Place | None = None
        self._look = RESET  # where to see whether it is time for another
        self._slice = RECORDING.fewest

    def run(self) -> RecordResult:
        outside = self._outside
        stopped = False
        try:
            stop = self._run()
            stopped = not stop.ended and not self._arrived() and stop.why is Why.ARRIVED
        except Stopped:
            stopped = True
            stop = Stop(self._writer.reached, Why.ARRIVED)
        except TraceFull as full:
            stop = Stop(self._writer.reached, Why.ARRIVED, detail=str(full))
        except EngineError as error:
            stop = Stop(self._writer.reached, Why.UNSUPPORTED, detail=str(error))
        whole = stop.step == self._machine.step
        if whole and not stop.ended:
            self._machine.journal.flush(self._machine.system)
        self._writer.finish(stop, self._machine.snapshot() if whole else None)
        seconds = time.monotonic() - self._begun
        interrupted = stopped and outside.interrupted
        late = stopped and not interrupted
        return RecordResult(self._writer.path, stop, stop.step, self._writer.events, seconds, interrupted, late)

    def _run(self) -> Stop:
        machine = self._machine
        machine.run(machine.step)
        while True:
            if machine.step >= self._look:
                self._space()
            began, since = machine.step, time.monotonic()
            stop = machine.run(self._target())
            self._slice = RECORDING.next(machine.step - began, time.monotonic() - since)
            if stop.detail == WOKE:
                stop = Stop(stop.step, Why.ARRIVED)
            if stop.why is Why.BREAKPOINT and not stop.detail:
                return self._at_address(stop)
            if stop.ended or stop.why is Why.BREAKPOINT or self._arrived():
                return stop
            if self._outside.interrupted or self._late():
                return stop
            self._show()

    def _space(self) -> None:
        """A checkpoint, if it is time for one."""
        machine = self._machine
        here = Place(machine.step, machine.journal.count)
        last = self._checkpoint
        if last is None or self._spacing.is_due(last, here):
            self._writer.checkpoint_soon(machine.snapshot())
            last = self._checkpoint = here
        self._look = self._spacing.look(last, self._looked, here)
        self._looked = here

    def _at_address(self, stop: Stop) -> Stop:
        name = self._stops.addresses.get(self._machine.cpu.eip)
        return stop if name is None else stop._replace(detail=f"stopped at --break-on {name}")

    def _target(self) -> Step:
        machine = self._machine
        target = min(machine.step + self._slice, self._look)
        if self._goal.step is not None:
            target = min(target, self._goal.step)
        if self._goal.ticks is not None:
            target = min(target, machine.clock.step_of(self._goal.ticks))
        return Step(target)

    def _arrived(self) -> bool:
        machine, goal = self._machine, self._goal
        return (goal.step is not None and machine.step >= goal.step) or (
            goal.ticks is not None and machine.ticks >= goal.ticks
        )

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown >= PROGRESS_SECONDS:
            self._shown = now
            self._observer.progress(self._machine.step, self._writer.events, self._writer.size)


def _meta(options: RecordOptions, given: build.Given) -> Meta:
    return Meta(
        pvtrace=VERSION,
        engine=library.NAME,
        engine_version=library.version(),
        ram=options.ram,
        hz=options.hz,
        clock=options.clock,
        vmi=options.vmi,
        command_line=(options.append,) if options.append else (),
        recorded_at=_now().isoformat(timespec="seconds"),
        settings=build.settings_json(given),
    )


def _now() -> datetime:
    """Or what SOURCE_DATE_EPOCH says, for recordings that are to be the same files each time they are made."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
