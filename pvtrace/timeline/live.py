"""The course of a recording that is just being made: its past is in the file, and behind its end the guest goes on.

At the end the machine holds the live tape, elsewhere one that compares, and the two meet at the same state: the end is
a place like any other.
"""

from collections.abc import Callable
from typing import Final, Protocol

from pvtrace.machine.machine import Machine
from pvtrace.model.digest import Mark
from pvtrace.model.errors import Diverged
from pvtrace.model.events import Event
from pvtrace.model.inputs import Tape
from pvtrace.model.snapshot import PAGE, Snapshot
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint
from pvtrace.timeline.explorer import BUDGET, Interrupted, never
from pvtrace.timeline.recorded import Recorded

CHECKPOINT_EVERY: Final = 20_000_000
"""Steps between two checkpoints in the file."""

_ZERO: Final = bytes(PAGE)


class Undone(BaseException):
    """The step that the machine is in is not complete, and will not be: it was interrupted while it waited."""


class Edge(Protocol):
    """What makes the recording. Its tape tells `saw` of each event, and raises Undone out of a wait that `interrupted`
    ends. That is None while the machine does not run."""

    interrupted: Interrupted | None
    saw: Callable[[Event], None]

    def tape(self) -> Tape:
        """The live one; from now on the guest's console is heard."""
        ...

    def rest(self) -> None:
        """The machine goes elsewhere: its console is not heard."""
        ...

    def write(self, step: Step) -> Mark:
        """Everything until here goes to the file."""
        ...

    def checkpoint(self, snapshot: Snapshot) -> Checkpoint:
        """Everything until here goes to the file, with a place to come back to."""
        ...

    def undo(self, step: Step) -> None:
        """What was done behind this step was not."""
        ...


class Live(Recorded):
    """The machine stands where the recording's first checkpoint has just been written."""

    def __init__(
        self,
        machine: Machine,
        trace: TraceReader,
        edge: Edge,
        budget: int = BUDGET,
        checkpoint_every: int = CHECKPOINT_EVERY,
    ) -> None:
        self._edge = edge
        self._at_edge = False
        super().__init__(machine, trace, budget)
        edge.saw = self._saw
        self._every = checkpoint_every
        self._next_checkpoint = self.first + checkpoint_every
        self._stored_pages = dict(self._placing.pages)
        self._end = self._placing.take(self._mark())

    @property
    def open(self) -> bool:
        return True

    # ------------------------------------------------------------------ to the end and away from it

    def restore(self, step: Step) -> None:
        self.leave()
        super().restore(step)

    def leave(self) -> None:
        """The machine is about to go elsewhere."""
        if self._at_edge:
            self._end = self._placing.take(self._mark())
            self._at_edge = False
            self._edge.rest()

    def arrive(self) -> None:
        """The machine has come to the recording's end: from here on it is live."""
        if self._at_edge:
            return
        end, now = self._end, self._placing.take(self._end.mark)
        differ = {
            frame for frame in now.pages.keys() | end.pages.keys() if now.pages.get(frame) != end.pages.get(frame)
        }
        if (now.step, now.state) != (end.step, end.state) or differ:
            raise Diverged(now.step, "the state in which the recording stopped", "another one")
        self._placing.put(end, self._edge.tape())
        self._at_edge = True

    # ------------------------------------------------------------------ running

    def advance(self, until: Step, interrupted: Interrupted = never, passes: Callable[[], bool] = never) -> Stop | None:
        if self.step < self.last:
            stop = super().advance(Step(min(until, self.last)), interrupted, passes)
            if stop is None or stop.why is not Why.ARRIVED or self.step < self.last:
                return stop
        if self.step >= until:
            return super().advance(until, interrupted)
        self.arrive()
        self._edge.interrupted = interrupted
        try:
            stop = super().advance(until, interrupted, passes)
            self._written()
        except Undone:
            self._undo()
            return None
        finally:
            self._edge.interrupted = None
        return stop

    def _written(self) -> None:
        self._edge.write(self.step)
        self._last = self.step
        self._source.grown()

    def _undo(self) -> None:
        """Go back to where the last whole step ended."""
        whole = Step(self.step - 1)
        self._edge.undo(whole)
        self._edge.rest()
        self._at_edge = False
        self._last = whole
        self._source.grown()
        super().restore(self.place_before(whole))
        self.look_for(frozenset(), ())
        super().advance(whole)
        self._end = self._placing.take(self._mark())

    def _mark(self) -> Mark:
        return self._edge.write(self.step) if self._at_edge else super()._mark()

    def _limit(self, step: Step) -> int:
        return self._next_checkpoint if self._at_edge else super()._limit(step)

    def _passed(self, before: Step, until: Step) -> None:
        if not self._at_edge:
            super()._passed(before, until)
            return
        if self.step >= self._next_checkpoint:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._stored_now(self._edge.checkpoint(self._changes()))
        self._stored_pages = dict(self._placing.pages)
        self._next_checkpoint = self.step + self._every

    def _changes(self) -> Snapshot:
        """The machine, with the pages that are not as in the checkpoint that was written last."""
        taken, pages = self._placing.snapshot(), self._placing.pages
        changed = {frame: pages.get(frame, _ZERO) for frame in self._placing.changed_since(self._stored_pages)}
        return taken._replace(pages=changed)

    def finish(self) -> Snapshot:
        """Go to the end, and end the recording there: nothing more will run."""
        self.go_to(self.last)
        self.arrive()
        if self.machine.ended is None:
            self.machine.journal.flush(self.machine.system)
        return self._changes()
