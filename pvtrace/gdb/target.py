"""gdbstub's Target over a walk in a recording."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

from gdbstub.errors import ProtocolError
from gdbstub.features import Description
from gdbstub.stops import (
    SIGINT,
    AtBreakpoint,
    Edge,
    Halted,
    HistoryEnd,
    Reason,
    Signalled,
    Watched,
)
from gdbstub.target import Interrupted, MemoryKind, Region
from pvtrace.gdb import changes
from pvtrace.gdb.points import LIMIT, BreakpointSet, WatchpointSet
from pvtrace.gdb.registers import DESCRIPTION, values
from pvtrace.gdb.symbol_file import with_roms
from pvtrace.model.errors import TraceError
from pvtrace.session.commands import Commands
from pvtrace.session.explore import Walk
from pvtrace.timeline.stops import Cause, Stopped, Way
from pvtrace.x86.elf import is_elf

REFUSED: Final = "this is a recording: what it holds can be looked at, not changed; 'monitor what-if on' leaves it"


class RecordingTarget:
    """Satisfies gdbstub.target.Target, and by itself the abilities RangeStep, Reverse, Files and Monitor.

    `note` is told what gdb has no way to show. `around`: entered around each run; gives what is to be asked whether it
    is interrupted.
    """

    def __init__(self, walk: Walk, commands: Commands, note: Callable[[str], None]) -> None:
        self._walk = walk
        self._timeline = walk.timeline
        self._commands = commands
        self._stepping = commands.stepping
        self._note = note
        self.around: Callable[[Interrupted], AbstractContextManager[Interrupted]] = _alone
        self._elsewhere = False
        self._last = Halted(Signalled())
        self._software = BreakpointSet(walk.timeline)
        self._hardware = BreakpointSet(walk.timeline)
        self._watchpoints = WatchpointSet(walk.timeline)
        self._files = {f"/{file.name}": file.data for file in walk.trace.files}
        if self.executable is not None:
            self._files[self.executable] = with_roms(self._files[self.executable], _roms(walk))

    # ------------------------------------------------------------------ what is there

    @property
    def description(self) -> Description:
        return DESCRIPTION

    @property
    def thread_name(self) -> str:
        what_if = "" if self._timeline.branched_at is None else ", what if"
        return f"CPU 0 at step {self._timeline.here}{what_if}"

    @property
    def breakpoints(self) -> BreakpointSet:
        return self._software

    @property
    def hardware_breakpoints(self) -> BreakpointSet:
        return self._hardware

    @property
    def watchpoints(self) -> WatchpointSet:
        return self._watchpoints

    @property
    def reverse(self) -> "RecordingTarget":
        return self

    @property
    def range_step(self) -> "RecordingTarget":
        return self

    @property
    def monitor(self) -> "RecordingTarget":
        return self

    @property
    def restart(self) -> "_Restart":
        return _Restart(self)

    @property
    def files(self) -> "RecordingTarget":
        return self

    @property
    def executable(self) -> str | None:
        """The guest's file, if gdb can read it."""
        guests = (file for file in self._walk.trace.files if file.role == "guest" and is_elf(file.data))
        return next((f"/{file.name}" for file in guests), None)

    @property
    def memory_map(self) -> Sequence[Region]:
        """Page tables say what is there, and they change: everything may be."""
        return (Region(MemoryKind.RAM, 0, LIMIT),)

    def content(self, name: str) -> bytes | None:
        """The copies that are kept in the recording."""
        return self._files.get(name)

    # ------------------------------------------------------------------ looking

    def read_registers(self) -> Sequence[int | None]:
        self._elsewhere = False  # from now on gdb shows where it is
        return values(self._timeline.machine)

    def write_register(self, number: int, value: int) -> None:
        self._may_change(f"${DESCRIPTION.registers[number].name}")
        self._timeline.change(changes.register(number, value))

    def read_memory(self, address: int, size: int) -> bytes:
        return self._timeline.machine.cpu.peek(address, min(size, LIMIT - address)) if address < LIMIT else b""

    def write_memory(self, address: int, data: bytes) -> None:
        self._may_change(f"{len(data)} bytes at {address:#x}")
        self._timeline.change(changes.memory(self._timeline.machine, address, data))

    def _may_change(self, what: str) -> None:
        """gdb shows its own words for a refusal, so that the person is told here as well."""
        if self._timeline.branched_at is None:
            self._note(f"gdb asked to change {what}: {REFUSED}")
            raise ProtocolError(text=REFUSED)

    def halted(self) -> Halted:
        """Whoever asks has just come, and looks at the machine from here on."""
        self._elsewhere = False
        return self._last

    # ------------------------------------------------------------------ moving

    def step(self, interrupted: Interrupted) -> Halted:
        """One instruction as a person counts them (see session.stepping)."""
        return self._run(self._stepping.forward, interrupted)

    def step_in(self, start: int, end: int, interrupted: Interrupted) -> Halted:
        def onwards(asked: Interrupted) -> Stopped:
            while True:
                stopped = self._stepping.forward(asked)
                eip = self._timeline.machine.cpu.eip
                there = eip in self._software or eip in self._hardware
                if stopped.cause is not Cause.ARRIVED or not start <= eip < end or there:
                    return stopped
                if asked():
                    return Stopped(self._timeline.here, Cause.INTERRUPTED)

        return self._run(onwards, interrupted)

    def resume(self, interrupted: Interrupted) -> Halted:
        return self._run(lambda asked: self._timeline.go(Way.FORWARD, asked), interrupted)

    def step_back(self, interrupted: Interrupted) -> Halted:
        return self._run(self._stepping.backward, interrupted)

    def continue_back(self, interrupted: Interrupted) -> Halted:
        return self._run(lambda asked: self._timeline.go(Way.BACKWARD, asked), interrupted)

    def rewind(self) -> Halted:
        """Go to the very start."""
        return self._run(lambda _: self._timeline.seek(self._timeline.first), lambda: False)

    def command(self, line: str, interrupted: Interrupted) -> str:
        with self.around(interrupted) as asked:
            before = self._place()
            text = self._commands.perform(line, asked)
        if self._place() == before:
            return text
        self._last = Halted(Signalled())
        return f"{text}(for gdb to see it: maintenance flush register-cache)\n"

    def progress(self) -> str:
        """Where a long run is."""
        timeline = self._timeline
        return f"at step {timeline.here:,}; verified up to step {timeline.verified:,}\n"

    def moved_elsewhere(self) -> None:
        """Somebody else has moved the walk: gdb does not know where it stands."""
        self._elsewhere = True

    def _place(self) -> tuple[int, int | None]:
        return self._timeline.here, self._timeline.branched_at

    def _run(self, go: Callable[[Interrupted], Stopped], interrupted: Interrupted) -> Halted:
        """Nothing goes on from a place that gdb does not show: first it is told where it is."""
        if self._elsewhere:
            self._elsewhere = False
            self._last = Halted(Signalled(), f"somebody else moved: {self._commands.here()}\n")
            return self._last
        try:
            with self.around(interrupted) as asked:
                return self._stopped(go(asked))
        except TraceError as damaged:
            raise ProtocolError(text=str(damaged)) from None

    def _stopped(self, stopped: Stopped) -> Halted:
        message = stopped.message or (self._why_ended() if stopped.cause is Cause.END else "")
        self._last = Halted(self._reason(stopped), message and f"{message}\n")
        return self._last

    def _why_ended(self) -> str:
        """gdb only says that there is no more history."""
        ended = self._timeline.machine.ended
        return "the recording ends here" if ended is None else f"the guest has ended: {ended.detail or ended.why.value}"

    def _reason(self, stopped: Stopped) -> Reason:
        match stopped.cause:
            case Cause.ARRIVED | Cause.DIVERGED:
                return Signalled()
            case Cause.INTERRUPTED:
                return Signalled(SIGINT)
            case Cause.BEGIN:
                return HistoryEnd(Edge.BEGIN)
            case Cause.END:
                return HistoryEnd(Edge.END)
            case Cause.HIT:
                return self._hit(stopped)

    def _hit(self, stopped: Stopped) -> Reason:
        """gdb resumes at once from a breakpoint that it does not know, so that one that is not its own is a signal."""
        condition = stopped.condition
        access = None if condition is None else self._watchpoints.access.get(condition)
        if access is not None and stopped.address is not None:
            return Watched(stopped.address, access)
        ours = condition in self._software or condition in self._hardware
        return AtBreakpoint(hardware=condition in self._hardware) if ours else Signalled()


@contextlib.contextmanager
def _alone(interrupted: Interrupted) -> Iterator[Interrupted]:
    yield interrupted


def _roms(walk: Walk) -> list[tuple[int, bytes]]:
    """Physical address and image of each."""
    images = [file.data for file in walk.trace.files if file.role == "rom"]
    return [(address, image) for (address, _), image in zip(walk.roms, images, strict=True)]


class _Restart:
    """Satisfies gdbstub.target.Restart."""

    def __init__(self, target: RecordingTarget) -> None:
        self.restart = target.rewind
