"""Judge a recording: run it again under the eyes of the rules, and keep what they find in the trace."""

from pathlib import Path

from pvtrace.divergence.generation import generation
from pvtrace.divergence.judge import Judge
from pvtrace.machine.machine import Machine
from pvtrace.model.digest import digest
from pvtrace.model.errors import Diverged, TraceError
from pvtrace.model.events import Event
from pvtrace.model.findings import Judgement
from pvtrace.session import build
from pvtrace.session.observer import NOBODY, Observer
from pvtrace.session.rerun import checkpoints
from pvtrace.session.stored import lawful, materials
from pvtrace.store import findings
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint
from pvtrace.tape.trusting import TrustingTape


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
    for checkpoint in checkpoints(machine, trace, lambda: tape.events, observer):
        _compare(machine, checkpoint)
    return Judgement(machine.step, generation(), judge.found.all(), judge.sections())


def _compare(machine: Machine, wanted: Checkpoint) -> None:
    snapshot = machine.snapshot()
    if (wanted.ram_digest, wanted.state) != (snapshot.ram_digest, digest(snapshot.state)):
        raise Diverged(wanted.step, "another state in the checkpoint", "something else; pvtrace replay says where")
