"""Small guests, recorded, and what they are at every step by a straight run: the oracle of all walking."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

from pvtrace.machine.machine import Machine
from pvtrace.machine.state import save
from pvtrace.model.registers import Registers
from pvtrace.model.step import Step
from pvtrace.session import build
from pvtrace.session.explore import Walk, exploring
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from pvtrace.store.reader import TraceReader
from pvtrace.tape.scripted import ScriptedTape
from tests.machine.guests import GUESTS
from tests.machine.small import RAM, assemble, demo

HZ = 1_000_000
"""So slow that the timer of the guests interrupts them every few hundred steps."""

EVERY = 50
"""Steps between two checkpoints of a recording."""

_FOLDER = TemporaryDirectory(prefix="pvtrace-test-")


@lru_cache(maxsize=32)
def recording(name: str, every: int) -> Path:
    """A guest of tests.machine.guests or a demo, recorded with a checkpoint after so many steps."""
    folder = Path(_FOLDER.name)
    guest = folder / f"{name}.elf"
    guest.write_bytes(assemble(GUESTS[name]) if name in GUESTS else demo(name))
    output = folder / f"{name}-{every}.pvt"
    small = name in GUESTS
    options = RecordOptions(
        guest,
        output,
        console="null",
        checkpoint_every=every,
        ram=RAM if small else 64 << 20,
        hz=HZ if small else 100_000_000,
    )
    return record(options).path


@contextmanager
def walk(name: str, every: int = EVERY, budget: int = 64 << 20) -> Iterator[Walk]:
    with exploring(recording(name, every), budget) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Seen:
    """All that can be observed at one step; `memory` is a checksum."""

    registers: Registers
    state: bytes
    memory: int


def seen(machine: Machine) -> Seen:
    """Only looks: what the machine knows of changed pages stays as it is."""
    return Seen(machine.cpu.registers(), save(machine), crc32(machine.cpu.read_physical(0, RAM)))


@lru_cache(maxsize=8)
def history(name: str) -> dict[Step, Seen]:
    """Every step of a small guest, run straight from one to the next."""
    with TraceReader(recording(name, EVERY)) as trace:
        meta, last, first = trace.meta, trace.last(), trace.checkpoints()[0].step
        given = build.given_from(trace.files, meta.ram, meta.hz, meta.clock, meta.settings)
        machine = build.machine(given, given.boot_image(), ScriptedTape(list(trace.inputs())))
    states: dict[Step, Seen] = {}
    for step in range(first, last + 1):
        machine.run(Step(step))
        states[Step(step)] = seen(machine)
    return states
