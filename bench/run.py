"""Speed of pvtrace: straight execution beside stock Unicorn and QEMU, events, judging, what goes into checkpoints and
writing, growth, latency, and the boot of a kernel of one's own.

Usage: python bench/run.py [--rounds N] [--only RUNNER]... [--section SECTION]...

Straight execution: every workload (guests/*.c) is built in two lengths and every runner is a process of its own; what
counts is the difference of their wall times, so that starting, loading and ending cancel. Runners take turns within a
round, and the medians over the rounds are shown, so that other load on the machine meets all of them alike.
Instructions are counted by pvtrace's own steps, which are those of QEMU's icount: each REP iteration is one.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean, median

import boot
import click
import events
import judging
import latency
import limits
import shares
from measure import CC, GUESTS, HERE, PVTRACE, compile_with_kit, run

QEMU = (
    *("qemu-system-i386", "-M", "pc", "-m", "64", "-accel", "tcg", "-display", "none", "-monitor", "none"),
    *("-serial", "none", "-parallel", "none", "-net", "none", "-no-reboot"),
)


@dataclass(frozen=True, slots=True)
class Workload:
    """`small` and `big`: how often the work is done, in the two lengths. `kit`: it is linked with the demo kit, whose
    timer then ticks as often for an instruction of pvtrace as for one of QEMU's."""

    name: str
    kind: str
    small: int
    big: int
    kit: bool = False


@dataclass(frozen=True, slots=True)
class Build:
    """A workload, built: the guest's ELF file; its recordings lie beside it. `options`: of recording it."""

    elf: Path
    options: tuple[str, ...] = ()

    @property
    def recording(self) -> Path:
        return self.elf.with_suffix(".pvt")

    @property
    def qemu_log(self) -> Path:
        return self.elf.with_suffix(".rr")


Runner = Callable[[Build], tuple[str, ...]]
"""The command line that runs a guest from start to end."""

WORKLOADS = (
    Workload("loops", "integer loops", 5, 105),
    Workload("copy", "memory copies", 50, 1050),
    Workload("interp", "interpreter", 5, 105),
    Workload("calls", "calls", 50, 1050),
    Workload("paged", "ring 3, timer", 2, 102, kit=True),
)


def qemu(mode: str) -> Runner:
    """QEMU with an exact instruction count, and its own record or replay."""
    return lambda build: (
        *(*QEMU, "-kernel", str(build.elf)),
        *("-icount", f"shift=0,rr={mode},rrfile={build.qemu_log}"),
    )


RUNNERS: dict[str, Runner] = {
    "stock Unicorn": lambda build: () if build.options else (sys.executable, str(HERE / "stock.py"), str(build.elf)),
    "pvtrace record": lambda build: (
        *(*PVTRACE, "record", str(build.elf), "-o", str(build.recording), "--force", "--console", "null"),
        *build.options,
    ),
    "pvtrace replay": lambda build: (*PVTRACE, "replay", str(build.recording)),
    "QEMU record": qemu("record"),
    "QEMU replay": qemu("replay"),
}
"""In the order of a round: a replay needs the recording before it. Stock Unicorn alone runs no kernel."""

BASES = {"stock Unicorn": "/ stock", "QEMU replay": "/ QEMU replay"}
"""What the means are compared with, and the title of that column."""

WIDTH = 15


def build(workload: Workload, rounds: int, folder: Path) -> Build:
    """Compile one length of a workload."""
    elf = folder / f"{workload.name}-{rounds}.elf"
    if workload.kit:
        compile_with_kit(elf, {"ROUNDS": str(rounds)}, f"{workload.name}.c", f"{workload.name}_user.c")
        return Build(elf, ("--vmi", "none", "--hz", "1000000000"))
    sources = (str(GUESTS / "start.S"), str(GUESTS / f"{workload.name}.c"))
    run((*CC, f"-DROUNDS={rounds}", f"-Wl,-T,{GUESTS / 'link.ld'}", "-o", str(elf), *sources))
    return Build(elf)


def steps(built: Build) -> int:
    """Steps from reset to the end of the guest, by pvtrace."""
    if not built.recording.exists():
        run(RUNNERS["pvtrace record"](built))
    info = subprocess.check_output((*PVTRACE, "info", "--json", str(built.recording)), text=True)
    count = json.loads(info)["step"]
    assert isinstance(count, int)
    return count


Row = dict[str, float]
"""MIPS by workload."""


def measure(rounds: int, names: tuple[str, ...], folder: Path) -> dict[str, Row]:
    """Medians over the rounds, for each runner."""
    built = {w.name: (build(w, w.small, folder), build(w, w.big, folder)) for w in WORKLOADS}
    spent: dict[tuple[str, str], list[float]] = {(name, w.name): [] for name in names for w in WORKLOADS}
    for number in range(rounds):
        for workload in WORKLOADS:
            click.echo(f"round {number + 1} of {rounds}: {workload.kind}", err=True)
            small, big = built[workload.name]
            for name in names:
                if not RUNNERS[name](small):
                    continue
                before, after = run(RUNNERS[name](small)), run(RUNNERS[name](big))
                spent[name, workload.name].append(after - before)
    work = {name: steps(big) - steps(small) for name, (small, big) in built.items()}
    rates = {
        name: {w: count / median(times) / 1e6 for w, count in work.items() if (times := spent[name, w])}
        for name in names
    }
    if any(rate <= 0 for row in rates.values() for rate in row.values()):
        raise click.ClickException("too much else runs on this machine: more work took less time")
    return rates


def table(rows: dict[str, Row]) -> list[str]:
    """MIPS for each runner and workload, their geometric mean, and its ratios to the bases."""
    bases = [base for base in BASES if base in rows]
    means = {name: geometric_mean(row.values()) for name, row in rows.items()}
    heads = [*(w.kind for w in WORKLOADS), "mean", *(BASES[base] for base in bases)]
    lines = [f"{'MIPS':{WIDTH}}" + "".join(f"{head:>{WIDTH}}" for head in heads)]
    for name, row in rows.items():
        cells = [f"{row[w.name]:{WIDTH}.1f}" if w.name in row else f"{'-':>{WIDTH}}" for w in WORKLOADS]
        cells.append(f"{means[name]:{WIDTH}.1f}")
        ratios = [f"{ratio(row, rows[base]):{WIDTH}.2f}" for base in bases]
        lines.append(f"{name:{WIDTH}}" + "".join(cells + ratios))
    return lines


def ratio(row: Row, base: Row) -> float:
    """Geometric mean over the workloads that both ran."""
    return geometric_mean([row[name] / base[name] for name in row.keys() & base.keys()])


SECTIONS = ("straight", "events", "judging", "shares", "limits", "latency", "boot")


FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often everything is run.")
@click.option("--section", "sections", multiple=True, type=click.Choice(SECTIONS), help="Only these sections.")
@click.option("--only", multiple=True, type=click.Choice(list(RUNNERS)), help="Only these runners.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the growth to this SVG file.")
@click.option("--kernel", type=FILE, help="boot: the vmlinux of a VMI kernel of yours.")
@click.option("--bzimage", type=FILE, help="boot: the same, for QEMU.")
@click.option("--initrd", type=FILE, help="boot: its initial RAM disk.")
@click.option("--until", "text", metavar="TEXT", help="boot: what its init says last.")
def main(
    rounds: int,
    sections: tuple[str, ...],
    only: tuple[str, ...],
    plot: Path | None,
    kernel: Path | None,
    bzimage: Path | None,
    initrd: Path | None,
    text: str | None,
) -> None:
    """Measure everything and print a table for each section."""
    guest = boot.Boot(kernel, bzimage, initrd, text) if kernel and bzimage and initrd and text else None
    names = tuple(name for name in RUNNERS if not only or name in only)
    measured: dict[str, Callable[[Path], Iterable[str]]] = {
        "straight": lambda folder: table(measure(rounds, names, folder)),
        "events": lambda folder: events.lines(rounds, folder),
        "judging": lambda folder: judging.lines(rounds, folder),
        "shares": lambda folder: shares.lines(rounds, folder),
        "limits": lambda folder: limits.lines(rounds, folder, plot),
        "latency": latency.lines,
        "boot": lambda folder: boot.lines(guest, rounds, folder),
    }
    for section in sections or SECTIONS:
        with tempfile.TemporaryDirectory(prefix="pvtrace-bench-") as folder:
            for line in (*measured[section](Path(folder)), ""):
                click.echo(line)


if __name__ == "__main__":
    main()
