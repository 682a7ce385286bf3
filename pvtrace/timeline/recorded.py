"""The course of a recording: everything that is run is held against it."""

from bisect import bisect_right, insort

from pvtrace.machine.machine import Machine
from pvtrace.model.digest import Mark, digest
from pvtrace.model.errors import Diverged
from pvtrace.model.step import Step
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint
from pvtrace.tape.replaying import ReplayingTape
from pvtrace.timeline.checkpoints import Place
from pvtrace.timeline.explorer import BUDGET, Explorer, MarkedTape
from pvtrace.timeline.moments import Written
from pvtrace.timeline.placing import Placing
from pvtrace.timeline.source import Remembering


class Recorded(Explorer):
    """`machine` was built from the recording's own files; where it stands does not matter."""

    def __init__(self, machine: Machine, trace: TraceReader, budget: int = BUDGET) -> None:
        super().__init__(Placing(machine), Written(trace), budget)
        self.trace = trace
        self._last = trace.last()
        self._source = Remembering(trace)
        self._checkpoints: dict[int, Checkpoint] = {item.step: item for item in trace.checkpoints()}
        self._stored_steps: list[int] = sorted(self._checkpoints)
        self._replaying = ReplayingTape(self._source)
        self.first = Step(self._stored_steps[0])
        self.restore(self.first)

    @property
    def placing(self) -> Placing:
        """For another course of the same machine."""
        return self._placing

    @property
    def source(self) -> Remembering:
        """What was recorded."""
        return self._source

    @property
    def mark(self) -> Mark:
        """Of where the machine stands."""
        return self._mark()

    def leave(self) -> None:
        """The machine is about to go another course."""

    @property
    def last(self) -> Step:
        return self._last

    @property
    def open(self) -> bool:
        return False

    def _fixed_before(self, step: int) -> Place | Step | None:
        return Step(self._stored_steps[max(bisect_right(self._stored_steps, step) - 1, 0)])

    def _fixed(self, step: Step) -> Place:
        return self._placing.stored(self.trace, self._checkpoints[step])

    def _tape(self, mark: Mark) -> MarkedTape:
        self._replaying = ReplayingTape(self._source, mark, observer=self._saw)
        return self._replaying

    def _mark(self) -> Mark:
        return self._replaying.mark

    def _limit(self, step: Step) -> int:
        index = bisect_right(self._stored_steps, step)
        return self._stored_steps[index] if index < len(self._stored_steps) else self.last

    def _passed(self, before: Step, until: Step) -> None:
        machine = self.machine
        if machine.step in self._checkpoints and machine.step > before:
            self._compare(self._checkpoints[machine.step])
        if machine.ended is not None and machine.step < min(until, self.last):
            raise Diverged(machine.step, "a longer run", f"end: {machine.ended.why.value}")

    def _compare(self, wanted: Checkpoint) -> None:
        """The machine stands at a checkpoint of the recording: is it what was recorded?"""
        if wanted.mark.events > self._mark().events:
            return  # the last console line of a recording that was stopped is written at its end only
        taken = self._placing.snapshot()
        got = (taken.ram_digest, digest(taken.state), self._mark().counts)
        if got != (wanted.ram_digest, wanted.state, wanted.mark.counts):
            raise Diverged(wanted.step, "another state in the checkpoint", "the same events until here")

    def _stored_now(self, checkpoint: Checkpoint) -> None:
        """The file has one more."""
        self._checkpoints[checkpoint.step] = checkpoint
        if checkpoint.step not in self._stored_steps:
            insort(self._stored_steps, checkpoint.step)
