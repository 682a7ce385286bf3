"""Law 4, seek: the state at a step does not depend on how one came there, nor on what is being looked for."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pvtrace.model.step import Step
from pvtrace.timeline.conditions import Breakpoint, Holds, Watchpoint
from pvtrace.timeline.stops import Cause, Way
from tests.examples import examples
from tests.timeline.recordings import history, seen, walk

GUESTS = ("interrupts", "traced", "paged", "devices")
BUDGET = 300_000
"""Bytes: so few that places are given up all the time."""


class Walking(RuleBasedStateMachine):
    """Walks at random in one guest."""

    name = "interrupts"

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self.walk = self._stack.enter_context(walk(self.name, budget=BUDGET))
        self.timeline = self.walk.timeline
        self.expected: Step = self.timeline.first
        self.undo: list[Callable[[], None]] = []
        self.history = history(self.name)
        self.places = sorted({state.registers.eip for state in self.history.values()})
        self.steps = list(self.history)

    def teardown(self) -> None:
        self._stack.close()

    @initialize()
    def begin(self) -> None:
        assert self.timeline.here == self.timeline.first

    @rule(data=st.data())
    def seek(self, data: st.DataObject) -> None:
        self.expected = data.draw(st.sampled_from(self.steps))
        assert self.timeline.seek(self.expected).cause is Cause.ARRIVED

    @rule(by=st.integers(-40, 40))
    def move(self, by: int) -> None:
        goal = self.timeline.here + by
        self.expected = Step(min(max(goal, self.timeline.first), self.timeline.last))
        self.timeline.move(by)

    @rule(data=st.data())
    def break_at(self, data: st.DataObject) -> None:
        self.undo.append(self.timeline.watch(Breakpoint(data.draw(st.sampled_from(self.places)))))

    @rule(
        address=st.sampled_from([0x110000, 0x111000, 0x7FF0, 0x101000]), size=st.integers(1, 4096), loads=st.booleans()
    )
    def watch(self, address: int, size: int, loads: bool) -> None:
        self.undo.append(self.timeline.watch(Watchpoint(address, size, loads=loads)))

    @rule(register=st.integers(0, 7), value=st.integers(0, 5))
    def look_for_a_value(self, register: int, value: int) -> None:
        self.undo.append(self.timeline.watch(Holds(lambda machine: machine.cpu.gpr(register) == value)))

    @rule()
    def forget(self) -> None:
        while self.undo:
            self.undo.pop()()

    @rule(way=st.sampled_from(Way))
    def go(self, way: Way) -> None:
        before = self.timeline.here
        stopped = self.timeline.go(way)
        self.expected = stopped.step
        if stopped.cause is Cause.HIT:
            assert (stopped.step > before) == (way is Way.FORWARD)
        else:
            assert stopped.step == (self.timeline.last if way is Way.FORWARD else self.timeline.first)

    @rule(way=st.sampled_from(Way), patience=st.integers(0, 3))
    def go_interrupted(self, way: Way, patience: int) -> None:
        answers = iter([False] * patience)
        before = self.timeline.here
        stopped = self.timeline.go(way, lambda: next(answers, True))
        self.expected = stopped.step
        assert stopped.step == before or (stopped.step > before) == (way is Way.FORWARD)

    @invariant()
    def is_as_recorded(self) -> None:
        assert self.timeline.here == self.expected
        assert seen(self.timeline.machine) == self.history[self.expected]


@pytest.mark.parametrize("name", GUESTS)
def test_where_you_are_does_not_depend_on_how_you_came(name: str) -> None:
    some = type(name, (Walking,), {"name": name})
    run_state_machine_as_test(
        some,
        settings=settings(
            max_examples=examples(5), stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
