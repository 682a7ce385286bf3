"""The boot of a VMI kernel of one's own, recorded by pvtrace, beside QEMU's recording of the same kernel's native boot.

Until a text is on the console: `--kernel` (its vmlinux, for pvtrace), `--bzimage` (the same kernel, for QEMU),
`--initrd`, `--until TEXT`. No such kernel is part of this project.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import click
import shares
from measure import LIMIT, PVTRACE

APPEND: Final = "console=ttyS0"
POLL: Final = 0.005
"""Seconds between two looks at what was said."""


class Boot(NamedTuple):
    """`text`: what the init says last."""

    kernel: Path
    bzimage: Path
    initrd: Path
    text: str


class Said(NamedTuple):
    """Seconds on the wall until the text was there, and until the process had ended; of all CPUs, until its end."""

    text: float
    end: float
    cpu: float


def lines(boot: Boot | None, rounds: int, folder: Path) -> Iterator[str]:
    """The table; one sentence without a kernel."""
    if boot is None:
        yield "boot: needs a VMI kernel of yours: --kernel VMLINUX --bzimage BZIMAGE --initrd CPIO --until TEXT"
        return
    trace = folder / "boot.pvt"
    ours, theirs = raced(boot, rounds, trace)
    yield f"{'seconds, recording':24}{'last line':>12}{'end':>10}{'CPU':>10}"
    yield row("pvtrace, VMI", ours)
    yield row("QEMU, native", theirs)
    yield row("pvtrace / QEMU", Said(*(our / their for our, their in zip(ours, theirs, strict=True))))
    yield ""
    guest = shares.Guest("the boot", boot.kernel, given(boot))
    took = shares.took(guest)
    size = trace.stat().st_size
    yield f"{took.steps:,} steps, {took.events:,} events, {took.exits:,} exits to Python"
    yield f"{size / 1e6:.1f} MB, {size / took.events:.0f} bytes for each event"
    yield ""
    yield from shares.head()
    yield shares.row(guest, rounds)


def row(name: str, said: Said) -> str:
    return f"{name:24}{said.text:12.2f}{said.end:10.2f}{said.cpu:10.2f}"


def given(boot: Boot) -> tuple[str, ...]:
    return "--initrd", str(boot.initrd), "--append", APPEND


def raced(boot: Boot, rounds: int, trace: Path) -> tuple[Said, Said]:
    """pvtrace and QEMU by turns; medians. pvtrace's recording ends when its guest does; QEMU is told to end its own
    when the text is there."""
    log, output = trace.with_suffix(".rr"), trace.with_suffix(".said")
    record = (*PVTRACE, "record", str(boot.kernel), *given(boot), "-o", str(trace), "--force")
    qemu = (
        *("qemu-system-i386", "-m", "64", "-kernel", str(boot.bzimage), "-initrd", str(boot.initrd)),
        *("-append", APPEND, "-nographic", "-no-reboot", "-net", "none"),
        *("-icount", f"shift=0,rr=record,rrfile={log}"),
    )
    times = [(said(record, boot.text, output), said(qemu, boot.text, output, end=True)) for _ in range(rounds)]
    ours, theirs = (Said(*map(median, zip(*each, strict=True))) for each in zip(*times, strict=True))
    return ours, theirs


def said(command: tuple[str, ...], text: str, output: Path, *, end: bool = False) -> Said:
    """Run a command whose `output` says a text at some time. `end`: it will not end by itself behind that."""
    with output.open("wb") as file:
        before, begun = os.times(), time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL)
        try:
            seen = _until(process, text.encode(), output, begun + LIMIT)
            if end:
                process.terminate()
            process.wait(LIMIT)
        finally:
            process.kill()
            process.wait()
        ended, after = time.perf_counter(), os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Said(seen - begun, ended - begun, cpu)


def _until(process: subprocess.Popen[bytes], text: bytes, output: Path, deadline: float) -> float:
    """When the output had the text in it."""
    while True:
        over = process.poll() is not None or time.perf_counter() > deadline
        if text in output.read_bytes():
            return time.perf_counter()
        if over:
            raise click.ClickException(f"{process.args!r} has not said {text.decode()!r}")
        time.sleep(POLL)
