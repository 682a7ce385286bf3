"""Finding where conditions hold: the next place forwards, the last one backwards.

Backwards is: from the place before, run forward, and remember the last hit; if there is none, from the place before
that. A stretch in which the machine stops very often, be it for hits or for conditions that do not hold, is cut at
places, and its pieces are looked through from the last one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pvtrace.machine.machine import Machine
from pvtrace.model.registers import Seg
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.timeline import moments
from pvtrace.timeline.conditions import Breakpoint, Condition, Happens, Holds, Watchpoint
from pvtrace.timeline.explorer import Explorer, Interrupted
from pvtrace.x86.disasm import memory_access

MANY: Final = 500
"""Stops in one stretch after which it is cut into pieces."""

PIECES: Final = 16
SHORTEST: Final = 20_000
"""A stretch is cut into at most PIECES, of at least SHORTEST steps."""

LONGEST: Final = 15
WORD: Final = 4
"""Bytes of an access whose instruction does not say how many."""


@dataclass(frozen=True, slots=True)
class Hit:
    """`step`: for a watchpoint the step in front of the access; `address` is linear."""

    step: Step
    condition: Condition
    address: int | None = None


def counter(machine: Machine) -> int:
    """Linear address of the instruction that is dispatched next."""
    return (machine.cpu.eip + machine.cpu.segment(Seg.CS).base) & 0xFFFFFFFF


def breakpoint_at(machine: Machine, conditions: Iterable[Condition]) -> Breakpoint | None:
    """The first breakpoint among them that holds where the machine stands."""
    here = counter(machine)
    there = (item for item in conditions if isinstance(item, Breakpoint) and item.address == here)
    return next((item for item in there if item.test is None or item.test(machine)), None)


class Stopping(Exception):
    """Interrupted in the middle."""


class Search:
    """One search for some conditions."""

    def __init__(self, explorer: Explorer, conditions: Sequence[Condition], interrupted: Interrupted) -> None:
        self._explorer = explorer
        self._machine: Machine = explorer.machine
        self._interrupted = interrupted
        self._passed = 0
        self._breakpoints = [item for item in conditions if isinstance(item, Breakpoint)]
        self._watchpoints = [item for item in conditions if isinstance(item, Watchpoint)]
        self._events = [item for item in conditions if isinstance(item, Happens)]
        self._tests = [item for item in conditions if isinstance(item, Holds)]
        self._addresses = frozenset(item.address for item in self._breakpoints)
        self._watches = tuple(
            (item.address, item.address + item.size, item.physical, item.loads, item.stores)
            for item in self._watchpoints
        )

    # ------------------------------------------------------------------ forwards

    def forward(self, until: Step) -> Hit | None:
        """Run to the first hit behind here, or to `until`; raises Stopping where it was interrupted."""
        explorer = self._explorer
        here = explorer.step
        event, limit = (None, until) if explorer.open else self._event_after(here, until)
        explorer.look_for(self._addresses, self._watches, self._events if explorer.open else ())
        for hit in self._stops(limit):
            if hit is not None and (isinstance(hit.condition, Watchpoint) or hit.step > here):
                return hit
        if event is not None:
            return Hit(limit, event)
        return self._here(self._tests) if limit > here else None

    def _event_after(self, here: Step, until: Step) -> tuple[Happens | None, Step]:
        found: tuple[Happens | None, Step] = (None, until)
        for condition in self._events:
            event = moments.following(self._explorer.log, condition.kinds, here, condition.test)
            if event is not None and event.step <= found[1]:
                found = (condition, event.step)
        return found

    # ------------------------------------------------------------------ backwards

    def backward(self, until: Step, progress: Callable[[Step], None]) -> Hit | None:
        """Find the last hit before here, at `until` or behind it; `progress` is told up to where there is none. The
        machine ends up anywhere."""
        end = self._explorer.step
        event = self._event_before(end, until)
        floor = until if event is None else event.step
        while end > floor:
            start = self._explorer.place_before(end - 1)
            self._explorer.restore(start)
            hit = self._last_in(end)
            if hit is not None:
                return hit if hit.step >= floor else event
            end = start
            progress(end)
        return event

    def _event_before(self, here: Step, until: Step) -> Hit | None:
        hits = []
        for condition in self._events:
            event = moments.preceding(self._explorer.log, condition.kinds, here, condition.test)
            if event is not None and event.step >= until:
                hits.append(Hit(event.step, condition))
        return max(hits, key=lambda hit: hit.step, default=None)

    def _last_in(self, end: Step) -> Hit | None:
        """The last hit where the machine stands, or behind that and before `end`."""
        explorer = self._explorer
        explorer.look_for(self._addresses, self._watches)
        last = self._here([*self._breakpoints, *self._tests])
        for count, hit in enumerate(self._stops(end)):
            if hit is not None and hit.step < end:
                last = hit
            if count + self._passed >= MANY and end - explorer.step > 2 * SHORTEST:
                return self._last_in_pieces(end) or last
        return last

    def _last_in_pieces(self, end: Step) -> Hit | None:
        explorer = self._explorer
        start = explorer.step
        explorer.look_for(frozenset(), ())
        size = max(SHORTEST, -(-(end - start) // PIECES))
        places = [explorer.keep()]
        while explorer.step + size < end:
            if explorer.advance(Step(explorer.step + size), self._interrupted) is None:
                raise Stopping
            places.append(explorer.keep())
        for place in reversed(places):
            explorer.restore(explorer.place_before(place))
            explorer.advance(place)
            hit = self._last_in(end)
            if hit is not None:
                return hit
            end = place
        return None

    # ------------------------------------------------------------------ both

    def _stops(self, end: Step) -> Iterator[Hit | None]:
        """Run to `end`, and give what is hit on the way, in order; None for a stop at what does not hold. At each hit
        the machine stands there; for a watchpoint it stands behind the access."""
        explorer = self._explorer
        while explorer.step < end and not (explorer.open and explorer.ended):
            goal = Step(explorer.step + 1) if self._tests else end
            self._passed = 0
            stop = explorer.advance(goal, self._interrupted, self._passes)
            if stop is None:
                raise Stopping
            hit = self._hit(stop)
            if hit is None and self._tests and explorer.step < end:
                hit = self._here(self._tests)
            if hit is not None or stop.why is not Why.ARRIVED:
                yield hit

    def _passes(self) -> bool:
        """At a breakpoint: whether none of them holds, and it is not yet time to say that there are very many. May be
        asked twice at one stop."""
        self._passed += 1
        return self._passed < MANY and self._breakpoint_here() is None

    def _breakpoint_here(self) -> Breakpoint | None:
        """The machine stands at the address of one: the first that holds."""
        machine = self._machine
        there = self._breakpoints
        if len(self._addresses) > 1:
            address = counter(machine)
            there = [condition for condition in there if condition.address == address]
        for condition in there:
            if condition.test is None or condition.test(machine):
                return condition
        return None

    def _hit(self, stop: Stop) -> Hit | None:
        met = self._explorer.take_met()
        if stop.why is Why.WATCHPOINT or met is not None:
            accessed = self._accessed()
            return Hit(stop.step, met) if accessed is None and met is not None else accessed
        if stop.why is not Why.BREAKPOINT:
            return None
        condition = self._breakpoint_here()
        return None if condition is None else Hit(stop.step, condition, condition.address)

    def _here(self, conditions: Sequence[Breakpoint | Holds]) -> Hit | None:
        machine = self._machine
        for condition in conditions:
            match condition:
                case Breakpoint(address, test):
                    if address == counter(machine) and (test is None or test(machine)):
                        return Hit(machine.step, condition, address)
                case Holds(test):
                    if test(machine):
                        return Hit(machine.step, condition)
        return None

    def _accessed(self) -> Hit | None:
        """Which watchpoint the instruction in front of here has hit."""
        touch = self._machine.cpu.take_touch()
        if touch is None:
            return None
        address, store, eip, near, changed = touch
        step = Step(self._machine.step - 1)
        for number, condition in enumerate(self._watchpoints):
            if changed >> number & 1:
                if condition.changes:
                    return Hit(step, condition, condition.address)
            elif near >> number & 1:
                hit = self._unchanged(condition, address, store, eip)
                if hit is not None:
                    return Hit(step, condition, hit)
        return None

    def _unchanged(self, condition: Watchpoint, address: int, store: bool, eip: int) -> int | None:
        """The first watched byte of an access that changed nothing, if it was not just near the watchpoint."""
        code = self._machine.cpu.peek(eip, LONGEST)
        access = memory_access(code) if code else None
        loads, stores = (not store, store) if access is None else (access.loads, access.stores)
        if not ((loads and condition.loads) or (stores and condition.stores)):
            return None
        first = self._machine.cpu.look(address) if condition.physical else address
        size = WORD if access is None else access.width
        if first < condition.address + condition.size and condition.address < first + size:
            return max(first, condition.address)
        return None
