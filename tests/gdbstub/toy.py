"""A real, if small, machine that offers every ability of gdbstub: it executes a handful of i386 instructions and keeps
its whole history, so that it can go back."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gdbstub.agent import Expression
from gdbstub.arch.i386 import CORE, EIP, SSE
from gdbstub.errors import INVALID, ProtocolError
from gdbstub.features import Description
from gdbstub.stops import SIGINT, Access, AtBreakpoint, Edge, Halted, HistoryEnd, Signalled, Watched
from gdbstub.target import Interrupted, MemoryKind, Region

BASE, SIZE = 0x1000, 0x2000
COUNTER = 0x2000
"""Where the program counts."""

PROGRAM = bytes.fromhex("b80300000040a30020000090ebf7")
"""mov eax, 3; again: inc eax; mov [COUNTER], eax; nop; jmp again"""

AGAIN, STORE = BASE + 5, BASE + 6

DESCRIPTION = Description("i386", (CORE, SSE), EIP)


@dataclass(slots=True)
class ToyBreakpoints:
    there: dict[int, Sequence[Expression]] = field(default_factory=dict)

    def insert(self, address: int, conditions: Sequence[Expression]) -> None:
        self.there[address] = conditions

    def remove(self, address: int) -> None:
        self.there.pop(address, None)


@dataclass(slots=True)
class ToyWatchpoints:
    there: set[tuple[int, int, Access]] = field(default_factory=set)

    def insert(self, address: int, size: int, access: Access) -> None:
        if access is Access.READ:
            raise ProtocolError(INVALID, "nothing here reads memory")
        self.there.add((address, size, access))

    def remove(self, address: int, size: int, access: Access) -> None:
        self.there.discard((address, size, access))


class Toy:
    """Satisfies Target and all abilities. `end`: how many steps its history has."""

    description = DESCRIPTION
    thread_name = "toy"
    executable: str | None = "/toy.elf"
    progress = None

    def __init__(self, end: int = 1 << 60) -> None:
        self.end = end
        self.breakpoints = ToyBreakpoints()
        self.hardware_breakpoints = ToyBreakpoints()
        self.watchpoints = ToyWatchpoints()
        self.memory_map: Sequence[Region] | None = (Region(MemoryKind.RAM, BASE, SIZE),)
        self.polls = 0
        self._begin()

    def _begin(self) -> None:
        self.memory = bytearray(PROGRAM.ljust(SIZE, b"\0"))
        self.eax, self.eip = 0, BASE
        self.undo: list[tuple[int, int, bytes]] = []

    # the abilities that are methods
    @property
    def reverse(self) -> "Toy":
        return self

    @property
    def range_step(self) -> "Toy":
        return self

    @property
    def monitor(self) -> "Toy":
        return self

    @property
    def files(self) -> "Toy":
        return self

    @property
    def restart(self) -> "Again":
        return Again(self)

    def content(self, name: str) -> bytes | None:
        return PROGRAM if name == "/toy.bin" else None

    def command(self, line: str, interrupted: Interrupted) -> str:
        del interrupted
        return "" if line == "nothing" else f"you said {line}\n" * 1000 if line == "much" else f"you said {line}\n"

    def begin_again(self) -> Halted:
        self._begin()
        return Halted(Signalled())

    # looking
    def read_registers(self) -> Sequence[int | None]:
        values: list[int | None] = [0] * len(DESCRIPTION.registers)
        values[0], values[EIP] = self.eax, self.eip
        values[16] = None  # st0
        return values

    def write_register(self, number: int, value: int) -> None:
        if number == 0:
            self.eax = value
        elif number == EIP:
            self.eip = value
        else:
            raise ProtocolError(INVALID, "only eax and eip can be written")

    def read_memory(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address - BASE : address - BASE + size]) if BASE <= address < BASE + SIZE else b""

    def write_memory(self, address: int, data: bytes) -> None:
        if not BASE <= address <= address + len(data) <= BASE + SIZE:
            raise ProtocolError(INVALID)
        self.memory[address - BASE : address - BASE + len(data)] = data

    def halted(self) -> Halted:
        return Halted(Signalled())

    # moving
    def _one(self) -> None:
        at = self.eip - BASE
        self.undo.append((self.eax, self.eip, bytes(self.memory[COUNTER - BASE : COUNTER - BASE + 4])))
        match self.memory[at]:
            case 0xB8:
                self.eax, self.eip = int.from_bytes(self.memory[at + 1 : at + 5], "little"), self.eip + 5
            case 0x40:
                self.eax, self.eip = (self.eax + 1) & 0xFFFFFFFF, self.eip + 1
            case 0xA3:
                self.write_memory(COUNTER, self.eax.to_bytes(4, "little"))
                self.eip += 5
            case 0xEB:
                self.eip += 2 + int.from_bytes(self.memory[at + 1 : at + 2], "little", signed=True)
            case _:
                self.eip += 1

    def _back(self) -> None:
        self.eax, self.eip, counter = self.undo.pop()
        self.write_memory(COUNTER, counter)

    def _watched(self, eip: int) -> Watched | None:
        for address, size, access in self.watchpoints.there:
            if eip == STORE and address < COUNTER + 4 and address + size > COUNTER:
                return Watched(address, access)
        return None

    def _broken(self) -> AtBreakpoint | None:
        for points, hardware in ((self.breakpoints, False), (self.hardware_breakpoints, True)):
            conditions = points.there.get(self.eip)
            if conditions is not None and (not conditions or any(self._holds(item) for item in conditions)):
                return AtBreakpoint(hardware)
        return None

    def _holds(self, condition: Expression) -> bool:
        registers = self.read_registers()
        return bool(condition.value(registers.__getitem__, self.read_memory))

    def step(self, interrupted: Interrupted) -> Halted:
        del interrupted
        if len(self.undo) >= self.end:
            return Halted(HistoryEnd(Edge.END))
        eip = self.eip
        self._one()
        return Halted(self._watched(eip) or Signalled())

    def step_in(self, start: int, end: int, interrupted: Interrupted) -> Halted:
        while True:
            halted = self.step(interrupted)
            if halted.reason != Signalled() or not start <= self.eip < end or interrupted():
                return halted

    def resume(self, interrupted: Interrupted) -> Halted:
        while len(self.undo) < self.end:
            if self._asked(interrupted):
                return Halted(Signalled(SIGINT))
            eip = self.eip
            self._one()
            reason = self._watched(eip) or self._broken()
            if reason is not None:
                return Halted(reason)
        return Halted(HistoryEnd(Edge.END), "this is the end\n")

    def _asked(self, interrupted: Interrupted) -> bool:
        self.polls += 1
        return self.polls % 100 == 0 and interrupted()

    def step_back(self, interrupted: Interrupted) -> Halted:
        del interrupted
        if not self.undo:
            return Halted(HistoryEnd(Edge.BEGIN))
        self._back()
        return Halted(Signalled())

    def continue_back(self, interrupted: Interrupted) -> Halted:
        while self.undo:
            if self._asked(interrupted):
                return Halted(Signalled(SIGINT))
            self._back()
            reason = self._watched(self.eip) or self._broken()
            if reason is not None:
                return Halted(reason)
        return Halted(HistoryEnd(Edge.BEGIN))


class Again:
    """Satisfies Restart."""

    def __init__(self, toy: Toy) -> None:
        self.restart = toy.begin_again


class Plain(Toy):
    """Offers nothing but Target."""

    @property
    def reverse(self) -> None:  # type: ignore[override]
        return None

    range_step = monitor = files = restart = reverse  # type: ignore[assignment]
    executable = None

    def __init__(self) -> None:
        super().__init__()
        self.breakpoints = self.hardware_breakpoints = self.watchpoints = None  # type: ignore[assignment]
        self.memory_map = None
