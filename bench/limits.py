"""How costs grow: steps from a million to a billion, events from a thousand to ten million; how long starting takes.

A recording's size on disk, the largest memory of its recorder, the first answers about it, and how long a place in it
is waited for. `plot` draws the same (docs/growth.svg).
"""

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import matplotlib
from matplotlib import pyplot
from measure import CC, GUESTS, PVTRACE, compile_with_kit, run, spent

from pvtrace.model.step import Step
from pvtrace.session.explore import exploring

STEPS: Final = (10**6, 10**7, 10**8, 10**9)
EVENTS: Final = (10**3, 10**4, 10**5, 10**6, 10**7)
STEPS_OF_A_ROUND: Final = 1_850_000
"""Of guests/interp.c, about."""

EVENTS_OF_A_ROUND: Final = 5
"""Of the section in guests/events.c: three calls, two of which change the flag."""

SEEKS: Final = 60
SEED: Final = 1


class Point(NamedTuple):
    """What a recording of so many (`amount`) steps or events (`of`) costs: seconds on the wall and of CPU, megabytes on
    disk and in memory, milliseconds of the rest. `seek`: the median."""

    of: str
    amount: int
    wall: float
    cpu: float
    size: float
    memory: float
    seek: float
    worst_seek: float
    info: float
    first: float


def lines(rounds: int, folder: Path, plot: Path | None = None) -> Iterator[str]:
    """The tables. `plot`: where to draw them."""
    costs = f"{'seconds':>10}{'CPU':>8}{'MB':>9}{'RSS in MB':>11}"
    heads = f"{costs}{'seek in ms':>12}{'99 %':>8}{'info in ms':>12}{'first event':>13}"
    yield f"{'a recording of':24}{heads}"
    points = []
    for of, count, elf in guests(folder):
        points.append(measured(of, count, elf, rounds))
        yield row(points[-1])
    yield f"{'pvtrace --help':24}{milliseconds((*PVTRACE, '--help'), rounds):10.0f} ms"
    if plot is not None:
        draw(points, plot)


def guests(folder: Path) -> Iterator[tuple[str, int, Path]]:
    for count in STEPS:
        elf = folder / f"steps-{count}.elf"
        often = f"-DROUNDS={max(1, count // STEPS_OF_A_ROUND)}"
        sources = (str(GUESTS / "start.S"), str(GUESTS / "interp.c"))
        run((*CC, often, f"-Wl,-T,{GUESTS / 'link.ld'}", "-o", str(elf), *sources))
        yield "steps", count, elf
    for count in EVENTS:
        elf = folder / f"events-{count}.elf"
        compile_with_kit(elf, {"EVENT": "section", "ROUNDS": str(count // EVENTS_OF_A_ROUND)}, "events.c")
        yield "events", count, elf


def measured(of: str, count: int, elf: Path, rounds: int) -> Point:
    """Record a guest and ask about it."""
    trace = elf.with_suffix(".pvt")
    command = (*PVTRACE, "record", str(elf), "-o", str(trace), "--force", "--console", "null")
    cost = spent(command)
    memory = largest(command)
    info = milliseconds((*PVTRACE, "info", str(trace)), rounds)
    first = median(first_line((*PVTRACE, "events", str(trace))) for _ in range(rounds))
    times = sorted(seeks(trace))
    worst = times[min(len(times) - 1, round(len(times) * 0.99))]
    size = trace.stat().st_size / 1e6
    trace.unlink()
    return Point(of, count, cost.wall, cost.cpu, size, memory, median(times), worst, info, first)


def row(p: Point) -> str:
    costs = f"{p.wall:10.2f}{p.cpu:8.2f}{p.size:9.2f}{p.memory:11.0f}"
    return f"{f'{p.amount:,} {p.of}':24}{costs}{p.seek:12.1f}{p.worst_seek:8.1f}{p.info:12.0f}{p.first:10.0f} ms"


def seeks(trace: Path) -> Iterator[float]:
    """Milliseconds to places drawn at random."""
    places = random.Random(SEED)
    with exploring(trace) as walk:
        timeline = walk.timeline
        for _ in range(SEEKS):
            goal = places.randrange(timeline.first, timeline.last)
            begun = time.perf_counter()
            timeline.seek(Step(goal))
            yield (time.perf_counter() - begun) * 1e3


def draw(points: list[Point], path: Path) -> None:
    """Both axes by powers of ten; the dotted line is what grows as the work does."""
    matplotlib.rcParams["svg.hashsalt"] = "pvtrace"
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    for axis, of in zip(axes, ("steps", "events"), strict=True):
        here = [point for point in points if point.of == of]
        counts = [point.amount for point in here]
        curves: dict[str, list[float]] = {
            "recording, s": [point.wall for point in here],
            "file, MB": [point.size for point in here],
            "seek, median ms": [point.seek for point in here],
            "pvtrace info, ms": [point.info for point in here],
        }
        for name, values in curves.items():
            axis.loglog(counts, values, marker="o", label=name)
        last = here[-1]
        axis.loglog(counts, [last.wall * count / last.amount for count in counts], ":", color="gray", label="linear")
        axis.set_xlabel(of)
        axis.grid(visible=True, alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


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
