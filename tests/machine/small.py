"""Guests of a few instructions of nasm on a real machine, with everything in memory that they did."""

import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import File, boot_image
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.events import KINDS, Event, Kind
from pvtrace.model.inputs import Input, Tape
from pvtrace.model.registers import Gpr
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop
from pvtrace.session.build import LOADER, roms_of
from pvtrace.tape.scripted import ScriptedTape

RAM: Final = 4 << 20
LOAD_AT: Final = 0x100000
HEADERS: Final = 52 + 32
ENTRY: Final = LOAD_AT + HEADERS
LIMIT: Final = Step(2_000_000)
"""Longer than any guest here runs."""

PRELUDE: Final = (Path(__file__).parent / "prelude.inc").read_text(encoding="ascii")


def elf(code: bytes) -> bytes:
    """A 32-bit ELF executable of one segment at 1 MiB that begins with these instructions, and 64 KiB of zeros."""
    header = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, ENTRY, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    size = HEADERS + len(code)
    segment = struct.pack("<8I", 1, 0, LOAD_AT, LOAD_AT, size, size + 0x10000, 7, 0x1000)
    return b"\x7fELF\x01\x01\x01" + bytes(9) + header + segment + code


@lru_cache(maxsize=256)
def assemble(source: str, paravirtual: bool = True) -> bytes:
    """An ELF file from nasm instructions behind the prelude, whose INIT is empty for a native guest."""
    text = f"%define PARAVIRTUAL {int(paravirtual)}\n{PRELUDE}\n{source}\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guest.asm"
        path.write_text(text, encoding="ascii")
        done = subprocess.run(["nasm", "-f", "bin", "-o", folder + "/bin", path], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return elf((Path(folder) / "bin").read_bytes())


@lru_cache(maxsize=8)
def demo(name: str) -> bytes:
    """The ELF file of a demo guest."""
    return resources.files("pvtrace.demo").joinpath(f"{name}.elf").read_bytes()


def machine(
    guest: bytes,
    tape: Tape,
    profile: str = "13.3",
    ram: int = RAM,
    roms: Iterable[tuple[int, bytes]] | None = None,
    **settings: Any,
) -> Machine:
    """A booted machine. `settings`: of machine.Settings."""
    built = Machine(UnicornCpu(ram), tape, Settings(**{"ram": ram, "hz": 100_000_000, **settings}))
    placed = roms_of(profile) if roms is None else tuple(roms)
    built.boot(boot_image(File("guest.elf", guest), ram_size=ram, roms=placed, loader=LOADER))
    return built


@dataclass(frozen=True, slots=True)
class Ran:
    """A guest at its end, and what it did."""

    machine: Machine
    stop: Stop
    events: Sequence[Event]

    def gpr(self, register: Gpr) -> int:
        return self.machine.cpu.gpr(register)

    def word(self, address: int) -> int:
        return int.from_bytes(self.machine.cpu.read_physical(address, 4), "little")

    def of(self, kind: Kind) -> list[dict[str, int | bytes | str | None]]:
        """The events of a kind, by the names of their columns, and with step, pc and cpl."""
        rows = []
        for event in self.events:
            if event.kind is kind:
                columns = KINDS[kind].columns
                args = (*event.args, *(None,) * (len(columns) - len(event.args)))
                own = {"step": event.step, "pc": event.pc, "cpl": event.flags >> 35 & 3, "flags": event.flags}
                rows.append({**own, **dict(zip(columns, args, strict=True))})
        return rows

    @property
    def vectors(self) -> list[int]:
        """Of the exceptions, in order."""
        return [event.args[0] for event in self.events if event.kind is Kind.EXCEPTION]  # type: ignore[misc]

    @property
    def notes(self) -> list[str]:
        return [str(event.args[0]) for event in self.events if event.kind is Kind.NOTE]


def run(
    source: str,
    *,
    paravirtual: bool = True,
    inputs: Sequence[Input] = (),
    limit: Step = LIMIT,
    profile: str | None = None,
    roms: Iterable[tuple[int, bytes]] | None = None,
    **settings: Any,
) -> Ran:
    """Assemble and run a guest until it ends. `settings`: of machine.Settings."""
    tape = ScriptedTape(inputs)
    chosen = profile or ("13.3" if paravirtual else "none")
    built = machine(assemble(source, paravirtual), tape, chosen, roms=roms, **settings)
    stop = built.run(limit)
    return Ran(built, stop, tape.events)


class Walk:
    """A machine with all of its memory by frames, as far as it differs from zero: what a trace keeps."""

    def __init__(self, built: Machine) -> None:
        self.machine = built
        self.pages: dict[int, bytes] = {}

    def snapshot(self) -> Snapshot:
        taken = self.machine.snapshot()
        self.pages.update(taken.pages)
        return taken

    def full(self) -> tuple[bytes, dict[int, bytes]]:
        """State and all frames that are not zero."""
        taken = self.snapshot()
        return taken.state, {frame: data for frame, data in self.pages.items() if any(data)}
