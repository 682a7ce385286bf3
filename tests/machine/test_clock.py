from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.clock import DEFAULT_EPOCH_NS, NS_PER_SECOND, Clock
from pvtrace.model.step import Step

steps = st.integers(0, 1 << 40).map(Step)
ticks = st.integers(0, 1 << 50)


def test_the_default_epoch_is_the_documented_one() -> None:
    assert datetime.fromtimestamp(DEFAULT_EPOCH_NS // NS_PER_SECOND, UTC) == datetime(2006, 3, 13, tzinfo=UTC)


def test_a_second_has_hz_ticks() -> None:
    clock = Clock(hz=1000, epoch_ns=7)
    assert clock.ticks(Step(1500)) == 1500
    assert clock.wallclock_ns(Step(1500)) == 7 + 1_500_000_000


@given(steps, ticks, ticks)
def test_step_of_is_the_first_step_with_that_many_ticks(base: Step, base_ticks: int, wanted: int) -> None:
    clock = Clock(base_ticks=base_ticks, base_step=base)
    step = clock.step_of(wanted)
    assert step >= base
    assert clock.ticks(step) >= wanted
    assert step == base or clock.ticks(Step(step - 1)) < wanted


@given(steps, ticks)
def test_a_jump_never_goes_backwards(step: Step, target: int) -> None:
    clock = Clock()
    jumped = clock.jumped_to(target, step)
    assert jumped.ticks(step) == max(target, clock.ticks(step))
    assert jumped.ticks(Step(step + 5)) == jumped.ticks(step) + 5
    assert (jumped.hz, jumped.epoch_ns) == (clock.hz, clock.epoch_ns)


def test_a_clock_must_run() -> None:
    with pytest.raises(ValueError, match="0 Hz"):
        Clock(hz=0)
