"""Tiny guests: assembled once, run on our machine with and without VMI, and all together in one start of QEMU."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import File, boot_image
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.session.build import LOADER, roms_of
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.x86.latitude import DEFAULT, Latitude

HERE: Final = Path(__file__).parent
RAM: Final = 4 << 20
LIMIT: Final = Step(2_000_000)
UNSEEN: Final = 0xCCCCCCCC
"""A report that the guest did not come to."""

REPORT_PORT: Final = 0xE9
QEMU_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Case:
    """A guest, and what it reports natively and under VMI, as the catalogue of differences says.

    `source` is put behind skeleton.inc, with the names of `options` defined. Instead of reports, `native` or `vmi` may
    be how the run ends. `not_in_qemu`: the reason why the native half is not compared with QEMU.
    """

    name: str
    source: str
    native: tuple[int, ...] | Why
    vmi: tuple[int, ...] | Why
    options: tuple[str, ...] = ()
    not_in_qemu: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a guest ended, what it reported, and all that happened."""

    stop: Stop
    reports: tuple[int, ...]
    events: Sequence[Event]

    def notes(self) -> list[str]:
        return [str(event.args[0]) for event in self.events if event.kind is Kind.NOTE]


def nasm(source: str) -> bytes:
    """A flat binary. Fails with nasm's own words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guest.asm"
        path.write_text(source, encoding="ascii")
        command = ["nasm", "-w-all", "-f", "bin", "-i", f"{HERE}/", "-o", f"{folder}/bin", str(path)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return (Path(folder) / "bin").read_bytes()


@lru_cache(maxsize=512)
def assemble(source: str, options: tuple[str, ...] = ()) -> bytes:
    """A Multiboot kernel."""
    defines = "\n".join(f"%define {name}" for name in options)
    return nasm(f'{defines}\n%include "skeleton.inc"\n{source}\n%include "skeleton_end.inc"\n')


def reports(sent: bytes) -> tuple[tuple[int, ...], bytes]:
    """One guest's reports, and what was sent behind them."""
    words = [int.from_bytes(sent[at : at + 4], "little") for at in range(0, len(sent) - 3, 4)]
    if not words:
        return (), b""
    count = words[0]
    return tuple(words[1 : 1 + count]), sent[4 + 4 * count :]


def run(case: Case, profile: str, latitude: Latitude = DEFAULT, user_if: bool = False) -> Outcome:
    """On our machine. `profile`: "13.3" or "none"."""
    tape = ScriptedTape()
    machine = Machine(UnicornCpu(RAM), tape, Settings(ram=RAM, hz=100_000_000, latitude=latitude, user_if=user_if))
    guest = File(f"{case.name}.bin", assemble(case.source, case.options))
    machine.boot(boot_image(guest, ram_size=RAM, roms=roms_of(profile), loader=LOADER))
    stop = machine.run(LIMIT)
    written = [event.args for event in tape.events if event.kind is Kind.PORT_WRITE]
    sent = bytes(value for port, _, value in written if port == REPORT_PORT and isinstance(value, int))
    return Outcome(stop, reports(sent)[0], tape.events)


def in_qemu(cases: Sequence[Case]) -> list[tuple[int, ...]]:
    """The reports of each guest, natively, in one start of QEMU; fewer if one of them did not come back."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "driver").write_bytes(nasm((HERE / "driver.asm").read_text(encoding="ascii")))
        names = [f"g{number}" for number in range(len(cases))]
        for name, case in zip(names, cases, strict=True):
            (Path(folder) / name).write_bytes(assemble(case.source, case.options))
        command = [
            *("qemu-system-i386", "-m", "16", "-kernel", "driver", "-initrd", ",".join(names)),
            *("-display", "none", "-serial", "none", "-monitor", "none", "-no-reboot", "-vga", "none", "-net", "none"),
            *("-debugcon", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        ]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, check=False, timeout=QEMU_SECONDS, stdin=subprocess.DEVNULL
            )
            sent = done.stdout
        except subprocess.TimeoutExpired as expired:
            sent = expired.stdout or b""
    found = []
    while sent:
        one, sent = reports(sent)
        found.append(one)
    return found
