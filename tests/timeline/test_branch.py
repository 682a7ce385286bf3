"""What would have been: a branch without a change is the recording, with one it is another course that obeys law 4."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvtrace.machine.machine import Machine
from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.step import Step
from pvtrace.timeline.conditions import Breakpoint, Happens, Watchpoint
from pvtrace.timeline.stops import Cause, Way
from pvtrace.timeline.timeline import LEFT
from tests.timeline.recordings import Seen, history, seen, walk

GUESTS = ("interrupts", "traced", "paged", "devices")


@pytest.mark.parametrize("name", GUESTS)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_without_a_change_it_is_the_recording(name: str, part: float) -> None:
    states = history(name)
    last = max(states)
    with walk(name) as opened:
        timeline = opened.timeline
        begin = Step(int(timeline.first + part * (last - timeline.first)))
        timeline.seek(begin)
        timeline.branch()
        assert timeline.branched_at == begin
        for step in range(begin, last + 1, max(1, (last - begin) // 40)):
            timeline.seek(step)
            assert seen(timeline.machine) == states[Step(step)], step
        assert timeline.seek(last + 1000).cause is Cause.END
        assert timeline.here == last
        recorded = [event for event in opened.trace.events() if event.step > begin]
        assert list(timeline.log.walk(frozenset(Kind), begin, forward=True)) == recorded
        backwards = list(timeline.log.walk(frozenset(Kind), Step(last + 1), forward=False))
        assert backwards == list(opened.trace.events())[::-1]


def more(register: int, by: int) -> Callable[[Machine], None]:
    def apply(machine: Machine) -> None:
        machine.cpu.set_gpr(register, (machine.cpu.gpr(register) + by) & 0xFFFFFFFF)

    return apply


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_the_state_in_a_branch_does_not_depend_on_the_way(data: st.DataObject) -> None:
    """Two changes, and seeks between: each step is seen as it was seen first. Then the recording is as it was."""
    states = history("interrupts")
    last = max(states)
    with walk("interrupts") as opened:
        timeline = opened.timeline
        begin = data.draw(st.integers(timeline.first, last - 60), "begin")
        second = begin + data.draw(st.integers(1, 50), "second")
        timeline.seek(begin)
        timeline.branch()
        timeline.change(more(Gpr.ESI, 3))
        timeline.seek(second)
        timeline.change(more(Gpr.EDI, 5))
        known: dict[int, Seen] = {}
        for step in data.draw(st.lists(st.integers(begin, second + 100), min_size=5, max_size=25), "way"):
            timeline.seek(step)
            assert known.setdefault(timeline.here, seen(timeline.machine)) == seen(timeline.machine)
        timeline.rejoin()
        assert timeline.branched_at is None
        assert timeline.here == begin
        assert seen(timeline.machine) == states[Step(begin)]
        for step in (timeline.first, begin, last):
            timeline.seek(step)
            assert seen(timeline.machine) == states[Step(step)]


def test_a_change_makes_another_future_and_leaves_the_past() -> None:
    """The loop that waits for a number of ticks is told that they have come."""
    with walk("interrupts") as opened:
        timeline = opened.timeline
        last = timeline.last
        timeline.seek(150)
        timeline.branch()
        timeline.change(lambda machine: machine.cpu.set_gpr(Gpr.ECX, 4))
        assert timeline.seek(last * 2).cause is Cause.END
        assert timeline.here < last
        stopped = timeline.seek(149)
        assert stopped.message == LEFT
        assert timeline.branched_at is None
        assert timeline.seek(last).cause is Cause.ARRIVED
        assert seen(timeline.machine) == history("interrupts")[last]


def test_conditions_in_a_branch_and_back_into_the_recording() -> None:
    history("interrupts")
    eip = history("interrupts")[Step(200)].registers.eip
    stack = min(state.registers.gprs[4] for state in history("interrupts").values())
    for condition in (Breakpoint(eip), Watchpoint(stack, 4), Happens(frozenset({Kind.INTERRUPT}))):
        with walk("interrupts") as opened:
            timeline = opened.timeline
            timeline.watch(condition)
            wanted = []
            while (stopped := timeline.go(Way.FORWARD)).cause is Cause.HIT:
                wanted.append(stopped.step)
            timeline.seek(wanted[len(wanted) // 2] + 1)
            timeline.branch()
            found = []
            while (stopped := timeline.go(Way.FORWARD)).cause is Cause.HIT:
                found.append(stopped.step)
            assert found
            assert found == [step for step in wanted if step >= found[0]]
            backwards = []
            while (stopped := timeline.go(Way.BACKWARD)).cause is Cause.HIT:
                backwards.append(stopped.step)
            assert timeline.branched_at is None
            assert len(backwards) >= len(wanted) - 1
            assert timeline.here == timeline.first


def test_a_recording_cannot_be_changed() -> None:
    with walk("devices") as opened, pytest.raises(ValueError, match="cannot be changed"):
        opened.timeline.change(lambda machine: machine.cpu.set_gpr(0, 1))
