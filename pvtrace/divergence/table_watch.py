"""Finds the guest's own loads from rewritten descriptors: watches their bytes, and tells a load from what the CPU and
the machine read there by themselves."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pvtrace.divergence.outcomes import by_the_cpu
from pvtrace.machine.machine import Machine
from pvtrace.model.registers import Seg
from pvtrace.model.snapshot import PAGE
from pvtrace.x86.disasm import LONGEST, Instruction, decode, memory_access
from pvtrace.x86.guest_tables import ENTRY

MOST_RANGES: Final = 64
"""Of Cpu.set_watches."""

Range = tuple[int, int]


class Read(NamedTuple):
    """`width` bytes from a linear `address` on, read by the instruction at linear address `pc`. `again`: it is repeated
    (REP), and this is not its first such read."""

    pc: int
    code: bytes
    instruction: Instruction
    address: int
    width: int
    again: bool


class TableWatch:
    """Of one machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._ranges: tuple[Range, ...] = ()
        self._repeated: tuple[int, int] | None = None  # the instruction with REP that reads, and its last step
        machine.on_touch = self._overlook

    def follow(self, entries: Iterable[int]) -> None:
        """Watch the descriptors at these addresses, and no others; of very many tables those that lie lowest."""
        ranges = tuple(_ranges(entries))[:MOST_RANGES]
        if ranges != self._ranges:
            self._ranges = ranges
            self._machine.cpu.set_watches([(start, end, False, True, False) for start, end in ranges])

    def _overlook(self) -> None:
        """What the machine itself has read, or an instruction that faulted."""
        self._machine.cpu.take_touch()

    def taken(self) -> Read | None:
        """The load that the instruction just completed has made; None if it was none."""
        cpu = self._machine.cpu
        touch = cpu.take_touch()
        if touch is None or touch[1]:
            return None
        address, _, pc, _, _ = touch
        bits = 32 if cpu.segment(Seg.CS).big else 16
        code = cpu.peek(pc, LONGEST)
        instruction = decode(code, bits)
        if by_the_cpu(instruction) is not None:
            return None  # it reads descriptors as the processor does
        access = memory_access(code, bits)
        width = instruction.operand_size if access is None else access.width
        if not any(start < address + width and address < end for start, end in self._ranges):
            return None
        step = self._machine.step
        again = self._repeated == (pc, step - 1)
        self._repeated = (pc, step) if instruction.rep else None
        return Read(pc, code[: instruction.length], instruction, address, width, again)


def _ranges(entries: Iterable[int]) -> Iterator[Range]:
    """The entries that are near each other together."""
    start = end = None
    for entry in sorted(entries):
        if start is None or end is None or entry - end > PAGE:
            if start is not None and end is not None:
                yield start, end
            start = entry
        end = entry + ENTRY
    if start is not None and end is not None:
        yield start, end
