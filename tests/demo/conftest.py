"""Two machines to run guests on: QEMU, natively, as the one to compare with; and ours, under VMI and natively."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import ROM_ALIGNMENT, ROM_AREA, File, boot_image
from pvtrace.machine.clock import DEFAULT_HZ
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.events import Event, Kind
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop
from pvtrace.tape.scripted import ScriptedTape
from rom.abi import Generation
from rom.build import build, standard

DEADLINE = 60.0  # seconds; a guest needs less than one
RAM = 16 << 20
LIMIT = Step(100_000_000)  # the longest, userland natively, needs a quarter of it


def require(*programs: str) -> None:
    """Skip where a program is missing; but CI must have it."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {', '.join(missing)}")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def run_in_qemu(elf: Path, typed: bytes = b"", prompt: bytes = b"", options: Sequence[str] = ()) -> tuple[int, bytes]:
    """The value that the guest wrote to the debug exit port, and its console.

    What is typed waits for the prompt: QEMU's serial port drops what comes before the guest has set it up.
    """
    command = [
        *("qemu-system-i386", "-kernel", str(elf), "-display", "none", "-serial", "stdio", "-monitor", "none"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-no-reboot"),
        *options,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        deadline = threading.Timer(DEADLINE, qemu.kill)
        deadline.start()
        console = b""
        if typed:
            while not console.endswith(prompt):
                byte = qemu.stdout.read(1)
                if not byte:
                    break
                console += byte
            qemu.stdin.write(typed)
            qemu.stdin.flush()
        console += qemu.stdout.read()
        code = qemu.wait()
        deadline.cancel()
    # isa-debug-exit makes (value << 1) | 1 of it; anything even did not come through the port
    return (code >> 1 if code & 1 else -1), console.replace(b"\r\n", b"\n")


@pytest.fixture
def qemu() -> Callable[..., tuple[int, bytes]]:
    require("qemu-system-i386")
    return run_in_qemu


ROM_STEPS = 2
"""The BIOS calls a ROM's entry, which returns at once: RETF, and the HLT that it returns to."""


def run_here(elf: Path, typed: bytes = b"", roms: Sequence[Generation] = ()) -> tuple[Stop, bytes, Sequence[Event]]:
    """How the guest ended, its console, and all events. What is typed is there from the first step on."""
    placed, at = [], ROM_AREA[0]
    for generation in roms:
        image = build(standard(generation))
        placed.append((at, image))
        at += -(-len(image) // ROM_ALIGNMENT) * ROM_ALIGNMENT
    first = Step(ROM_STEPS * len(placed))
    tape = ScriptedTape([Input(first, InputKind.CONSOLE, data=typed)] if typed else [])
    machine = Machine(UnicornCpu(RAM), tape, Settings(ram=RAM, hz=DEFAULT_HZ))
    machine.boot(boot_image(File(elf.name, elf.read_bytes()), ram_size=RAM, roms=placed))
    stop = machine.run(LIMIT)
    console = b"".join(
        data
        for event in tape.events
        if event.kind is Kind.CONSOLE_OUT
        for data in event.args[:1]
        if isinstance(data, bytes)
    )
    return stop, console, tape.events


@pytest.fixture
def here() -> Callable[..., tuple[Stop, bytes, Sequence[Event]]]:
    return run_here


@pytest.fixture
def nasm() -> Callable[..., bytes]:
    """Assembles a source file, with names defined, to its bytes."""
    require("nasm")

    def run(source: Path, **defines: int) -> bytes:
        options = [f"-D{name}={value}" for name, value in defines.items()]
        command = ["nasm", *options, "-f", "bin", "-o", "/dev/stdout", str(source)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

    return run


@pytest.fixture
def make() -> Callable[..., None]:
    """Runs make with a 32-bit compiler; the output is the message if it fails."""
    require("make", "gcc")
    probe = subprocess.run(
        ["gcc", "-m32", "-xc", "-", "-c", "-o", os.devnull], input=b"", check=False, capture_output=True
    )
    if probe.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have gcc -m32")
        pytest.skip("gcc -m32 is not installed")

    def run(directory: Path, *arguments: str) -> None:
        done = subprocess.run(
            ["make", "-C", str(directory), *arguments], check=False, capture_output=True, text=True, timeout=DEADLINE
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run
