"""Scripts of VMI calls for the generic guest: steps in, what each call did out."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import File, boot_image
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop
from pvtrace.session.build import LOADER, roms_of
from pvtrace.tape.scripted import ScriptedTape
from rom.abi import Generation, Place, by_name
from tests.differences.guests import nasm

RAM: Final = 8 << 20
LIMIT: Final = Step(1_000_000)
HZ: Final = 100_000_000
RESULT: Final = 0x200000
RESULT_SIZE: Final = 128
ENTRY_SIZE: Final = 96
STACK: Final = 0x128000
KERNEL_DATA: Final = 0x10
PROFILES: Final = {Generation.V13: "13.3", Generation.V3: "3.0"}
REGISTERS: Final = ("eax", "ecx", "edx", "ebx", "esi", "edi", "ebp", "esp")
SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs")
MARKS: Final = {
    Place.EAX: 0xA1A1A1A1,
    Place.ECX: 0xC1C1C1C1,
    Place.EDX: 0xD1D1D1D1,
    Place.EBX: 0xB1B1B1B1,
    Place.ESI: 0x51515151,
    Place.EDI: 0xD2D2D2D2,
}
"""What registers hold that are no arguments."""

EBP: Final = 0xB2B2B2B2


@dataclass(frozen=True, slots=True)
class Do:
    """One VMI call. `words`: what lies above the return address, instead of the stack arguments."""

    name: str
    arguments: Mapping[str, int] = field(default_factory=dict)
    words: tuple[int, ...] = ()
    flags: int = 2
    ds: int = KERNEL_DATA
    es: int = KERNEL_DATA

    def registers(self) -> dict[Place, int]:
        """The registers at the entry point."""
        operands = by_name(self.name).arguments
        given = {operand.place: self.arguments[operand.name] for operand in operands}
        return {place: given.get(place, mark) for place, mark in MARKS.items()}

    def stack(self) -> tuple[int, ...]:
        """The words above the return address."""
        given = {operand.place: self.arguments[operand.name] for operand in by_name(self.name).arguments}
        named = tuple(given[place] for place in (Place.STACK1, Place.STACK2) if place in given)
        return self.words or named

    def entry(self, generation: Generation) -> bytes:
        number = by_name(self.name).number(generation)
        assert number is not None
        registers = self.registers()
        order = (Place.EAX, Place.ECX, Place.EDX, Place.EBX, Place.ESI, Place.EDI)
        words = self.stack()
        numbers = (1, number, *(registers[place] for place in order), EBP, self.flags, self.ds, self.es, len(words))
        return struct.pack(f"<{len(numbers) + len(words)}I", *numbers, *words).ljust(ENTRY_SIZE, b"\0")


@dataclass(frozen=True, slots=True)
class Store:
    """A doubleword in memory."""

    address: int
    value: int

    def entry(self, _generation: Generation) -> bytes:
        return struct.pack("<3I", 3, self.address, self.value).ljust(ENTRY_SIZE, b"\0")


@dataclass(frozen=True, slots=True)
class AwaitTimer:
    """IRQ 0 becomes pending; it is delivered as soon as virtual IF is set."""

    def entry(self, _generation: Generation) -> bytes:
        return struct.pack("<I", 2).ljust(ENTRY_SIZE, b"\0")


StepOf = Do | Store | AwaitTimer


@dataclass(frozen=True, slots=True)
class Result:
    """How a call came back. `how`: "returned", "landed", "user", "no entry point", "fault" or "not at all"."""

    how: str
    after: Mapping[str, int]
    before: Mapping[str, int]
    address: int
    fault: tuple[int, int, int]


HOW: Final = ("not at all", "returned", "landed", "user", "no entry point", "fault")


@dataclass(frozen=True, slots=True)
class Guest:
    """The assembled guest of a generation, and where its labels are."""

    image: bytes
    site: int
    landed: int
    user_landed: int
    irqs: int
    irq_eip: int
    gdt: int


@lru_cache(maxsize=4)
def guest(generation: Generation, paging: bool = False) -> Guest:
    source = (Path(__file__).parent / "guest.asm").read_text(encoding="ascii")
    options = "%define PAGING\n" if paging else ""
    image = nasm(f"%define MAJOR {int(generation)}\n{options}{source}")
    at = image.index(b"ADDR") + 4
    _, site, landed, user_landed, irqs, irq_eip, gdt, _ = struct.unpack_from("<8I", image, at)
    return Guest(image, site, landed, user_landed, irqs, irq_eip, gdt)


@dataclass(frozen=True, slots=True)
class Ran:
    """A script at its end. `results` are of the calls alone, in order, as far as it came."""

    generation: Generation
    machine: Machine
    stop: Stop
    events: Sequence[Event]
    results: Sequence[Result]
    guest: Guest

    def word(self, address: int) -> int:
        return int.from_bytes(self.machine.cpu.read_physical(address, 4), "little")

    def of(self, kind: Kind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]

    def calls(self) -> list[Event]:
        """The logged calls that were made at the script's site."""
        return [event for event in self.of(Kind.HYPERCALL) if event.pc == self.guest.site]

    def irqs(self) -> int:
        return self.word(self.guest.irqs)

    def irq_eip(self) -> int:
        return self.word(self.guest.irq_eip)


def _result(words: Sequence[int]) -> Result:
    after = dict(zip((*REGISTERS, "flags", *SEGMENTS), words[1:16], strict=True))
    before = dict(zip(("esp", *SEGMENTS), words[18:25], strict=True))
    return Result(HOW[words[0] % len(HOW)], after, before, words[16], (words[25], words[26], words[27]))


def image(generation: Generation, steps: Sequence[StepOf], paging: bool = False) -> bytes:
    """The guest with its script, as a file to boot."""
    script = b"".join(step.entry(generation) for step in steps) + bytes(ENTRY_SIZE)
    return guest(generation, paging).image + script


def run(generation: Generation, steps: Sequence[StepOf], paging: bool = False, limit: Step = LIMIT) -> Ran:
    """Run a script on a machine with the ROM of that generation alone. `paging`: 4 MiB are mapped, and no more."""
    tape = ScriptedTape()
    machine = Machine(UnicornCpu(RAM), tape, Settings(ram=RAM, hz=HZ))
    file = File("calls.bin", image(generation, steps, paging))
    machine.boot(boot_image(file, ram_size=RAM, roms=roms_of(PROFILES[generation]), loader=LOADER))
    stop = machine.run(limit)
    calls = [step for step in steps if isinstance(step, Do)]
    raw = machine.cpu.read_physical(RESULT, RESULT_SIZE * len(calls))
    words = struct.unpack(f"<{len(raw) // 4}I", raw)
    size = RESULT_SIZE // 4
    results = [_result(words[at : at + size]) for at in range(0, len(words), size)]
    return Ran(generation, machine, stop, tape.events, results, guest(generation, paging))
