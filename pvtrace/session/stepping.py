"""One instruction as a person counts them: past the handlers of external interrupts, and past the stubs of a VMI ROM.

A VMI call stands where a native instruction stood, so it counts as one; whoever stands inside a ROM, or has a
breakpoint there, sees its instructions. Forwards and backwards the same places are come to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pvtrace.machine.machine import Machine
from pvtrace.model.events import Kind
from pvtrace.model.step import Step
from pvtrace.session import interrupt_handlers
from pvtrace.timeline.conditions import Happens, Watchpoint
from pvtrace.timeline.search import counter
from pvtrace.timeline.stops import Cause, Stopped, Way
from pvtrace.timeline.timeline import Timeline
from pvtrace.x86.view import PageFault
from rom.layout import STUB_SIZE, identify

PATIENCE: Final = 5_000_000
"""Steps after which a handler is taken for one that does not return."""

Interrupted = Callable[[], bool]


def in_rom(machine: Machine, roms: Sequence[tuple[int, int]]) -> bool:
    """Whether the next instruction is in a ROM (physical address and size of each), or in a copy of an entry point."""
    eip = counter(machine)
    try:
        physical = machine.cpu.look(eip)
    except PageFault:
        return False
    if any(start <= physical < start + size for start, size in roms):
        return True
    return identify(machine.cpu.peek(eip, STUB_SIZE)) is not None


@dataclass(slots=True)
class Stepping:
    """`skip_interrupts`, `skip_roms`: what a step goes past. `roms`: see `in_rom`."""

    timeline: Timeline
    roms: Sequence[tuple[int, int]]
    skip_interrupts: bool = True
    skip_roms: bool = True

    def forward(self, interrupted: Interrupted) -> Stopped:
        """To the next instruction, or to what is hit on the way."""
        return self._step(self._past_handlers, interrupted)

    def backward(self, interrupted: Interrupted) -> Stopped:
        """To where a step forwards comes here from."""
        return self._step(self._back_past_handlers, interrupted)

    def _step(self, one: Callable[[Interrupted], Stopped], interrupted: Interrupted) -> Stopped:
        timeline = self.timeline
        was_outside = not in_rom(timeline.machine, self.roms)
        stopped = one(interrupted)
        while stopped.cause is Cause.ARRIVED and self.skip_roms and was_outside and in_rom(timeline.machine, self.roms):
            hit = timeline.breakpoint_here()
            if hit is not None:
                return Stopped(timeline.here, Cause.HIT, hit, hit.address)
            if interrupted():
                return Stopped(timeline.here, Cause.INTERRUPTED)
            stopped = one(interrupted)
        return stopped

    def _past_handlers(self, interrupted: Interrupted) -> Stopped:
        timeline = self.timeline
        stopped = self._one(Way.FORWARD, interrupted)
        if stopped.cause is not Cause.ARRIVED or not self.skip_interrupts:
            return stopped
        entered = timeline.here
        goal, handler = interrupt_handlers.after(timeline.log, entered)
        while handler is not None and timeline.open:  # what will become of it is not known yet
            stopped = self._out_of(handler, interrupted)
            if stopped.cause is not Cause.HIT or not isinstance(stopped.condition, Happens):
                return timeline.seek(entered) if stopped.cause is Cause.ARRIVED else stopped
            goal, handler = interrupt_handlers.after(timeline.log, entered)
        if goal > timeline.here:
            return timeline.go(Way.FORWARD, interrupted, until=goal)
        return timeline.seek(goal)

    def _out_of(self, handler: int, interrupted: Interrupted) -> Stopped:
        """Run until the handler that this event entered returns, or for as long as that may take."""
        timeline = self.timeline
        undo = timeline.watch(Happens(frozenset({Kind.RETURN}), lambda event: event.cause == handler))
        try:
            return timeline.go(Way.FORWARD, interrupted, until=Step(timeline.here + PATIENCE))
        finally:
            undo()

    def _back_past_handlers(self, interrupted: Interrupted) -> Stopped:
        timeline = self.timeline
        here = timeline.here
        goal = interrupt_handlers.before(timeline.log, here) if self.skip_interrupts else Step(here - 1)
        if goal == here - 1 or goal < timeline.first:
            return self._one(Way.BACKWARD, interrupted)
        return timeline.go(Way.BACKWARD, interrupted, until=goal)

    def _one(self, way: Way, interrupted: Interrupted) -> Stopped:
        """Exactly one step; a watchpoint that it hits is told."""
        timeline = self.timeline
        goal = Step(timeline.here + way.value)
        if timeline.watches(Watchpoint) and timeline.first <= goal and (timeline.open or goal <= timeline.last):
            return timeline.go(way, interrupted, until=goal)
        return timeline.move(way.value, interrupted)
