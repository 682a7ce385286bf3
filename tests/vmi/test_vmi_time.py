"""Counters, alarms and the wallclock: the worked example of the proposal, and the laws around it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.vmi.state import Alarm, VmiState
from pvtrace.vmi.time import Counter, Fired, Wiring, counter, due, fire
from tests.vmi.vmi_flat import HZ, Guest, paravirtual

START = 1000
MS = HZ // 1000
PERIODIC = 0x100

expiries = st.integers(0, 1 << 40)
alarms = st.none() | st.builds(Alarm, expiries, st.integers(0, 1 << 20), st.just(PERIODIC))
states = st.builds(lambda real, available: VmiState(start=START, alarms=(real, available)), alarms, alarms)
times = st.integers(START, 1 << 40)


def test_the_worked_example() -> None:
    """Periodic on available, first at 1, every 2, without stolen time: 1, 3, 5, 7 ms."""
    guest = paravirtual()
    guest.vmi = replace(guest.vmi, start=START)
    guest.do("SetAlarm", flags=PERIODIC | Counter.AVAILABLE, expiry_low=MS, period_low=2 * MS)
    seen = []
    state = guest.vmi
    for ms in range(9):
        state, fired = fire(state, START + ms * MS)
        seen += [(ms, each.counter) for each in fired]
    assert seen == [(ms, Counter.AVAILABLE) for ms in (1, 3, 5, 7)]


def test_the_worked_example_with_stolen_time() -> None:
    """Run 0-3, Halt, work at 4, scheduled at 5, preempted 6-9, runs on: (real, stolen, available) in ms."""
    guest = paravirtual()
    guest.vmi = replace(guest.vmi, start=START)
    for real, stolen, available in ((3, 0, 3), (4, 0, 4), (5, 1, 4), (6, 1, 5), (9, 4, 5), (10, 4, 6)):
        guest.ticks = START + real * MS
        guest.vmi = replace(guest.vmi, stolen=stolen * MS)
        found = [guest.do("GetCycleCounter", counter=index) // MS for index in Counter]
        assert found == [real, available, stolen]


def test_an_alarm_of_the_available_counter_waits_for_stolen_time() -> None:
    state = VmiState(start=START, stolen=300, alarms=(Alarm(1000, 0, 0), Alarm(1000, 0, 1)))
    assert due(state, START) == START + 1000
    after, fired = fire(state, START + 1000)
    assert [each.counter for each in fired] == [Counter.REAL]
    assert due(after, START) == START + 1300


@pytest.mark.parametrize(("now", "following"), [(1, 3), (2, 3), (3, 5), (8, 9), (9, 11)])
def test_no_burst_makes_up_for_what_was_missed(now: int, following: int) -> None:
    """The next expiry is the first e0 + k*p strictly after now."""
    state = VmiState(start=START, alarms=(Alarm(1, 2, PERIODIC), None))
    after, fired = fire(state, START + now)
    assert fired == (Fired(Counter.REAL, 1, Wiring.IRQ0),)
    assert after.alarms[0] == Alarm(following, 2, PERIODIC)


@given(state=states, ticks=times)
def test_nothing_is_left_to_fire_after_firing(state: VmiState, ticks: int) -> None:
    after, _ = fire(state, ticks)
    assert fire(after, ticks) == (after, ())
    following = due(after, ticks)
    assert following is None or following > ticks


@given(state=states, ticks=times)
def test_what_is_due_fires_then_and_not_a_tick_before(state: VmiState, ticks: int) -> None:
    at = due(state, ticks)
    if at is None:
        assert fire(state, 1 << 62) == (state, ())
        return
    assert at >= ticks
    assert fire(state, at)[1]
    if at > ticks:
        assert fire(state, at - 1) == (state, ())


@given(expiry=expiries, ticks=times)
def test_one_shot_disarms(expiry: int, ticks: int) -> None:
    state = VmiState(start=START, alarms=(None, Alarm(expiry, 0, 1)))
    after, fired = fire(state, ticks)
    if expiry <= ticks - START:
        assert (after.alarms, fired) == ((None, None), (Fired(Counter.AVAILABLE, expiry, Wiring.IRQ0),))
    else:
        assert (after, fired) == (state, ())


def test_both_alarms_may_fire_at_once() -> None:
    state = VmiState(start=START, alarms=(Alarm(5, 0, 0), Alarm(5, 3, 0x101)))
    after, fired = fire(state, START + 5)
    assert fired == (Fired(Counter.REAL, 5, Wiring.IRQ0), Fired(Counter.AVAILABLE, 5, Wiring.IRQ0))
    assert after.alarms == (None, Alarm(8, 3, 0x101))


def test_a_past_expiry_is_due_now() -> None:
    state = VmiState(start=START, alarms=(Alarm(5, 0, 0), None))
    assert due(state, START + 77) == START + 77


@given(ticks=times)
def test_real_is_available_and_stolen(ticks: int) -> None:
    values = [counter(VmiState(start=START), index, ticks) for index in Counter]
    assert values[Counter.REAL] == values[Counter.AVAILABLE] + values[Counter.STOLEN] == ticks - START


def test_arming_again_replaces_and_cancelling_tells() -> None:
    guest = paravirtual()
    guest.do("SetAlarm", flags=0, expiry_low=5)
    guest.do("SetAlarm", flags=0, expiry_low=9)
    assert guest.vmi.alarms == (Alarm(9, 0, 0), None)
    assert guest.do("CancelAlarm", flags=0x10100) & 0xFFFFFFFF == 1
    assert guest.do("CancelAlarm", flags=0x10100) & 0xFFFFFFFF == 0
    assert guest.do("CancelAlarm", flags=2) & 0xFFFFFFFF == 0


def test_alarms_are_wired_as_their_flags_say() -> None:
    guest = paravirtual()
    guest.do("SetAlarm", flags=0x10000, expiry_low=5)
    guest.do("SetAlarm", flags=1, expiry_low=7)
    start = guest.vmi.start
    assert due(guest.vmi, start) == start + 5
    assert due(guest.vmi, start, Wiring.APIC) == start + 5
    assert due(guest.vmi, start, Wiring.IRQ0) == start + 7
    after, fired = fire(guest.vmi, start + 10)
    assert fired == (Fired(Counter.REAL, 5, Wiring.APIC), Fired(Counter.AVAILABLE, 7, Wiring.IRQ0))
    assert after.alarms == (None, None)


def updated(guest: Guest) -> int:
    return guest.do("WallclockUpdated") & 0xFFFFFFFF


@pytest.mark.parametrize("first", ["GetWallclockTime", "WallclockUpdated"])
@pytest.mark.parametrize("step", [-3_600_000_000_000, 200_000_000])
def test_a_step_of_the_wallclock_is_told_once(first: str, step: int) -> None:
    guest = paravirtual()
    guest.do(first)
    assert updated(guest) == 0
    guest.wall += step
    assert updated(guest) == 1
    assert updated(guest) == 0


@given(seconds=st.integers(0, 10_000))
def test_a_wallclock_that_runs_as_the_counter_does_was_not_updated(seconds: int) -> None:
    guest = paravirtual()
    guest.do("GetWallclockTime")
    guest.ticks += seconds * HZ
    guest.wall += seconds * 1_000_000_000
    assert updated(guest) == 0
    assert guest.do("GetWallclockTime") == guest.wall
