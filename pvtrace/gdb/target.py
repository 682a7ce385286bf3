"""gdbstub's Target over a walk in a recording."""

from collections.abc import Callable, Sequence
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
from pvtrace.gdb import interrupts
from pvtrace.gdb.points import LIMIT, BreakpointSet, WatchpointSet
from pvtrace.gdb.registers import DESCRIPTION, values
from pvtrace.model.step import Step
from pvtrace.session.commands import Commands
from pvtrace.session.explore import Walk
from pvtrace.timeline.stops import Cause, Stopped, Way
from pvtrace.x86.elf import is_elf

REFUSED: Final = "this is a recording: registers and memory can be looked at, not changed"


class RecordingTarget:
    """Satisfies gdbstub.target.Target, and by itself the abilities RangeStep, Reverse, Files and Monitor.

    `note` is told what gdb has no way to show.
    """

    def __init__(self, walk: Walk, commands: Commands, note: Callable[[str], None]) -> None:
        self._walk = walk
        self._timeline = walk.timeline
        self._commands = commands
        self._note = note
        self._last = Halted(Signalled())
        self._software = BreakpointSet(walk.timeline)
        self._hardware = BreakpointSet(walk.timeline)
        self._watchpoints = WatchpointSet(walk.timeline)
        self._files = {f"/{file.name}": file.data for file in walk.trace.files}

    # ------------------------------------------------------------------ what is there

    @property
    def description(self) -> Description:
        return DESCRIPTION

    @property
    def thread_name(self) -> str:
        return f"CPU 0 at step {self._timeline.here}"

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
        return values(self._timeline.machine)

    def write_register(self, number: int, value: int) -> None:
        del value
        raise ProtocolError(text=f"{REFUSED} ({DESCRIPTION.registers[number].name})")

    def read_memory(self, address: int, size: int) -> bytes:
        return self._timeline.machine.cpu.peek(address, min(size, LIMIT - address)) if address < LIMIT else b""

    def write_memory(self, address: int, data: bytes) -> None:
        self._note(f"gdb asked to change {len(data)} bytes at {address:#x}: {REFUSED}")
        raise ProtocolError(text=REFUSED)

    def halted(self) -> Halted:
        return self._last

    # ------------------------------------------------------------------ moving

    def step(self, interrupted: Interrupted) -> Halted:
        """One instruction, and past the handler of an interrupt that was taken behind it (see interrupts)."""
        return self._stopped(self._step(interrupted))

    def _step(self, interrupted: Interrupted) -> Stopped:
        timeline = self._timeline
        stopped = self._one(Way.FORWARD, interrupted)
        if stopped.cause is not Cause.ARRIVED or not self._commands.skip_interrupts:
            return stopped
        goal = interrupts.after(self._walk.trace, timeline.here)
        return timeline.go(Way.FORWARD, interrupted, until=goal) if goal > timeline.here else stopped

    def _one(self, way: Way, interrupted: Interrupted) -> Stopped:
        """Exactly one step; a watchpoint that it hits is told."""
        timeline = self._timeline
        if self._watchpoints.access and timeline.first < timeline.here + way.value <= timeline.last:
            return timeline.go(way, interrupted, until=Step(timeline.here + way.value))
        return timeline.move(way.value, interrupted)

    def step_in(self, start: int, end: int, interrupted: Interrupted) -> Halted:
        while True:
            stopped = self._step(interrupted)
            eip = self._timeline.machine.cpu.eip
            there = eip in self._software or eip in self._hardware
            if stopped.cause is not Cause.ARRIVED or not start <= eip < end or there:
                return self._stopped(stopped)
            if interrupted():
                return self._stopped(Stopped(self._timeline.here, Cause.INTERRUPTED))

    def resume(self, interrupted: Interrupted) -> Halted:
        return self._stopped(self._timeline.go(Way.FORWARD, interrupted))

    def step_back(self, interrupted: Interrupted) -> Halted:
        timeline = self._timeline
        here = timeline.here
        goal = interrupts.before(self._walk.trace, here) if self._commands.skip_interrupts else Step(here - 1)
        if goal == here - 1 or goal < timeline.first:
            return self._stopped(self._one(Way.BACKWARD, interrupted))
        return self._stopped(timeline.go(Way.BACKWARD, interrupted, until=goal))

    def continue_back(self, interrupted: Interrupted) -> Halted:
        return self._stopped(self._timeline.go(Way.BACKWARD, interrupted))

    def rewind(self) -> Halted:
        """Go to the very start."""
        return self._stopped(self._timeline.seek(self._timeline.first))

    def command(self, line: str, interrupted: Interrupted) -> str:
        before = self._timeline.here
        text = self._commands.perform(line, interrupted)
        if self._timeline.here == before:
            return text
        self._last = Halted(Signalled())
        return f"{text}(for gdb to see it: maintenance flush register-cache)\n"

    def _stopped(self, stopped: Stopped) -> Halted:
        self._last = Halted(self._reason(stopped), stopped.message and f"{stopped.message}\n")
        return self._last

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
                access = None if stopped.condition is None else self._watchpoints.access.get(stopped.condition)
                if access is not None and stopped.address is not None:
                    return Watched(stopped.address, access)
                return AtBreakpoint(hardware=stopped.condition in self._hardware)


class _Restart:
    """Satisfies gdbstub.target.Restart."""

    def __init__(self, target: RecordingTarget) -> None:
        self.restart = target.rewind
