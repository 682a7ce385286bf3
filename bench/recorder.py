"""Record a guest in this process, and say in JSON what that took (`Took`): what the command line cannot show.

The run is `session.record` itself; it is watched, or given a writer that throws everything away, from outside.

Usage: python bench/recorder.py GUEST [--unwritten] [--checkpoint-every STEPS] [options of `pvtrace record`]
"""

import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, ParamSpec, Self, TypeVar
from unittest import mock

import click

from pvtrace.machine.machine import Machine
from pvtrace.model.events import Event
from pvtrace.model.inputs import Input
from pvtrace.model.packed import Packed
from pvtrace.model.snapshot import Snapshot
from pvtrace.model.step import RESET, Step
from pvtrace.model.stops import Stop
from pvtrace.session import record
from pvtrace.session.options import RecordOptions
from pvtrace.store import transactions

P = ParamSpec("P")
R = TypeVar("R")


class Took(NamedTuple):
    """Seconds on the wall and of all CPUs, without Python's start and imports.

    Of the CPUs' seconds, what checkpoints took: `taking` on the guest's thread, to find and copy what changed;
    `keeping` on the writer's, to name, compress and store it. `exits`: how often the engine came back to Python.
    """

    wall: float
    cpu: float
    checkpoints: int
    taking: float
    keeping: float
    exits: int
    steps: int
    events: int


class Nowhere:
    """In place of store.writer.TraceWriter: knows how far the recording has come, and nothing else."""

    def __init__(self, path: Path, *_: object, **__: object) -> None:
        self.path = path
        self.reached: Step = RESET
        self.events = self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def input(self, item: Input) -> None:
        pass

    def event(self, event: Event) -> None:
        pass

    def many(self, events: Packed) -> None:
        pass

    def checkpoint_soon(self, snapshot: Snapshot) -> None:
        pass

    def finish(self, stop: Stop, snapshot: Snapshot | None = None) -> None:
        pass


class Watch:
    """How often functions were called; their seconds of CPU where they are `timed`."""

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0

    def counted(self, work: Callable[P, R]) -> Callable[P, R]:
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            self.calls += 1
            return work(*args, **kwargs)

        return call

    def timed(self, work: Callable[P, R]) -> Callable[P, R]:
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            begun = time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - begun
                self.calls += 1

        return call


def recorded(options: RecordOptions, *, unwritten: bool) -> Took:
    """Record, and watch it."""
    taking, keeping, exits = Watch(), Watch(), Watch()
    with ExitStack() as stack:
        for owner, name, instead in (
            (Machine, "snapshot", taking.timed(Machine.snapshot)),
            (Machine, "react", exits.counted(Machine.react)),
            (transactions, "store_blobs", keeping.timed(transactions.store_blobs)),
        ):
            stack.enter_context(mock.patch.object(owner, name, instead))
        if unwritten:
            stack.enter_context(mock.patch.object(record, "TraceWriter", Nowhere))
        began, since = time.process_time(), time.perf_counter()
        done = record.record(options)
        wall, cpu = time.perf_counter() - since, time.process_time() - began
    return Took(wall, cpu, taking.calls, taking.seconds, keeping.seconds, exits.calls, done.steps, done.events)


@click.command()
@click.argument("guest", type=click.Path(path_type=Path))
@click.option("--unwritten", is_flag=True)
@click.option("--checkpoint-every", type=int)
@click.option("--initrd", type=click.Path(path_type=Path))
@click.option("--append", default="")
@click.option("--vmi", default="both")
@click.option("--hz", type=int, default=100_000_000)
def main(
    guest: Path, unwritten: bool, checkpoint_every: int | None, initrd: Path | None, append: str, vmi: str, hz: int
) -> None:
    """To the guest's end."""
    with tempfile.TemporaryDirectory(prefix="pvtrace-bench-") as folder:
        options = RecordOptions(
            guest,
            Path(folder) / "recording.pvt",
            vmi=vmi,
            append=append,
            initrd=initrd,
            hz=hz,
            console="null",
            checkpoint_every=checkpoint_every,
        )
        click.echo(json.dumps(recorded(options, unwritten=unwritten)._asdict()))


if __name__ == "__main__":
    main()
