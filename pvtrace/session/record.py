"""Record a guest: build the machine, run it in slices, write checkpoints, and keep what ran whatever happens."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final

from pvtrace.engine import library
from pvtrace.machine.boot import File
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.errors import EngineError, InputError, UsageError
from pvtrace.model.events import Event, Kind
from pvtrace.model.inputs import Input
from pvtrace.model.step import RESET, Step
from pvtrace.model.stops import Stop, Why
from pvtrace.session import build, until
from pvtrace.session.observer import NOBODY, Observer
from pvtrace.session.options import RecordOptions, output_path
from pvtrace.store.meta import Meta
from pvtrace.store.rows import Symbol, TraceFile
from pvtrace.store.writer import TraceFull, TraceWriter
from pvtrace.tape.live import FileKeyboard, Keyboard, Live, NoKeyboard, typed_through
from pvtrace.tape.recording import RecordingTape
from pvtrace.version import VERSION
from pvtrace.vmi.steal import NOTHING
from rom.elf import decode

CHECKPOINT_EVERY: Final = 20_000_000
"""Default distance of checkpoints in steps."""

SLICE: Final = 2_000_000
"""Steps between two looks at the clock and at Ctrl-C."""

PROGRESS_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class RecordResult:
    """`seconds` of the host. `stop` is where the recording ends."""

    path: Path
    stop: Stop
    steps: int
    events: int
    seconds: float
    interrupted: bool = False
    timed_out: bool = False


def record(options: RecordOptions, observer: Observer = NOBODY) -> RecordResult:
    """Run a guest and record it to a file. Raises UsageError or InputError before anything ran."""
    given = _given(options)
    image = given.boot_image()
    goal = until.parse(options.until, options.hz, image.symbols)
    path = output_path(options, Path.cwd())
    files = [
        TraceFile("guest", given.guest.name, given.guest.data),
        *(TraceFile("module", module.name, module.data) for module in given.modules),
        *(TraceFile("initrd", initrd.name, initrd.data) for initrd in [given.initrd] if initrd is not None),
        *(TraceFile("rom", _rom_name(address), rom) for address, rom in given.roms),
    ]
    symbols = [Symbol(s.name, s.address, s.size, given.guest.name) for s in image.symbols.symbols]
    symbols += [Symbol(s.name, at + s.offset, s.size, _rom_name(at)) for at, rom in given.roms for s in decode(rom)]
    with contextlib.ExitStack() as stack:
        screen, keyboard = stack.enter_context(_console(options.console))
        writer = stack.enter_context(
            TraceWriter(path, _meta(options, given), files, symbols, overwrite=options.force, max_size=options.max_size)
        )
        outside = _Interruptible(Live(keyboard, hz=options.hz if options.clock == "host" else None))
        tape = RecordingTape(writer, outside, _observing(observer, screen))
        machine = build.machine(given, image, tape)
        if goal.address is not None:
            machine.cpu.set_breakpoints([goal.address])
        stack.enter_context(outside.catching_ctrl_c())
        return _Recording(machine, writer, outside, options, goal, observer).run()


class _Recording:
    """One run, from the first instruction to the last row."""

    def __init__(
        self,
        machine: Machine,
        writer: TraceWriter,
        outside: "_Interruptible",
        options: RecordOptions,
        goal: until.Until,
        observer: Observer,
    ) -> None:
        self._machine = machine
        self._writer = writer
        self._outside = outside
        self._goal = goal
        self._observer = observer
        self._every = options.checkpoint_every or CHECKPOINT_EVERY
        self._begun = time.monotonic()
        self._deadline = None if options.timeout is None else self._begun + options.timeout
        self._shown = self._begun
        self._next_checkpoint = RESET

    def run(self) -> RecordResult:
        interrupted = timed_out = False
        try:
            stop = self._run()
            interrupted = self._outside.interrupted
            timed_out = not stop.ended and not interrupted and self._late()
        except KeyboardInterrupt:
            # While waiting for input: the step that waits is not complete.
            interrupted = True
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
        return RecordResult(self._writer.path, stop, stop.step, self._writer.events, seconds, interrupted, timed_out)

    def _run(self) -> Stop:
        machine = self._machine
        machine.run(machine.step)
        while True:
            if machine.step >= self._next_checkpoint:
                self._writer.checkpoint(machine.snapshot())
                self._next_checkpoint = Step(machine.step + self._every)
            target = self._target()
            stop = machine.run(target)
            if stop.ended or stop.why is Why.BREAKPOINT or self._arrived():
                return stop
            if self._outside.interrupted or self._late():
                return stop
            self._show()

    def _target(self) -> Step:
        machine = self._machine
        target = min(machine.step + SLICE, self._next_checkpoint)
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


class _Interruptible:
    """The outside world, and Ctrl-C: noted while the machine runs, raised while it waits for the outside."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.read = live.read
        self.due = live.due
        self.take = live.take
        self.interrupted = False
        self._waiting = False

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        self._waiting = True
        try:
            if self.interrupted:
                raise KeyboardInterrupt
            return self._live.idle(step, now, alarm)
        finally:
            self._waiting = False

    @contextlib.contextmanager
    def catching_ctrl_c(self) -> Iterator[None]:
        def on_signal(_number: int, _frame: FrameType | None) -> None:
            self.interrupted = True
            if self._waiting:
                raise KeyboardInterrupt

        try:
            before = signal.signal(signal.SIGINT, on_signal)
        except ValueError:  # not in the main thread: Ctrl-C is somebody else's
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _rom_name(address: int) -> str:
    return f"vmi-{address:05X}.rom"


def _read(path: Path) -> File:
    try:
        return File(path.name, path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _module(text: str | Path) -> File:
    """A file, or behind its name and a space the arguments that the guest is to see."""
    if isinstance(text, Path) or Path(text).exists():
        return _read(Path(text))
    name, _, arguments = text.partition(" ")
    return replace(_read(Path(name)), arguments=arguments)


def _given(options: RecordOptions) -> build.Given:
    if options.steal != NOTHING and options.clock == "host":
        raise UsageError("stolen time is made from virtual time: --steal cannot go with --clock host")
    return build.Given(
        guest=_read(options.guest),
        modules=tuple(_module(module) for module in options.modules),
        initrd=None if options.initrd is None else _read(options.initrd),
        load=options.load,
        entry=options.entry,
        roms=build.roms_of(options.vmi),
        command_line=options.append,
        settings=Settings(
            ram=options.ram,
            hz=options.hz,
            host_clock=options.clock == "host",
            latitude=options.latitude,
            user_if=options.user_if,
            steal=options.steal,
        ),
    )


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
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=build.settings_json(given),
    )


@contextlib.contextmanager
def _console(where: str) -> Iterator[tuple[BinaryIO | None, Keyboard]]:
    """The file that console output goes to beside the observer, and where input comes from."""
    if where == "-":
        descriptor = _standard_input()
        if descriptor is None:
            yield None, NoKeyboard()
            return
        with typed_through(descriptor):
            yield None, FileKeyboard(descriptor)
    elif where == "null":
        yield None, NoKeyboard()
    else:
        with contextlib.ExitStack() as stack:
            try:
                screen = stack.enter_context(Path(where).open("wb", buffering=0))
            except OSError as error:
                raise InputError(f"cannot write {where}: {error.strerror}") from None
            yield screen, NoKeyboard()


def _standard_input() -> int | None:
    try:
        descriptor = sys.stdin.fileno()
        os.fstat(descriptor)
    except (AttributeError, OSError, ValueError):
        return None
    return descriptor


def _observing(observer: Observer, screen: BinaryIO | None) -> Callable[[Event], None]:
    wants = observer.wants_events

    def observe(event: Event) -> None:
        if event.kind is Kind.CONSOLE_OUT:
            data = event.args[0]
            assert isinstance(data, bytes)
            if screen is not None:
                screen.write(data)
            observer.console(data)
        if wants:
            observer.event(event)

    return observe
