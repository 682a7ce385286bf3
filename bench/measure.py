"""How guests of the benchmarks are built, and how commands are timed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

import click

HERE: Final = Path(__file__).parent
GUESTS: Final = HERE / "guests"
LIMIT: Final = 300
"""Seconds after which a run is taken for hanging."""

CC: Final = (
    *("gcc", "-m32", "-march=i686", "-O2", "-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-pic"),
    *("-fno-stack-protector", "-fno-tree-loop-distribute-patterns", "-fno-asynchronous-unwind-tables"),
    *("-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none"),
)
WITHOUT_NUMPY: Final = "import sys; sys.modules['numpy'] = None; from pvtrace.cli.main import main; sys.exit(main())"
PVTRACE: Final = (sys.executable, "-c", WITHOUT_NUMPY, "-q")
"""The command, as quick to start as it is where matplotlib is not: that brings NumPy along, and sqlite-utils loads it
wherever it is."""

KIT: Final = HERE.parent / "pvtrace" / "demo" / "kit"


class Spent(NamedTuple):
    """Seconds of a command: on the wall, and of all CPUs."""

    wall: float
    cpu: float


def compile_with_kit(elf: Path, names: dict[str, str], *sources: str) -> None:
    """Compile sources of guests/ together with the demo kit. `names`: what is defined for them."""
    flags = (
        *CC,
        "-mgeneral-regs-only",
        "-fno-builtin",
        f"-I{KIT}",
        *(f"-D{name}={text}" for name, text in names.items()),
    )
    objects = []
    for source in [*(GUESTS / name for name in sources), *sorted(KIT.glob("*.[cS]"))]:
        if source.name != "guest.c":  # the kit's example
            objects.append(str(elf.with_name(f"{elf.stem}-{source.stem}.o")))
            run((*flags, "-c", "-o", objects[-1], str(source)))
    # guest.ld knows the program of ring 3 by its name
    run((*CC, f"-Wl,-T,{KIT / 'guest.ld'}", "-o", str(elf), *objects))


def run(command: tuple[str, ...]) -> float:
    """Seconds that a command takes; it must succeed."""
    return spent(command).wall


def spent(command: tuple[str, ...]) -> Spent:
    """What a command takes; it must succeed."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(wall, cpu)
