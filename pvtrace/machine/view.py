"""The machine as handlers see it: a read-only View. It holds no state of its own."""

from typing import Protocol

from pvtrace.machine.clock import Clock
from pvtrace.machine.cpu import Cpu
from pvtrace.model.inputs import InputKind, Tape
from pvtrace.model.registers import Segment, TableRegister
from pvtrace.model.snapshot import PAGE
from pvtrace.model.step import Step
from pvtrace.x86.latitude import Latitude
from pvtrace.x86.state import System
from pvtrace.x86.view import PageFault


class Viewed(Protocol):
    """What a view is of."""

    cpu: Cpu
    system: System
    clock: Clock
    tape: Tape
    host_clock: bool
    latitude: Latitude
    user_if: bool


class MachineView:
    """See x86.view.View."""

    __slots__ = ("_cpu", "_machine", "cr", "gpr", "read", "segment")

    def __init__(self, machine: Viewed) -> None:
        self._machine = machine
        self._cpu = machine.cpu
        self.gpr = machine.cpu.gpr
        self.cr = machine.cpu.cr
        self.read = machine.cpu.read
        self.segment = machine.cpu.segment

    @property
    def step(self) -> Step:
        return self._cpu.steps

    @property
    def eip(self) -> int:
        return self._cpu.eip

    @property
    def eflags(self) -> int:
        return self._cpu.eflags

    @property
    def cpl(self) -> int:
        return self._cpu.cpl

    @property
    def gdtr(self) -> TableRegister:
        return self._cpu.gdtr

    @property
    def idtr(self) -> TableRegister:
        return self._cpu.idtr

    @property
    def ldtr(self) -> Segment:
        return self._cpu.ldtr

    @property
    def tr(self) -> Segment:
        return self._cpu.tr

    @property
    def system(self) -> System:
        return self._machine.system

    @property
    def latitude(self) -> Latitude:
        return self._machine.latitude

    @property
    def user_if(self) -> bool:
        return self._machine.user_if

    @property
    def ticks(self) -> int:
        return self._machine.clock.ticks(self._cpu.steps)

    @property
    def hz(self) -> int:
        return self._machine.clock.hz

    def wallclock(self) -> int:
        machine = self._machine
        if not machine.host_clock:
            return machine.clock.wallclock_ns(machine.cpu.steps)
        value = machine.tape.read(machine.cpu.steps, InputKind.WALLCLOCK).value
        assert value is not None, "a wall-clock input always has a value"
        return value

    def physical(self, address: int) -> int:
        return self._cpu.physical(address)

    def writable(self, address: int, size: int) -> bool:
        first = address & ~(PAGE - 1)
        for page in range(first, address + size, PAGE):
            try:
                self._cpu.physical(page & 0xFFFFFFFF, write=True)
            except PageFault:
                return False
        return True
