"""Small guests without a machine, and the run of one on a CPU: the test itself is the machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.model.exits import Arrived, Exit, MmioRead, MmioWrite
from pvtrace.model.registers import Gpr, Registers, Seg, Segment
from pvtrace.model.step import Step
from tests.oracle.oracle_cpu import NoMemory, OracleCpu

AnyCpu = UnicornCpu | OracleCpu

PG: Final = 1 << 31
WP: Final = 1 << 16
PE_ET: Final = 0x11
PSE, PAE, OSFXSR = 1 << 4, 1 << 5, 1 << 9

GDT: Final = 0x3000
"""Physical and, in every guest here that has paging, linear address of the descriptor table."""

LDT: Final = 0x3800


def descriptor(base: int, limit: int, attributes: int) -> bytes:
    """`attributes` as in Segment; `limit` as stored, before granularity."""
    low = (base & 0xFFFF) << 16 | limit & 0xFFFF
    high = base & 0xFF000000 | attributes & 0x00F0FF00 | limit & 0xF0000 | base >> 16 & 0xFF
    return low.to_bytes(4, "little") + high.to_bytes(4, "little")


CODE, DATA = 0xC09B00, 0xC09300
CODE0, DATA0, CODE3, DATA3 = 0x08, 0x10, 0x1B, 0x23
CODE1, DATA1 = 0x29, 0x31

DESCRIPTORS: Final = b"".join(
    (
        bytes(8),
        descriptor(0, 0xFFFFF, CODE),
        descriptor(0, 0xFFFFF, DATA),
        descriptor(0, 0xFFFFF, CODE | 0x6000),
        descriptor(0, 0xFFFFF, DATA | 0x6000),
        descriptor(0, 0xFFFFF, CODE | 0x2000),
        descriptor(0, 0xFFFFF, DATA | 0x2000),
    )
)


def flat(selector: int) -> Segment:
    """The segment register for one of the selectors above."""
    kind = CODE if selector in (CODE0, CODE1, CODE3) else DATA
    return Segment(selector, 0, 0xFFFFFFFF, kind | (selector & 3) << 13)


@dataclass(frozen=True, slots=True)
class Guest:
    """Memory and registers at step 0. `images`: (physical address, bytes)."""

    images: tuple[tuple[int, bytes], ...]
    eip: int
    esp: int
    ram: int = 1 << 20
    cpl: int = 0
    cr0: int = PE_ET
    cr3: int = 0
    cr4: int = 0
    nxe: bool = False
    gprs: dict[int, int] = field(default_factory=dict)

    def start(self, cpu: AnyCpu) -> AnyCpu:
        for address, image in ((GDT, DESCRIPTORS), *self.images):
            cpu.write_physical(address, image)
        code, data = {0: (CODE0, DATA0), 1: (CODE1, DATA1), 3: (CODE3, DATA3)}[self.cpl]
        for segment in Seg:
            cpu.set_segment(segment, flat(code if segment == Seg.CS else data))
        cpu.set_segment(8, Segment(0, GDT, len(DESCRIPTORS) - 1, 0))
        cpu.set_cr(4, self.cr4 | OSFXSR)
        cpu.set_cr(3, self.cr3)
        cpu.nxe = self.nxe
        cpu.set_cr(0, self.cr0)
        for register in Gpr:
            cpu.set_gpr(register, self.gprs.get(register, 0))
        cpu.set_gpr(Gpr.ESP, self.esp)
        cpu.eflags = 2
        cpu.eip = self.eip
        return cpu

    def fast(self, code_buffer: int = 0) -> UnicornCpu:
        cpu = self.start(UnicornCpu(self.ram, code_buffer))
        assert isinstance(cpu, UnicornCpu)
        return cpu

    def oracle(self) -> OracleCpu:
        cpu = self.start(OracleCpu(self.ram))
        assert isinstance(cpu, OracleCpu)
        return cpu


@dataclass(frozen=True, slots=True)
class State:
    """Registers, and hashes of the FPU's and of memory."""

    registers: Registers
    shadowed: bool
    floating: int
    memory: int


_SAVED_FLOATING: Final = 5328 - 600  # the last bytes of a saved state


def state(cpu: AnyCpu) -> State:
    floating = cpu.floating() if isinstance(cpu, OracleCpu) else cpu.save()[-_SAVED_FLOATING:]
    return State(cpu.registers(), cpu.shadowed, hash(floating), hash(cpu.read_physical(0, cpu.ram)))


@dataclass(frozen=True, slots=True)
class Entry:
    """One exit: where, what, and everything that can be seen then."""

    step: int
    exit: Exit | NoMemory
    state: State | None


React = Callable[[AnyCpu, Exit], bool]
"""What the machine does about an exit; False ends the run."""


@dataclass(frozen=True, slots=True)
class Run:
    exits: tuple[Entry, ...]
    samples: dict[int, State]
    end: int


def play(
    cpu: AnyCpu, react: React, limit: int, stops: Iterable[int] = (), at_exit: Callable[[AnyCpu], object] | None = None
) -> Run:
    """Run to `limit` steps or until `react` has enough. The state is sampled at each stop and at the end."""
    exits: list[Entry] = []
    samples: dict[int, State] = {}
    wanted = sorted({stop for stop in stops if stop < limit} | {limit}, reverse=True)
    while wanted:
        if cpu.steps >= wanted[-1]:  # an exit took us there: nothing has been fetched yet, as at the exit
            wanted.pop()
            continue
        found = cpu.run(Step(wanted[-1]))
        if isinstance(found, Arrived):
            assert cpu.steps == wanted[-1]
            samples[cpu.steps] = state(cpu)
            continue
        if isinstance(found, NoMemory | MmioRead | MmioWrite):  # the machine's business, not the CPU's
            exits.append(Entry(cpu.steps - isinstance(found, MmioWrite), NoMemory(), None))
            return Run(tuple(exits), samples, exits[-1].step)
        exits.append(Entry(cpu.steps, found, state(cpu)))
        if not react(cpu, found):
            break
        if at_exit is not None:
            at_exit(cpu)
    samples[-1] = state(cpu)
    return Run(tuple(exits), samples, cpu.steps)
