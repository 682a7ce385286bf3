"""The boot of a VMI kernel of one's own, recorded by pvtrace, beside QEMU's recording of its native boot.

Until a text is on the console: `--kernel` (its vmlinux, for pvtrace), `--bzimage` (the same kernel, for QEMU),
`--initrd`, `--console TEXT`. No such kernel is part of this project.
"""

import json
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


def lines(boot: Boot | None, rounds: int, folder: Path) -> Iterator[str]:
    """The table; one sentence without a kernel."""
    if boot is None:
        yield "boot: needs a VMI kernel of yours: --kernel VMLINUX --bzimage BZIMAGE --initrd CPIO --console TEXT"
        return
    trace = folder / "boot.pvt"
    log = folder / "boot.rr"
    given = ("--initrd", str(boot.initrd), "--append", APPEND)
    ours = (*PVTRACE, "record", str(boot.kernel), *given, "-o", str(trace), "--force")
    qemu = (
        *("qemu-system-i386", "-m", "64", "-kernel", str(boot.bzimage), "-initrd", str(boot.initrd)),
        *("-append", APPEND, "-nographic", "-no-reboot", "-net", "none"),
        *("-icount", f"shift=0,rr=record,rrfile={log}"),
    )
    times: dict[str, list[float]] = {"pvtrace record": [], "QEMU record": []}
    for _ in range(rounds):
        for found, command in zip(times.values(), (ours, qemu), strict=True):
            found.append(said(command, boot.text, folder / "said"))
    seconds = {name: median(found) for name, found in times.items()}
    ratio = seconds["pvtrace record"] / seconds["QEMU record"]
    yield f"{'seconds until the last line':32}{'seconds':>10}"
    for name, value in seconds.items():
        yield f"{name:32}{value:10.2f}"
    yield f"{'pvtrace / QEMU':32}{ratio:10.2f}"
    yield f"{'bytes for each event':32}{trace.stat().st_size / events(trace):10.0f}"
    yield ""
    yield shares.HEAD
    yield shares.row(shares.Guest("the boot", boot.kernel, given), rounds, folder)


def events(trace: Path) -> int:
    count = json.loads(subprocess.check_output((*PVTRACE, "info", "--json", str(trace)), text=True))["events"]
    assert isinstance(count, int)
    return count


def said(command: tuple[str, ...], text: str, output: Path) -> float:
    """Seconds until a command has said a text; it may then end by itself, or is ended."""
    with output.open("wb") as file:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL)
        while text.encode() not in output.read_bytes():
            if time.perf_counter() - begun > LIMIT or process.poll() is not None:
                process.kill()
                raise click.ClickException(f"{command[0]} has not said {text!r}")
            time.sleep(POLL)
        waited = time.perf_counter() - begun
        if command[0] != PVTRACE[0]:
            process.kill()
        process.wait()
    return waited
