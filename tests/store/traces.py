"""Real traces for tests: small, written by the real writer."""

import random
from collections.abc import Iterator
from pathlib import Path

from pvtrace.model.digest import Mark
from pvtrace.model.events import Attempt, Event, Kind, Outcome, pack_flags
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.store.contents import Contents
from pvtrace.store.meta import Meta
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Symbol, TraceFile
from pvtrace.store.writer import TraceWriter

META = Meta(
    pvtrace="0.1.0",
    engine="unicorn",
    engine_version="2.1.4",
    ram=64 << 20,
    hz=100_000_000,
    clock="virtual",
    vmi="both",
    command_line=("pvtrace", "record", "guest.elf"),
    recorded_at="2026-11-25T12:00:00Z",
    settings={"append": "quiet", "checkpoint_every": 1000},
)
GUEST = TraceFile("guest", "guest.elf", b"\x7fELF" + bytes(5000))
ROM = TraceFile("rom", "vmi-3.0.rom", b"\x55\xaa" * 512)
SYMBOLS = (Symbol("kernel_main", 0x100000, 0x100, "guest.elf"), Symbol("user_main", 0x400000, 0x40, "guest.elf"))

KERNEL = pack_flags(0x202, vif=True, viopl=0, cpl=1)
USER = pack_flags(0x202, vif=True, viopl=0, cpl=3)


def page(step: int, number: int) -> bytes:
    """What the tests put in page `number` at `step`: half of it compresses."""
    return random.Random(step * 1000 + number).randbytes(2048) + bytes(2048)


def snapshot(step: int, pages: int = 3) -> Snapshot:
    return Snapshot(
        Step(step),
        b"state at %d" % step,
        {number: page(step, number) for number in range(pages)},
        bytes([step % 251] * 16),
    )


def events_at(step: int) -> list[Event]:
    """One to three events of a step, of many kinds."""
    call = Event(Step(step), Kind.HYPERCALL, 0x100010, KERNEL, (3 << 8 | 32, 0x200, 1, 2, 2**64 - 1, 0x200))
    fault = Event(Step(step), Kind.EXCEPTION, 0x400004, USER, (14, 6, 0xBFFFF000, 0x3202, 0x100080, 0x9000))
    popf = Event(
        Step(step),
        Kind.FLAG_ATTEMPT,
        0x40001F,
        USER,
        (Attempt.POPF, 0x002, 0x202, 0x202, 0x202, Outcome.IGNORED),
    )
    console = Event(Step(step), Kind.CONSOLE_OUT, 0x100020, KERNEL, (b"hello\xff\n",))
    caused = Event(Step(step), Kind.NOTE, 0, 0, ("a note",), cause=0)
    return [[call], [call, fault], [popf], [console, caused], [fault, popf, console]][step % 5]


def input_at(step: int) -> Input | None:
    if step % 7 == 3:
        return Input(Step(step), InputKind.CONSOLE, data=b"key %d" % step)
    if step % 7 == 5:
        return Input(Step(step), InputKind.WALLCLOCK, value=2**63 + step)
    return None


def fill(writer: TraceWriter, steps: int, checkpoint_every: int = 50) -> Iterator[int]:
    """Let things happen at steps 1 to `steps`; yields each step when it is complete."""
    for step in range(1, steps + 1):
        if item := input_at(step):
            writer.input(item)
        for event in events_at(step):
            writer.event(event)
        if step % checkpoint_every == 0:
            writer.checkpoint(snapshot(step))
        yield step


def read_beside(writer: TraceWriter) -> TraceReader:
    """While it is written: as soon as there is something to read."""
    assert writer.mark == Mark()
    return TraceReader(writer.path)


def make(path: Path, steps: int = 200, why: Why = Why.SHUTDOWN) -> Path:
    """A finished trace."""
    with TraceWriter(path, Contents(META, (GUEST, ROM), SYMBOLS)) as writer:
        writer.checkpoint(snapshot(0))
        for _ in fill(writer, steps):
            pass
        writer.finish(Stop(Step(steps), why, 0, "as it wished"), snapshot(steps))
    return path
