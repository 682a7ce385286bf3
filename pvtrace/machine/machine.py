"""The machine: runs the CPU until it exits, decides what the exit means, and lets the outside in.

The loop is `run`. It cannot tell a recording from a replay; whatever differs is in the Tape. How effects are applied is
in apply.py, how handlers are entered in entry.py, what the guest waits for in waiting.py; this file only chooses.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, assert_never

from pvtrace.machine import calls, device_memory, entry, instructions, option_rom, state, waiting
from pvtrace.machine.answers import Answers
from pvtrace.machine.boot import BootImage
from pvtrace.machine.clock import Clock
from pvtrace.machine.cpu import Cpu
from pvtrace.machine.journal import Journal
from pvtrace.machine.pc import pc_platform
from pvtrace.machine.ram_digest import RamDigest
from pvtrace.machine.view import MachineView
from pvtrace.model.events import Kind
from pvtrace.model.exits import (
    Arrived,
    Breakpoint,
    Exit,
    Fault,
    Halt,
    Hypercall,
    MmioRead,
    MmioWrite,
    PortRead,
    PortWrite,
    Seen,
    Sensitive,
    SoftInt,
    Watchpoint,
)
from pvtrace.model.inputs import InputKind, Tape
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import NEVER, RESET, Step
from pvtrace.model.stops import Stop, Why
from pvtrace.vmi.state import VmiState
from pvtrace.vmi.steal import NOTHING, Steal
from pvtrace.x86.latitude import DEFAULT, Latitude
from pvtrace.x86.state import System


class Settings(NamedTuple):
    """What a replay must have equal.

    `ram` in bytes; `hz`: cycles per second of virtual time; `host_clock`: time comes from the host, as inputs;
    `virtual_top`: first linear address of the hypervisor after Init; `latitude`: what is chosen where the proposal
    leaves freedom; `user_if`: CLI and STI of user code at virtual IOPL 3 change the virtual IF; `steal`: when something
    else runs.
    """

    ram: int
    hz: int
    host_clock: bool = False
    virtual_top: int = 0xFC000000
    latitude: Latitude = DEFAULT
    user_if: bool = False
    steal: Steal = NOTHING


class Machine:
    """A PC with one CPU. `step` and `run` are the whole interface to its time."""

    def __init__(self, cpu: Cpu, tape: Tape, settings: Settings) -> None:
        self.cpu = cpu
        self.tape = tape
        self.settings = settings
        self.host_clock = settings.host_clock
        self.latitude = settings.latitude
        self.user_if = settings.user_if
        self.steal = settings.steal
        self.system = System()
        self.vmi = VmiState(virtual_top=settings.virtual_top)
        self.clock = Clock(hz=settings.hz)
        self.journal = Journal(cpu, tape)
        self.ended: Stop | None = None
        self.witness: Callable[[Exit], None] | None = None
        """Shown each exit before anything is done about it; it only looks, and is no part of the state."""
        self.on_touch: Callable[[], None] | None = None
        """Takes accesses to what is watched (Cpu.take_touch) where they are not to end the run."""
        self._pause: str | None = None
        self.horizon = RESET  # the step at which a timer or the tape may have something; `service` moves it
        self.view = MachineView(self)
        self.platform = pc_platform(
            hz=settings.hz,
            ram_size=settings.ram,
            wallclock=lambda _ticks: self.view.wallclock(),
            transmitted=lambda byte: self.journal.transmitted(byte, self.system),
            end=self.end,
        )
        self._ram = RamDigest()
        self.answers = Answers(self)

    @property
    def step(self) -> Step:
        return self.cpu.steps

    @property
    def ticks(self) -> int:
        """Virtual time."""
        return self.clock.ticks(self.cpu.steps)

    def boot(self, image: BootImage) -> None:
        """Load memory, let the BIOS initialise the ROMs, and put the CPU into the state that a boot loader leaves."""
        for address, data in image.memory:
            self.cpu.write_physical(address, data)
        for address, size in image.roms:
            option_rom.initialise(self, address)
            self.cpu.protect(address, size)
        state.boot(self.cpu, image)

    # ------------------------------------------------------------------ running

    def run(self, until: Step) -> Stop:
        """Run to exactly `until`, or until the guest ends or `pause` was called."""
        cpu, interrupts = self.cpu, self.platform.interrupts
        while self.ended is None:
            step = cpu.steps
            if step >= self.horizon:
                waiting.preempt(self)
                self.service()
            pending = interrupts.pending()
            while waits := (pending and self.system.vif) or interrupts.nmi:
                if self.ended is not None or step < self.system.shadow or cpu.shadowed:
                    break
                entry.interrupt(self)
                pending = interrupts.pending()
            if cpu.touched and self.on_touch is not None:
                self.on_touch()
            if self.ended is not None or step >= until or self._pause is not None or cpu.touched:
                break
            limit = until if until < self.horizon else self.horizon
            if waits:
                limit = Step(step + 1)  # in a shadow: look again behind the next instruction
            exit_ = self.answers.run(limit, pending)
            if isinstance(exit_, Breakpoint):
                return Stop(cpu.steps, Why.BREAKPOINT)
            if self.witness is not None:
                self.witness(exit_)
            self.react(exit_)
        detail, self._pause = self._pause, None
        if self.ended is None and detail is not None:
            return Stop(cpu.steps, Why.BREAKPOINT, detail=detail)
        return self.ended or Stop(cpu.steps, Why.WATCHPOINT if cpu.touched else Why.ARRIVED)

    def pause(self, detail: str) -> None:
        """Whoever watches wants `run` to return at this step, when everything due here has happened. The guest could
        go on: this is no part of the state."""
        self._pause = detail

    def react(self, exit_: Exit) -> None:
        match exit_:
            case Arrived() | Breakpoint() | Watchpoint():
                pass
            case Hypercall():
                calls.hypercall(self, exit_)
            case Sensitive():
                instructions.sensitive(self, exit_.code)
            case Seen():
                self._run_seen()
            case PortRead() | PortWrite():
                instructions.port(self, exit_)
            case Fault():
                entry.fault(self, exit_)
            case SoftInt():
                entry.software(self, exit_)
            case Halt():
                instructions.sensitive(self, b"\xf4")
            case MmioRead():
                device_memory.load(self, exit_)
            case MmioWrite():
                device_memory.store(self, exit_)
                if exit_.trapped and self.ended is None:
                    entry.single_stepped(self)
            case _:
                assert_never(exit_)

    def _run_seen(self) -> None:
        """What becomes of it is what would have become of it unseen."""
        exit_ = self.cpu.run_native()
        if exit_ is None:
            return
        if self.witness is not None:
            self.witness(exit_)
        self.react(exit_)

    # ------------------------------------------------------------------ the outside and time

    def service(self) -> None:
        """Take what arrived, let timers do what is due, and find out when to look again."""
        step = self.cpu.steps
        for item in self.tape.take(step):
            match item.kind:
                case InputKind.CONSOLE:
                    self.journal.saw(Kind.CONSOLE_IN, self.system, self.cpu.eip, item.data)
                    self.platform.uart.receive(item.data)
                case InputKind.KEYS:
                    self.journal.saw(Kind.KEYS_IN, self.system, self.cpu.eip, item.data)
                    self.platform.keyboard.press(item.data)
                case InputKind.CLOCK:
                    self.clock = self.clock.jumped_to(item.value or 0, step)
                case InputKind.WALLCLOCK | InputKind.WAKE:
                    pass  # answers to questions; never unasked
                case _:
                    assert_never(item.kind)
        waiting.advance(self)
        self.set_horizon()

    def set_horizon(self) -> None:
        """A timer may have changed."""
        step = self.cpu.steps
        due = waiting.next_timer(self)
        timer = NEVER if due is None else self.clock.step_of(due)
        self.horizon = min(self.tape.due(step), max(timer, Step(step + 1)))

    def end(self, why: Why, code: int = 0, detail: str = "") -> None:
        """The guest's run ends here; the first reason counts."""
        if self.ended is None:
            self.journal.flush(self.system)
            self.journal.saw(Kind.STOP, self.system, self.cpu.eip, why.value, code, detail)
            self.ended = Stop(self.cpu.steps, why, code, detail)

    # ------------------------------------------------------------------ the whole state

    def snapshot(self) -> Snapshot:
        """What it takes to come back here, given the snapshot before."""
        frames = self.take_pages()
        return Snapshot(self.cpu.steps, state.save(self), frames, self._ram.value)

    def take_pages(self) -> dict[int, bytes]:
        """The frames of memory and of the disk that were written since this was last asked, or since the last
        snapshot."""
        frames = {frame: self.cpu.read_physical(frame << 12, 4096) for frame in self.cpu.take_dirty()}
        frames |= self.platform.take_pages()
        self._ram.update(frames.items())
        return frames

    def digests(self) -> dict[str, bytes]:
        """Digests by part: ram, cpu, devices, vmi. As of the last snapshot for memory."""
        return {"ram": self._ram.value, **state.digests(self)}

    def restore(self, saved: bytes, pages: Mapping[int, bytes]) -> None:
        """Go to a saved state. `pages` are all the frames that are not zero there."""
        self.take_pages()
        zero = dict.fromkeys(self._ram.frames - pages.keys(), bytes(4096))
        self.rewind(saved, {**pages, **zero})

    def rewind(self, saved: bytes, changed: Mapping[int, bytes]) -> None:
        """Go to a saved state. `changed` are all the frames that are not now as they were there."""
        state.load(self, saved, dict(changed))
        self.take_pages()
        self.horizon = RESET

    def replace_system(self, **changes: Any) -> None:
        self.system = replace(self.system, **changes)
