"""Replay a recording: build its machine, run it again, and hold every event and every digest against the record."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pvtrace.machine import state
from pvtrace.machine.machine import Machine
from pvtrace.model.digest import digest
from pvtrace.model.errors import Diverged
from pvtrace.model.events import Event
from pvtrace.model.snapshot import PAGE
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop
from pvtrace.session import build, names
from pvtrace.session.observer import NOBODY, Observer
from pvtrace.session.rerun import checkpoints
from pvtrace.session.stored import lawful, materials
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint
from pvtrace.tape.replaying import ReplayingTape, plain_words
from pvtrace.x86.disasm import text

LONGEST: Final = 15
ZEROS: Final = digest(bytes(PAGE))


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`complete`: the recording was finished by its recorder. `stop`: how it ended, None for a prefix."""

    path: Path
    steps: int
    events: int
    stop: Stop | None
    complete: bool


Words = Callable[[Event, Callable[[int], str | None]], str]
"""An event in words, given the names of addresses (report.describe.describe)."""


def plain(event: Event, _names: Callable[[int], str | None]) -> str:
    """An event by its columns alone."""
    return plain_words(event)


def replay(path: Path, observer: Observer = NOBODY, words: Words = plain) -> ReplayResult:
    """Raises Diverged at the first difference, TraceError for a trace that is not as it was written.

    `words` is used for the message about a difference.
    """
    with TraceReader(path) as trace:
        return _Replay(trace, observer, words).run()


class _Replay:
    def __init__(self, trace: TraceReader, observer: Observer, words: Words) -> None:
        lawful(trace)
        trace.verify()
        given, image = materials(trace)
        self._trace = trace
        self._observer = observer
        self._symbols = names.stored(trace)
        self._machine: Machine | None = None
        self._pages: dict[int, bytes] = {}  # hash of each page frame, by the checkpoints until now
        self._unlike: Diverged | None = None  # the first checkpoint that differs
        self._tape = ReplayingTape(
            trace,
            words=lambda event: words(event, self._symbols.at),
            where=self._where,
            observer=observer.event if observer.wants_events else None,
        )
        self._machine = build.machine(given, image, self._tape)

    def run(self) -> ReplayResult:
        """A checkpoint that differs is not yet the end: which event is the first to differ says more about why."""
        try:
            result = self._run()
        except Diverged as first:
            if self._unlike is None:
                raise
            already = f"{first.got} (the checkpoint at step {self._unlike.step} differs already)"
            raise Diverged(first.step, first.wanted, already, first.where) from None
        if self._unlike is not None:
            raise self._unlike
        return result

    def _run(self) -> ReplayResult:
        machine, trace = self._machine, self._trace
        assert machine is not None
        for checkpoint in checkpoints(machine, trace, lambda: self._tape.mark.events, self._observer):
            self._compare(machine, checkpoint)
        return self._finish(machine, trace.last())

    def _compare(self, machine: Machine, wanted: Checkpoint) -> None:
        snapshot = machine.snapshot()
        stored = self._trace.pages_stored(wanted.step)
        self._pages |= stored
        different = [
            name
            for name, recorded, here in (
                ("memory", wanted.ram_digest, snapshot.ram_digest),
                ("a page", *self._pages_of(snapshot.pages.keys() | stored.keys())),
                ("the state", wanted.state, digest(snapshot.state)),
                ("the events", wanted.mark.counts, self._tape.mark.counts),
            )
            if recorded != here
        ]
        if different and self._unlike is None:
            names = " and ".join(different)
            self._unlike = Diverged(wanted.step, f"{names} of the checkpoint", "something else, in the same events")

    def _pages_of(self, frames: Set[int]) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """Hashes of these page frames: by the checkpoints until now, and here."""
        machine = self._machine
        assert machine is not None
        recorded = {frame: self._pages.get(frame, ZEROS) for frame in frames}
        return recorded, {frame: digest(state.page(machine, frame)) for frame in frames}

    def _finish(self, machine: Machine, last: Step) -> ReplayResult:
        machine.run(last)
        ending = self._trace.ending()
        if ending is not None and self._trace.progress().mark.events > self._tape.mark.events:
            machine.journal.flush(machine.system)
        self._tape.assert_exhausted(last)
        stop = None
        if ending is not None:
            stop = Stop(ending.step, ending.why, ending.code, ending.detail)
            if stop.ended and machine.ended != stop:
                got = "going on" if machine.ended is None else machine.ended.why.value
                raise Diverged(last, f"the end ({stop.why.value})", got)
        events = self._tape.mark.events
        return ReplayResult(self._trace.path, last, events, stop, complete=self._trace.finished)

    def _where(self, event: Event) -> str:
        """' in main+0x12 (popf)': the place of an event, for the message about a difference."""
        name = self._symbols.at(event.pc) or f"{event.pc:08x}"
        code = self._machine.cpu.peek(event.pc, LONGEST) if self._machine is not None else b""
        return f" at {name} ({text(code, event.pc)})" if code else f" at {name}"
