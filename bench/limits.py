"""How costs grow: steps from a million to a billion, events from a thousand to ten million; how long starting takes.

What recording takes, the file and the memory of its recorder, how long one waits for a place in it, and the first
answers about it. growth_plot.py draws the same.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from measure import CC, GUESTS, HERE, LIMIT, PVTRACE, compile_with_kit, run

from pvtrace.session.explore import exploring

STEPS: Final = (10**6, 10**7, 10**8, 10**9)
EVENTS: Final = (10**3, 10**4, 10**5, 10**6, 10**7)
STEPS_OF_A_ROUND: Final = 1_850_000
"""Of guests/interp.c, about."""

EVENTS_OF_A_ROUND: Final = 5
"""Of the section in guests/events.c: three calls, two of which change the flag."""

LONG: Final = 10.0
"""Seconds; what takes longer is run once."""

SEEKS: Final = 50
SEED: Final = 1


class Guest(NamedTuple):
    """`of`: what there is much of in its recording, "steps" or "events". `options`: of recording it."""

    of: str
    elf: Path
    options: tuple[str, ...] = ()


class Recording(NamedTuple):
    """Seconds on the wall and of all CPUs; bytes of the recorder's largest memory."""

    wall: float
    cpu: float
    memory: int


class Point(NamedTuple):
    """What a recording of so many (`amount`) steps or events (`of`) costs. `size` in bytes; milliseconds: `seek`, the
    median of random ones, `worst`, their 99th percentile, `info` and `first`, until `pvtrace info` has answered and
    until `pvtrace events` has printed a line."""

    of: str
    amount: int
    recording: Recording
    size: int
    seek: float
    worst: float
    info: float
    first: float


def lines(rounds: int, folder: Path, plot: Path | None = None) -> Iterator[str]:
    """The table. `plot`: where to draw it."""
    yield f"{'':24}{'recording':>18}{'':20}{'seek in ms':>20}{'pvtrace info':>14}{'pvtrace events':>16}"
    heads = f"{'seconds':>10}{'CPU':>8}{'MB':>9}{'RSS, MB':>11}{'median':>12}{'99 %':>8}{'ms':>14}{'1st line, ms':>16}"
    yield f"{'a recording of':24}{heads}"
    points = []
    for guest in guests(folder):
        points.append(measured(guest, rounds))
        yield row(points[-1])
    yield f"{'pvtrace --help':24}{milliseconds((*PVTRACE, '--help'), rounds):10.0f} ms"
    if plot is not None:
        import_module("growth_plot").draw(points, plot)  # it needs matplotlib, and nothing else here does


def guests(folder: Path) -> Iterator[Guest]:
    for count in STEPS:
        elf = folder / f"steps-{count}.elf"
        often = f"-DROUNDS={count // STEPS_OF_A_ROUND + 1}"
        sources = (str(GUESTS / "start.S"), str(GUESTS / "interp.c"))
        run((*CC, often, f"-Wl,-T,{GUESTS / 'link.ld'}", "-o", str(elf), *sources))
        yield Guest("steps", elf, ("--until", str(count)))
    for count in EVENTS:
        elf = folder / f"events-{count}.elf"
        compile_with_kit(elf, {"EVENT": "section", "ROUNDS": str(count // EVENTS_OF_A_ROUND)}, "events.c")
        yield Guest("events", elf)


def measured(guest: Guest, rounds: int) -> Point:
    """Record a guest and ask about it; medians."""
    trace = guest.elf.with_suffix(".pvt")
    command = (*PVTRACE, "record", str(guest.elf), "-o", str(trace), "--force", "--console", "null", *guest.options)
    runs = [watched(command)]
    while len(runs) < rounds and runs[0].wall < LONG:
        runs.append(watched(command))
    recording = Recording(*(median(column) for column in zip(*runs, strict=True)))
    amount, waits = seeks(trace, guest.of)
    worst = waits[min(len(waits) - 1, round(len(waits) * 0.99))]
    info = milliseconds((*PVTRACE, "info", str(trace)), rounds)
    first = median(first_line((*PVTRACE, "events", str(trace))) for _ in range(rounds))
    size = trace.stat().st_size
    trace.unlink()
    return Point(guest.of, amount, recording, size, median(waits), worst, info, first)


def row(point: Point) -> str:
    wall, cpu, memory = point.recording
    costs = f"{wall:10.2f}{cpu:8.2f}{point.size / 1e6:9.2f}{memory / 1e6:11.0f}"
    waits = f"{point.seek:12.1f}{point.worst:8.1f}{point.info:14.0f}{point.first:16.0f}"
    return f"{f'{point.amount:,} {point.of}':24}{costs}{waits}"


def watched(command: tuple[str, ...]) -> Recording:
    said = subprocess.check_output((sys.executable, str(HERE / "watched.py"), *command), text=True, timeout=LIMIT)
    return Recording(**json.loads(said))


def seeks(trace: Path, of: str) -> tuple[int, list[float]]:
    """How many steps or events there are; the milliseconds to places drawn at random, in order."""
    places = random.Random(SEED)
    with exploring(trace) as walk:
        timeline = walk.timeline
        amount = timeline.last if of == "steps" else walk.trace.progress().mark.events
        timeline.seek(timeline.last)  # what is needed once only has been done
        waits = []
        for _ in range(SEEKS):
            goal = places.randrange(timeline.first, timeline.last)
            begun = time.perf_counter()
            timeline.seek(goal)
            waits.append((time.perf_counter() - begun) * 1e3)
    return amount, sorted(waits)


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
