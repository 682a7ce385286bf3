"""What of a recording's time goes into checkpoints, and what into writing.

Checkpoints: the same recording with those at the default spacing, and with the first and the last alone, which every
recording has; by its time, and by the CPU time of what makes them. Writing: the same run with a writer that throws
everything away (recorder.py). All are shares of the whole recording. They take turns within a round, and the least of
each time counts, since other work on the machine only adds to it: the differences are small.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from measure import CC, GUESTS, HERE, LIMIT, compile_with_kit, run
from recorder import Took

NEVER: Final = str(10**12)
"""Steps between two checkpoints: more than there are."""

TIMED: Final = ("--vmi", "none", "--hz", "1000000000")
"""Recording the guest in ring 3, see run.py."""


WIDTH: Final = 9


class Guest(NamedTuple):
    """`options`: of recording it."""

    name: str
    elf: Path
    options: tuple[str, ...] = ()


def lines(rounds: int, folder: Path) -> Iterator[str]:
    """A row for each guest."""
    yield from head()
    for guest in guests(folder):
        yield row(guest, rounds)


def guests(folder: Path) -> Iterator[Guest]:
    """What only computes, copies, runs under a timer in ring 3, and does nothing but make calls."""
    for name, kind, count in (("interp", "interpreter", 250), ("copy", "memory copies", 5000)):
        elf = folder / f"{name}.elf"
        sources = (str(GUESTS / "start.S"), str(GUESTS / f"{name}.c"))
        run((*CC, f"-DROUNDS={count}", f"-Wl,-T,{GUESTS / 'link.ld'}", "-o", str(elf), *sources))
        yield Guest(kind, elf)
    elf = folder / "paged.elf"
    compile_with_kit(elf, {"ROUNDS": "150"}, "paged.c", "paged_user.c")
    yield Guest("ring 3, timer", elf, TIMED)
    elf = folder / "section.elf"
    compile_with_kit(elf, {"EVENT": "section", "ROUNDS": "200000"}, "events.c")
    yield Guest("a million events", elf)


def head() -> Iterator[str]:
    """Two lines above the rows. `guest`, `writer`: the thread that checkpoints are made on."""
    yield f"{'share of recording, in %':24}{'checkpoints':>29}{'writing':>43}"
    cells = "".join(f"{title:>{WIDTH}}" for title in ("number", "wall", "CPU", "guest", "writer", "wall", "CPU"))
    yield f"{'':24}{'seconds':>{WIDTH}}{'CPU':>{WIDTH}}{cells}"


def row(guest: Guest, rounds: int) -> str:
    """Each recording is a process of its own."""
    ways: tuple[tuple[str, ...], ...] = ((), ("--checkpoint-every", NEVER), ("--unwritten",))
    times = [[took(guest, *way) for way in ways] for _ in range(rounds)]
    whole, bare, unwritten = (Took(*map(min, zip(*each, strict=True))) for each in zip(*times, strict=True))
    shares = (
        1 - bare.wall / whole.wall,
        1 - bare.cpu / whole.cpu,
        (whole.taking - bare.taking) / whole.cpu,
        (whole.keeping - bare.keeping) / whole.cpu,
        1 - unwritten.wall / whole.wall,
        1 - unwritten.cpu / whole.cpu,
    )
    costs = f"{whole.wall:{WIDTH}.2f}{whole.cpu:{WIDTH}.2f}{whole.checkpoints - bare.checkpoints:{WIDTH}}"
    return f"{guest.name:24}{costs}" + "".join(f"{share * 100:{WIDTH}.1f}" for share in shares)


def took(guest: Guest, *options: str) -> Took:
    """What recording it takes."""
    command = (sys.executable, str(HERE / "recorder.py"), str(guest.elf), *guest.options, *options)
    said = subprocess.check_output(command, stdin=subprocess.DEVNULL, text=True, timeout=LIMIT)
    return Took(**json.loads(said))
