"""How long one waits for a place in a recording of a billion steps, forwards and backwards; and QEMU beside it.

Usage: python bench/latency.py [--steps N]

Seeks and reverse steps are timed in the timeline, as gdb and the terminal UI use it, at places drawn at random;
the searches backwards begin at the end. The long one is told of its progress. QEMU replays the same guest and is asked
by the same protocol for a reverse step at three distances from its snapshot, of which it makes one, at the start.
"""

import random
import re
import socket
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import click
from measure import PVTRACE, run

from gdbstub.agent import Expression
from gdbstub.packet import encode, expand
from pvtrace.gdb.points import BreakpointSet
from pvtrace.model.step import Step
from pvtrace.session.explore import Walk, exploring
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from pvtrace.timeline.stops import Way

GUESTS: Final = Path(__file__).parent / "guests"
CC: Final = (
    *("gcc", "-m32", "-march=i686", "-O1", "-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-pic"),
    *("-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none"),
)
SIZE: Final = 1_000_000_000
ROUND: Final = 100
"""Steps of a round of the guest, about; the guest is measured, not trusted."""

BACK: Final = 10_000_000
"""Steps to the place that is looked for from the end."""

SEED: Final = 1
SEEKS: Final = 200
OPENINGS: Final = 10
STARTED: Final = ("info", "screen")
"""Commands that tell of a recording; the second puts a machine to its last step for that."""

REVERSE_STEPS: Final = 20
"""At each of SEEKS / REVERSE_STEPS places."""

DISTANCES: Final = (1_000_000, 5_700_000, 20_000_000)
"""Steps from its snapshot at which QEMU steps back."""

QEMU_STEPS: Final = 5
LIMIT: Final = 30.0
"""Seconds after which QEMU is taken for hanging."""

WIDTH: Final = 78

Row = tuple[str, str]


def build(folder: Path, steps: int) -> Path:
    """The guest of about so many steps."""
    elf = folder / f"walk-{steps}.elf"
    sizes = (f"-DROUNDS={steps // ROUND}u", f"-DBACK={min(BACK, steps // 2) // ROUND}u")
    sources = (str(GUESTS / "start.S"), str(GUESTS / "walk.c"))
    subprocess.run([*CC, *sizes, f"-Wl,-T,{GUESTS / 'link.ld'}", "-o", str(elf), *sources], check=True)
    return elf


# ---------------------------------------------------------------------------------------------------------- pvtrace


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


def spread(times: list[float]) -> str:
    ordered = sorted(times)
    worst = ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    return f"median {statistics.median(times):8.1f} ms, 99th percentile {worst:8.1f} ms"


def equals(number: int) -> Expression:
    """EAX is `number`, in gdb's bytecode: reg 0, const32, equal, end."""
    return Expression(b"\x26\x00\x00\x24" + number.to_bytes(4, "big") + b"\x13\x27")


def walks(path: Path) -> Iterator[Row]:
    """All that is measured in one recording, each search in a walk of its own, which has seen nothing yet."""
    places = random.Random(SEED)
    with exploring(path) as walk:
        timeline = walk.timeline
        yield "recording", f"{timeline.last:,} steps, {path.stat().st_size / 1e6:.1f} MB"
    opened = statistics.median(timed(partial(_open, path)) for _ in range(OPENINGS))
    yield "opened, and standing at its last step", f"median {opened:8.1f} ms"
    for command in STARTED:
        waited = statistics.median(run((*PVTRACE, command, str(path))) for _ in range(OPENINGS)) * 1e3
        yield f"pvtrace {command}, from the start of its process to its end", f"median {waited:8.1f} ms"
    with exploring(path) as walk:
        timeline = walk.timeline
        goals = [places.randrange(timeline.first, timeline.last) for _ in range(SEEKS)]
        yield f"seek to {SEEKS} random places", spread([timed(partial(timeline.seek, goal)) for goal in goals])
    with exploring(path) as walk:
        timeline = walk.timeline
        times = []
        for goal in goals[: SEEKS // REVERSE_STEPS]:
            timeline.seek(goal)
            times += [timed(lambda: timeline.move(-1)) for _ in range(REVERSE_STEPS)]
        yield f"{len(times)} reverse steps at {SEEKS // REVERSE_STEPS} of them", spread(times)
    yield _back(path, "near", None)
    with exploring(path) as walk:
        rounds = _value(walk, walk.timeline.last)
    yield _back(path, "often", rounds - BACK // ROUND)
    yield _back(path, "far", None)


def _open(path: Path) -> None:
    with exploring(path) as walk:
        walk.timeline.seek(walk.timeline.last)


def _value(walk: Walk, end: Step) -> int:
    """The number of the last round: EAX where it begins."""
    address = walk.symbols.address_of("often")
    assert address is not None
    walk.timeline.seek(end)
    BreakpointSet(walk.timeline).insert(address, ())
    walk.timeline.go(Way.BACKWARD)
    return walk.timeline.machine.cpu.gpr(0)


def _back(path: Path, symbol: str, argument: int | None) -> Row:
    """From the end back to a breakpoint; `argument`: only where EAX is this."""
    with exploring(path) as walk:
        timeline, address = walk.timeline, walk.symbols.address_of(symbol)
        assert address is not None
        timeline.seek(timeline.last)
        BreakpointSet(timeline).insert(address, () if argument is None else (equals(argument),))
        told: list[int] = []
        timeline.progress(told.append)
        spent = timed(lambda: timeline.go(Way.BACKWARD))
        assert timeline.breakpoint_here() is not None
        distance = timeline.last - timeline.here
        between = "" if argument is None else f", hit {BACK // ROUND:,} times between"
        progress = f", progress told {len(told)} times" if symbol == "far" else ""
        return f"reverse-continue {distance / 1e6:.1f} million steps{between}", f"{spent:8.1f} ms{progress}"


# ------------------------------------------------------------------------------------------------------------- QEMU


def empty_image(path: Path, size: int = 1 << 30) -> None:
    """An empty qcow2 image (version 2, clusters of 64 KiB) for QEMU's snapshots: header, refcounts, L1 table."""
    cluster = 1 << 16
    tables = size // (cluster * cluster // 8)
    fields = (b"QFI\xfb", 2, 0, 0, 16, size, 0, tables, 3 * cluster, cluster, 1, 0, 0)
    header = struct.pack(">4sIQIIQIIQQIIQ", *fields)
    table = struct.pack(">Q", 2 * cluster)
    counts = struct.pack(">4H", 1, 1, 1, 1)
    path.write_bytes(b"".join(part.ljust(cluster, b"\0") for part in (header, table, counts, b"")))


def qemu(folder: Path, elf: Path, mode: str) -> list[str]:
    return [
        *("qemu-system-i386", "-M", "pc", "-m", "64", "-accel", "tcg", "-display", "none", "-monitor", "none"),
        *("-serial", "none", "-parallel", "none", "-net", "none", "-no-reboot", "-kernel", str(elf)),
        *("-icount", f"shift=0,rr={mode},rrfile={folder / 'qemu.rr'},rrsnapshot=init"),
        *("-drive", f"file={folder / 'qemu.qcow2'},if=none,id=rr"),
    ]


class Remote:
    """QEMU's stub."""

    def __init__(self, port: int) -> None:
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self._data = b""

    def ask(self, request: bytes) -> bytes:
        self._socket.sendall(encode(request))
        return self._packet()

    def monitor(self, command: str) -> str:
        """What a command of QEMU's monitor says."""
        self._socket.sendall(encode(b"qRcmd," + command.encode().hex().encode()))
        said = b""
        while (packet := self._packet()) != b"OK":
            said += bytes.fromhex(packet[1:].decode()) if packet.startswith(b"O") else b""
        return said.decode()

    def _packet(self) -> bytes:
        while not (packet := re.search(rb"\$([^#]*)#..", self._data)):
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError
            self._data += data
        self._data = self._data[packet.end() :]
        self._socket.sendall(b"+")
        return expand(packet[1])

    def seek(self, instruction: int) -> None:
        """Go forwards to this many instructions from the start."""
        self.monitor(f"replay_seek {instruction}")
        deadline = time.monotonic() + LIMIT
        while f"instruction count = {instruction}" not in self.monitor("info replay"):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.05)


@contextmanager
def qemu_replaying(folder: Path, elf: Path) -> Iterator[Remote]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*qemu(folder, elf, "replay"), "-S", "-gdb", f"tcp:127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Remote(port)
    finally:
        process.kill()
        process.wait()


def qemu_rows(folder: Path) -> Iterator[Row]:
    """How long a reverse step takes, by how far from its snapshot it is made."""
    elf = build(folder, 2 * max(DISTANCES))
    empty_image(folder / "qemu.qcow2")
    recording = qemu(folder, elf, "record")
    subprocess.run(recording, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=True)
    for distance in DISTANCES:
        times: list[float] = []
        said = ""
        try:
            with qemu_replaying(folder, elf) as remote:
                remote.seek(distance)
                for _ in range(QEMU_STEPS):
                    times.append(timed(partial(remote.ask, b"bs")))
        except (TimeoutError, ConnectionError):
            said = f", then no answer in {LIMIT:.0f} s"
        values = f"median {statistics.median(times):8.1f} ms" if times else "none answered"
        yield f"QEMU, a reverse step at {distance / 1e6:.1f} million instructions", f"{values} of {len(times)}{said}"


# -------------------------------------------------------------------------------------------------------------- both


def measure(folder: Path, steps: int = SIZE) -> Iterator[Row]:
    """What was measured, and its value, row by row."""
    path = record(RecordOptions(build(folder, steps), folder / "walk.pvt", vmi="none", console="null")).path
    yield from walks(path)
    yield from qemu_rows(folder)


def lines(folder: Path, steps: int = SIZE) -> Iterator[str]:
    """A line for each."""
    return (f"{what:<{WIDTH}}{value}" for what, value in measure(folder, steps))


@click.command()
@click.option(
    "--steps", default=SIZE, show_default=True, type=click.IntRange(2 * BACK), help="Length of the recording."
)
def main(steps: int) -> None:
    """Measure, and print a line for each result."""
    with tempfile.TemporaryDirectory(prefix="pvtrace-bench-") as folder:
        for line in lines(Path(folder), steps):
            click.echo(line)


if __name__ == "__main__":
    main()
