"""Judge a recording: run it again under the eyes of the rules, and keep what they find in the trace."""

import time
from pathlib import Path
from typing import Final

from pvtrace.divergence.generation import generation
from pvtrace.divergence.judge import Judge
from pvtrace.machine.machine import Machine
from pvtrace.model.digest import digest
from pvtrace.model.errors import Diverged, TraceError
from pvtrace.model.events import Event
from pvtrace.model.findings import Judgement
from pvtrace.model.step import Step
from pvtrace.session import build
from pvtrace.session.observer import NOBODY, PROGRESS_SECONDS, Observer
from pvtrace.session.stored import lawful, materials
from pvtrace.store import findings
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint
from pvtrace.tape.trusting import TrustingTape

SLICE: Final = 1_000_000
"""Steps between two looks at Ctrl-C."""


def judged(path: Path, observer: Observer = NOBODY) -> Judgement:
    """What the recording holds: as it was judged before, if that was by these rules and to its end, or judged now.

    Raises Diverged or TraceError for a recording that cannot be replayed. A trace that cannot be written to is judged
    each time.
    """
    with TraceReader(path) as trace:
        known = findings.stored(trace)
        if known is not None and known.rules == generation() and known.until == trace.last():
            return known
        found = _judge(trace, observer)
    try:
        findings.keep(path, found)
    except TraceError as refused:
        observer.note(str(refused))
    return found


def _judge(trace: TraceReader, observer: Observer) -> Judgement:
    lawful(trace)
    given, image = materials(trace)
    watchers: list[Judge] = []

    def saw(event: Event) -> None:
        for watcher in watchers:
            watcher.saw(event)

    tape = TrustingTape(trace.inputs(), saw)
    machine = build.machine(given, image, tape, watchful=True)
    judge = Judge(machine)
    watchers.append(judge)
    _run(machine, tape, trace, observer)
    return Judgement(machine.step, generation(), judge.found.all(), judge.sections())


def _run(machine: Machine, tape: TrustingTape, trace: TraceReader, observer: Observer) -> None:
    """To the end of the recording, with progress; every checkpoint on the way is compared."""
    last, size = trace.last(), trace.path.stat().st_size
    shown = time.monotonic()
    for checkpoint in [*trace.checkpoints(), None]:
        goal = last if checkpoint is None else checkpoint.step
        machine.run(machine.step)
        while machine.step < goal:
            machine.run(Step(min(goal, machine.step + SLICE)))
            if machine.ended is not None and machine.step < goal:
                raise Diverged(machine.step, "a longer run", f"end: {machine.ended.why.value}")
            if time.monotonic() - shown >= PROGRESS_SECONDS:
                shown = time.monotonic()
                observer.progress(machine.step, tape.events, size)
        if checkpoint is not None:
            _compare(machine, tape, checkpoint)


def _compare(machine: Machine, tape: TrustingTape, wanted: Checkpoint) -> None:
    machine.run(wanted.step)
    if wanted.mark.events > tape.events:  # the last console line of a recording that was stopped
        machine.journal.flush(machine.system)
    snapshot = machine.snapshot()
    if (wanted.ram_digest, wanted.state) != (snapshot.ram_digest, digest(snapshot.state)):
        raise Diverged(wanted.step, "another state in the checkpoint", "something else; pvtrace replay says where")
