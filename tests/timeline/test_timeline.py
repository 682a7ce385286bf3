"""Going to conditions: what is found forwards is found backwards, and it is what a step-by-step look finds."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.step import Step
from pvtrace.timeline import search
from pvtrace.timeline.conditions import Breakpoint, Condition, Happens, Holds, Watchpoint
from pvtrace.timeline.recorded import Recorded
from pvtrace.timeline.stops import Cause, Stopped, Way
from pvtrace.timeline.timeline import Timeline
from tests.timeline.recordings import history, walk

GUESTS = ("interrupts", "traced", "paged", "devices")


def looping() -> int:
    """An instruction of the guest "interrupts" that runs often."""
    return history("interrupts")[Step(200)].registers.eip


def every(timeline: Timeline, way: Way) -> list[Step]:
    """Where `go` stops, from one end to the other."""
    timeline.seek(timeline.first if way is Way.FORWARD else timeline.last)
    found = []
    while (stopped := timeline.go(way)).cause is Cause.HIT:
        found.append(stopped.step)
    assert stopped.cause is (Cause.END if way is Way.FORWARD else Cause.BEGIN)
    return found


@pytest.mark.parametrize("name", GUESTS)
def test_breakpoints(name: str) -> None:
    states = history(name)
    steps = sorted(states)
    with walk(name) as opened:
        timeline = opened.timeline
        for eip in sorted({state.registers.eip for state in states.values()})[::3]:
            wanted = [step for step in steps[:-1] if states[step].registers.eip == eip]
            if len(wanted) > 30:
                continue
            undo = timeline.watch(Breakpoint(eip))
            assert every(timeline, Way.FORWARD) == [step for step in wanted if step > timeline.first], hex(eip)
            assert every(timeline, Way.BACKWARD) == wanted[::-1]
            undo()


@pytest.mark.parametrize("name", GUESTS)
def test_registers(name: str) -> None:
    states = history(name)
    with walk(name) as opened:
        opened.timeline.watch(Holds(lambda machine: machine.cpu.gpr(1) == 3))
        wanted = [step for step in sorted(states) if states[step].registers.gprs[1] == 3]
        inside = [step for step in wanted if opened.timeline.first < step < opened.timeline.last]
        assert [step for step in every(opened.timeline, Way.FORWARD) if step < opened.timeline.last] == inside
        backwards = [step for step in every(opened.timeline, Way.BACKWARD) if step > opened.timeline.first]
        assert backwards == inside[::-1]


def changes(timeline: Timeline, address: int, size: int) -> list[Step]:
    """The steps behind which these bytes are different, found step by step."""
    timeline.seek(timeline.first)
    found, before = [], timeline.machine.cpu.peek(address, size)
    while timeline.move(1).cause is Cause.ARRIVED:
        now = timeline.machine.cpu.peek(address, size)
        if now != before:
            found.append(timeline.here)
        before = now
    return found


@pytest.mark.parametrize("name", GUESTS)
def test_watchpoints_find_each_change(name: str) -> None:
    """Stacks, tables, and pages that code is in; forwards behind the store, backwards in front of it."""
    states = history(name)
    stack = min(state.registers.gprs[4] for state in states.values())
    with walk(name) as opened:
        timeline = opened.timeline
        for address, size in [(stack, 1), (stack, 4), (stack + 2, 8), (0x100000, 0x1000), (0x110000, 0x2000)]:
            wanted = changes(timeline, address, size)
            undo = timeline.watch(Watchpoint(address, size))
            assert every(timeline, Way.FORWARD) == wanted, hex(address)
            assert every(timeline, Way.BACKWARD) == [step - 1 for step in reversed(wanted)]
            undo()


def test_a_watchpoint_sees_loads_and_stores_of_the_same() -> None:
    """POPF loads what PUSH stored; the pushes of the loop that change nothing are stores all the same."""
    with walk("traced") as opened:
        timeline = opened.timeline
        stack = min(state.registers.gprs[4] for state in history("traced").values())
        changed = _stops(timeline, Watchpoint(stack, 4))
        stored = _stops(timeline, Watchpoint(stack, 4, stores=True))
        loaded = _stops(timeline, Watchpoint(stack, 4, changes=False, loads=True))
        assert set(changed) <= set(stored)
        assert loaded
        assert set(loaded).isdisjoint(changed)


def _stops(timeline: Timeline, condition: Condition) -> list[Step]:
    undo = timeline.watch(condition)
    found = every(timeline, Way.FORWARD)
    undo()
    return found


def test_two_watchpoints_in_one_page() -> None:
    stack = min(state.registers.gprs[4] for state in history("interrupts").values())
    with walk("interrupts") as opened:
        timeline = opened.timeline
        both = sorted({*changes(timeline, stack, 4), *changes(timeline, stack + 4, 4)})
        timeline.watch(Watchpoint(stack, 4))
        timeline.watch(Watchpoint(stack + 4, 4))
        assert every(timeline, Way.FORWARD) == both


def test_last_write() -> None:
    stack = min(state.registers.gprs[4] for state in history("interrupts").values())
    with walk("interrupts") as opened:
        timeline = opened.timeline
        timeline.watch(Breakpoint(0x100054))  # of no concern to it
        wanted = changes(timeline, stack, 1)
        timeline.seek(timeline.last)
        stopped = timeline.last_write(stack)
        assert stopped.cause is Cause.HIT
        assert stopped.step >= wanted[-1] - 1
        here = timeline.here
        assert timeline.last_write(0x50000) == Stopped(here, Cause.BEGIN)
        assert timeline.here == here


def test_events() -> None:
    kinds = frozenset({Kind.INTERRUPT})
    with walk("interrupts") as opened:
        wanted = sorted({event.step for event in opened.trace.events() if event.kind in kinds})
        opened.timeline.watch(Happens(kinds))
        assert every(opened.timeline, Way.FORWARD) == wanted
        assert every(opened.timeline, Way.BACKWARD) == wanted[::-1]


def test_the_nearest_of_several_conditions_counts() -> None:
    history("interrupts")
    eip = looping()
    with walk("interrupts") as opened:
        timeline = opened.timeline
        breaks = _stops(timeline, Breakpoint(eip))
        events = _stops(timeline, Happens(frozenset({Kind.INTERRUPT})))
        timeline.watch(Breakpoint(eip))
        timeline.watch(Happens(frozenset({Kind.INTERRUPT})))
        assert every(timeline, Way.FORWARD) == sorted({*breaks, *events})
        assert every(timeline, Way.BACKWARD) == sorted({*breaks, *events}, reverse=True)


def test_no_further_than() -> None:
    with walk("interrupts") as opened:
        timeline = opened.timeline
        assert timeline.go(Way.FORWARD, until=Step(123)) == Stopped(Step(123), Cause.ARRIVED)
        assert timeline.go(Way.BACKWARD, until=Step(77)) == Stopped(Step(77), Cause.ARRIVED)
        timeline.watch(Breakpoint(looping()))
        assert timeline.go(Way.FORWARD, until=Step(130)).step <= 100


def test_conditions_of_breakpoints() -> None:
    states = history("interrupts")
    eip = looping()
    with walk("interrupts") as opened:
        timeline = opened.timeline
        timeline.watch(Breakpoint(eip, lambda machine: machine.cpu.gpr(3) % 5 == 0))
        wanted = [s for s in sorted(states) if states[s].registers.eip == eip and states[s].registers.gprs[3] % 5 == 0]
        assert every(timeline, Way.FORWARD) == wanted
        assert every(timeline, Way.BACKWARD) == wanted[::-1]


def test_a_stretch_with_very_many_hits_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MANY", 3)
    monkeypatch.setattr(search, "SHORTEST", 20)
    states = history("interrupts")
    eip = looping()
    with walk("interrupts", every=100_000) as opened:
        opened.timeline.watch(Breakpoint(eip))
        wanted = [step for step in sorted(states) if states[step].registers.eip == eip]
        assert every(opened.timeline, Way.BACKWARD) == wanted[::-1]


def test_an_interrupted_search_backwards_stands_where_it_has_looked() -> None:
    with walk("interrupts") as opened:
        timeline = opened.timeline
        timeline.seek(timeline.last)
        answers = iter([False] * 3)
        stopped = timeline.go(Way.BACKWARD, lambda: next(answers, True))
        assert stopped.cause is Cause.INTERRUPTED
        assert timeline.first < stopped.step < timeline.last


def test_beyond_the_ends() -> None:
    with walk("devices") as opened:
        timeline = opened.timeline
        assert timeline.seek(-5) == Stopped(timeline.first, Cause.BEGIN)
        assert timeline.move(-1).cause is Cause.BEGIN
        assert timeline.seek(10**9) == Stopped(timeline.last, Cause.END)
        assert timeline.move(1) == Stopped(timeline.last, Cause.END)
        assert timeline.seek(timeline.last) == Stopped(timeline.last, Cause.ARRIVED)


def test_a_difference_is_a_wall() -> None:
    """A machine that is made otherwise than the recorded one does something else."""
    with walk("interrupts") as opened:
        wrong = Recorded(opened.timeline.machine, opened.trace)
        timeline = Timeline(wrong)
        timeline.seek(150)
        wrong.machine.cpu.set_gpr(1, 4)  # the loop that waits for five ticks will end earlier
        stopped = timeline.go(Way.FORWARD)
        assert stopped.cause is Cause.DIVERGED
        assert "diverged at step" in stopped.message
        assert timeline.here == timeline.last
        assert timeline.move(1).cause is Cause.DIVERGED
