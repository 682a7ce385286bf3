"""Running a recorded machine again, from checkpoint to checkpoint; whoever asks for it compares what he wants there."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from pvtrace.machine.machine import Machine
from pvtrace.model.errors import Diverged
from pvtrace.model.step import Step
from pvtrace.session.observer import PROGRESS_SECONDS, Observer
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint

SLICE: Final = 2_000_000
"""Steps between two looks at Ctrl-C."""


def checkpoints(
    machine: Machine, trace: TraceReader, events: Callable[[], int], observer: Observer
) -> Iterator[Checkpoint]:
    """Each checkpoint of the recording, with the machine standing at it; then on to the recording's end.

    `events`: how many the run has had. Raises Diverged if the guest ends before.
    """
    last, size = trace.last(), trace.path.stat().st_size
    shown = time.monotonic()
    for checkpoint in [*trace.checkpoints(), None]:
        goal = last if checkpoint is None else checkpoint.step
        while machine.step < goal:
            machine.run(Step(min(goal, machine.step + SLICE)))
            if machine.ended is not None and machine.step < goal:
                raise Diverged(machine.step, "a longer run", f"end: {machine.ended.why.value}")
            if time.monotonic() - shown >= PROGRESS_SECONDS:
                shown = time.monotonic()
                observer.progress(machine.step, events(), size)
        if checkpoint is not None:
            machine.run(checkpoint.step)
            if checkpoint.mark.events > events():  # the last console line of a recording that was stopped
                machine.journal.flush(machine.system)
            yield checkpoint
