"""What of a recording's time goes into checkpoints, and what into writing.

Checkpoints: the same recording with those at the default spacing, and with none but the first and the last. Writing:
the same run with nothing written at all (unwritten.py). Both as shares of the whole; runs take turns within a round.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from measure import CC, GUESTS, HERE, PVTRACE, Spent, compile_with_kit, run, spent

NONE: Final = str(10**12)
"""Steps between two checkpoints: more than there are."""


HEAD: Final = f"{'share of recording, in %':32}{'seconds':>10}{'checkpoints':>14}{'writing':>10}{'writing, CPU':>14}"


class Guest(NamedTuple):
    """`options`: of recording it, and of running it unwritten."""

    name: str
    elf: Path
    options: tuple[str, ...] = ()


def guests(folder: Path) -> Iterator[Guest]:
    for name, rounds in (("interp", 500), ("copy", 5000)):
        elf = folder / f"{name}.elf"
        sources = (str(GUESTS / "start.S"), str(GUESTS / f"{name}.c"))
        run((*CC, f"-DROUNDS={rounds}", f"-Wl,-T,{GUESTS / 'link.ld'}", "-o", str(elf), *sources))
        yield Guest(name, elf)
    elf = folder / "section.elf"
    compile_with_kit(elf, {"EVENT": "section", "ROUNDS": "200000"}, "events.c")
    yield Guest("a million events", elf)


def lines(rounds: int, folder: Path) -> Iterator[str]:
    """A row for each guest."""
    yield HEAD
    for guest in guests(folder):
        yield row(guest, rounds, folder)


def row(guest: Guest, rounds: int, folder: Path) -> str:
    """`writing`: all of the trace, with its checkpoints and its end."""
    trace = str(folder / "shares.pvt")
    record = (*PVTRACE, "record", str(guest.elf), "-o", trace, "--force", "--console", "null", *guest.options)
    unwritten = (sys.executable, str(HERE / "unwritten.py"), str(guest.elf), *guest.options)
    commands = (record, (*record, "--checkpoint-every", NONE), unwritten)
    times: list[list[Spent]] = [[], [], []]
    for _ in range(rounds):
        for command, found in zip(commands, times, strict=True):
            found.append(spent(command))
    whole, without, bare = (Spent(median(t.wall for t in each), median(t.cpu for t in each)) for each in times)
    checkpoints, writing = (1 - other.wall / whole.wall for other in (without, bare))
    cpu = 1 - bare.cpu / whole.cpu
    return f"{guest.name:32}{whole.wall:10.2f}{checkpoints * 100:14.1f}{writing * 100:10.1f}{cpu * 100:14.1f}"
