"""A machine that can be put anywhere in a recording, and that holds everything it runs against the recording.

It knows places and how to get from one to the next; what to stop for is decided in search.py.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pvtrace.machine.machine import Machine
from pvtrace.model.digest import digest
from pvtrace.model.errors import Diverged
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint
from pvtrace.tape.replaying import ReplayingTape
from pvtrace.timeline.checkpoints import Place, Places
from pvtrace.timeline.source import Remembering

SLICE: Final = 250_000
"""Steps between two looks at `interrupted`."""

NEAR: Final = 256
GROWTH: Final = 8
"""On a long way, places are kept NEAR steps in front of the goal, GROWTH times that, and so on."""

SPACING: Final = 2_000_000
"""On any way, a place is kept after this many steps."""

BUDGET: Final = 256 << 20
"""Bytes for places in memory."""

_ZERO: Final = bytes(4096)

Interrupted = Callable[[], bool]


def never() -> bool:
    """Nobody interrupts."""
    return False


def waypoints(start: int, goal: int) -> Iterator[Step]:
    """Where to keep places on the way from start to goal; ascending."""
    distances = []
    distance = NEAR
    while goal - start > 2 * distance:
        distances.append(distance)
        distance *= GROWTH
    return (Step(goal - distance) for distance in reversed(distances))


class Explorer:
    """`machine` was built from the recording's own files; where it stands does not matter."""

    def __init__(self, machine: Machine, trace: TraceReader, budget: int = BUDGET) -> None:
        self.machine = machine
        self.trace = trace
        self.last = trace.last()
        self.progress: Callable[[Step], None] = lambda _: None
        """Told now and then how far a run has come."""
        self.verified = Step(0)
        """The highest step that was run and compared."""
        self._source = Remembering(trace)
        self._checkpoints: Mapping[int, Checkpoint] = {item.step: item for item in trace.checkpoints()}
        self._places = Places(budget)
        self._pages: dict[int, bytes] = {}
        self._breakpoints: frozenset[int] = frozenset()
        self._watches: tuple[tuple[int, int, bool, bool, bool], ...] = ()
        self._tape = ReplayingTape(self._source)
        self._stored_steps = sorted(self._checkpoints)
        self.first = Step(self._stored_steps[0])
        self.restore(self.first)

    @property
    def step(self) -> Step:
        return self.machine.step

    # ------------------------------------------------------------------ places

    def place_before(self, step: int) -> Step:
        """The nearest step at or before this one, not before the first, that a machine can be put to at once."""
        index = bisect_right(self._stored_steps, step) - 1
        stored = self._stored_steps[max(index, 0)]
        kept = self._places.before(step)
        return Step(stored if kept is None else max(stored, kept.step))

    def keep(self) -> Step:
        """Make a place of where the machine stands."""
        place = Place(self.step, self._tape.mark, self._state(), dict(self._pages))
        self._places.add(place, self.step)
        return place.step

    def restore(self, step: Step) -> None:
        """Put the machine to a place."""
        self._note(self.machine.take_pages())
        place = self._places.before(step)
        if place is None or place.step != step:
            place = self._stored(self._checkpoints[step])
            self._places.add(place, step)
        changed = {
            frame: place.pages.get(frame, _ZERO)
            for frame in self._pages.keys() | place.pages.keys()
            if self._pages.get(frame) is not place.pages.get(frame)
        }
        self._tape = ReplayingTape(self._source, place.mark)
        self.machine.tape = self.machine.journal.tape = self._tape
        self.machine.rewind(place.state, changed)
        self._pages = dict(place.pages)

    def _stored(self, checkpoint: Checkpoint) -> Place:
        """From the file; pages that are as the machine has them now are not taken twice."""
        snapshot = self.trace.snapshot(checkpoint)
        pages = {
            frame: self._pages[frame] if self._pages.get(frame) == data else data
            for frame, data in snapshot.pages.items()
            if data != _ZERO
        }
        return Place(checkpoint.step, checkpoint.mark, snapshot.state, pages)

    def _state(self) -> bytes:
        """The machine without its memory; what changed there is noted."""
        taken = self.machine.snapshot()
        self._note(taken.pages)
        return taken.state

    def _note(self, pages: Mapping[int, bytes]) -> None:
        """These frames have this content now; equal content stays the same object."""
        for frame, data in pages.items():
            if data == _ZERO:
                self._pages.pop(frame, None)
            elif self._pages.get(frame) != data:
                self._pages[frame] = data

    # ------------------------------------------------------------------ running

    def look_for(self, breakpoints: frozenset[int], watches: tuple[tuple[int, int, bool, bool, bool], ...]) -> None:
        """What `advance` stops at (see machine.cpu)."""
        cpu = self.machine.cpu
        if breakpoints != self._breakpoints:
            self._breakpoints = breakpoints
            cpu.set_breakpoints(sorted(breakpoints))
        if watches != self._watches:
            self._watches = watches
            cpu.set_watches(watches)

    def advance(self, until: Step, interrupted: Interrupted = never) -> Stop | None:
        """Run to `until`, which is not beyond the end, or to something that is looked for; None if interrupted.

        Raises Diverged if the machine does something that was not recorded.
        """
        machine = self.machine
        machine.cpu.take_touch()
        while machine.step < until:
            if interrupted():
                return None
            goal = min(until, machine.step + SLICE, self._checkpoint_after(machine.step))
            before = machine.step
            stop = machine.run(Step(goal))
            self.verified = max(self.verified, machine.step)
            self.progress(machine.step)
            if machine.step in self._checkpoints and machine.step > before:
                self._compare(self._checkpoints[machine.step])
            if stop.why in (Why.BREAKPOINT, Why.WATCHPOINT):
                return stop
            if machine.ended is not None and machine.step < until:
                raise Diverged(machine.step, "a longer run", f"end: {machine.ended.why.value}")
            if machine.step - self.place_before(machine.step) >= SPACING:
                self.keep()
        return Stop(machine.step, Why.ARRIVED)

    def go_to(self, step: Step, interrupted: Interrupted = never) -> bool:
        """Come to a step by the shortest way; whether it was not interrupted."""
        place = self.place_before(step)
        if not place <= self.step <= step:
            self.restore(place)
        self.look_for(frozenset(), ())
        for point in waypoints(self.step, step):
            if self.advance(point, interrupted) is None:
                return False
            self.keep()
        return self.advance(step, interrupted) is not None

    def _checkpoint_after(self, step: int) -> int:
        index = bisect_right(self._stored_steps, step)
        return self._stored_steps[index] if index < len(self._stored_steps) else self.last

    def _compare(self, wanted: Checkpoint) -> None:
        """The machine stands at a checkpoint of the recording: is it what was recorded?"""
        if wanted.mark.events > self._tape.mark.events:
            return  # the last console line of a recording that was stopped is written at its end only
        taken = self.machine.snapshot()
        self._note(taken.pages)
        got = (taken.ram_digest, digest(taken.state), self._tape.mark)
        if got != (wanted.ram_digest, wanted.state, wanted.mark):
            raise Diverged(wanted.step, "another state in the checkpoint", "the same events until here")
