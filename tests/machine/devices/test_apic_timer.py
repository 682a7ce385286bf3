"""The APIC's timer against a count-down that is done clock by clock."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.apic_timer import ApicTimer


@pytest.mark.parametrize(
    ("divide", "divisor"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (0xA, 128), (0xB, 1)]
)
def test_divisors(divide: int, divisor: int) -> None:
    assert ApicTimer(divide=divide).divisor == divisor


def counted_down(initial: int, divisor: int, periodic: bool, clocks: int) -> tuple[int, int]:
    """(current count, interrupts) after that many bus clocks."""
    count, interrupts = initial, 0
    for clock in range(1, clocks + 1):
        if clock % divisor == 0 and count:
            count -= 1
            if count == 0:
                interrupts += 1
                count = initial if periodic else 0
    return count, interrupts


@given(st.integers(1, 20), st.sampled_from([0, 1, 0xB]), st.booleans(), st.integers(0, 150), st.integers(0, 1000))
def test_counts_and_expiries(initial: int, divide: int, periodic: bool, clocks: int, start: int) -> None:
    timer = ApicTimer()
    timer.configure(divide, periodic, start)
    timer.load(initial, start)
    count, interrupts = counted_down(initial, timer.divisor, periodic, clocks)
    assert timer.count(start + clocks) == count
    expiries = []
    at = start
    while (due := timer.expiry(at)) is not None and due <= start + clocks:
        expiries.append(at := due)
    assert len(expiries) == interrupts


def test_an_initial_count_of_zero_stops_it() -> None:
    timer = ApicTimer()
    timer.load(100, 0)
    timer.load(0, 50)
    assert (timer.count(60), timer.expiry(60)) == (0, None)


def test_a_change_of_divider_or_mode_goes_on_from_the_count() -> None:
    timer = ApicTimer(divide=0xB)
    timer.load(100, 0)
    timer.configure(0x0, False, 40)
    assert timer.count(40) == 60
    assert timer.expiry(40) == 40 + 2 * 60
    timer.configure(0x0, True, 80)
    assert timer.count(80) == 40
    assert timer.expiry(80) == 160


def test_one_that_has_run_out_stays_at_zero() -> None:
    timer = ApicTimer(divide=0xB)
    timer.load(10, 0)
    timer.configure(0xB, True, 30)
    assert (timer.count(40), timer.expiry(40)) == (0, None)


@given(st.integers(1, 50), st.booleans(), st.lists(st.integers(0, 400), max_size=10))
def test_time_alone_changes_nothing(initial: int, periodic: bool, looks: list[int]) -> None:
    timer = ApicTimer(divide=1)
    timer.configure(1, periodic, 0)
    timer.load(initial, 0)
    before = asdict(timer)
    for now in sorted(looks):
        timer.count(now)
        timer.expiry(now)
    assert asdict(timer) == before
