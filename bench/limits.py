"""How costs grow: steps from a million to a billion, events from a thousand to a million; and how long starting takes.

A recording's size on disk, the largest memory of its recorder, and the first answers about it.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from measure import CC, GUESTS, PVTRACE, compile_with_kit, run, spent

STEPS: Final = (10**6, 10**7, 10**8, 10**9)
EVENTS: Final = (10**3, 10**4, 10**5, 10**6)
STEPS_OF_A_ROUND: Final = 1_850_000
"""Of guests/interp.c, about."""

EVENTS_OF_A_ROUND: Final = 5
"""Of the section in guests/events.c: three calls, two of which change the flag."""


def lines(rounds: int, folder: Path) -> Iterator[str]:
    """The tables."""
    heads = f"{'seconds':>10}{'CPU':>8}{'MB':>9}{'RSS in MB':>11}{'info in ms':>12}{'first event':>13}"
    yield f"{'a recording of':24}{heads}"
    traces = []
    for count in STEPS:
        elf = folder / f"steps-{count}.elf"
        rate = f"-DROUNDS={max(1, count // STEPS_OF_A_ROUND)}"
        run(
            (
                *CC,
                rate,
                f"-Wl,-T,{GUESTS / 'link.ld'}",
                "-o",
                str(elf),
                str(GUESTS / "start.S"),
                str(GUESTS / "interp.c"),
            )
        )
        traces.append((f"{count:,} steps", elf))
    for count in EVENTS:
        elf = folder / f"events-{count}.elf"
        compile_with_kit(elf, {"EVENT": "section", "ROUNDS": str(count // EVENTS_OF_A_ROUND)}, "events.c")
        traces.append((f"{count:,} events", elf))
    for name, elf in traces:
        yield grown(name, elf, rounds)
    yield f"{'pvtrace --help':24}{milliseconds((*PVTRACE, '--help'), rounds):10.0f} ms"


def grown(name: str, elf: Path, rounds: int) -> str:
    """Record a guest and ask about it."""
    trace = elf.with_suffix(".pvt")
    command = (*PVTRACE, "record", str(elf), "-o", str(trace), "--force", "--console", "null")
    cost = spent(command)
    memory = largest(command)
    info = milliseconds((*PVTRACE, "info", str(trace)), rounds)
    first = median(first_line((*PVTRACE, "events", str(trace))) for _ in range(rounds))
    size = trace.stat().st_size / 1e6
    return f"{name:24}{cost.wall:10.2f}{cost.cpu:8.2f}{size:9.2f}{memory:11.0f}{info:12.0f}{first:10.0f} ms"


def milliseconds(command: tuple[str, ...], rounds: int) -> float:
    """The median of several runs."""
    return median(run(command) for _ in range(rounds)) * 1e3


def first_line(command: tuple[str, ...]) -> float:
    """Milliseconds until a command says something."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        waited = time.perf_counter() - start
        process.kill()
    return waited * 1e3


def largest(command: tuple[str, ...]) -> float:
    """The most memory that a command has at one time, in MB."""
    watched = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdin=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    said = subprocess.check_output((PVTRACE[0], "-c", watched, *command), text=True)
    return int(said.split()[-1]) * 1024 / 1e6
