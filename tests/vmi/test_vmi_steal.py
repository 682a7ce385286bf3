"""Schedules of stolen time: as people write them, and the windows that they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.vmi.steal import NOTHING, Steal, parse, text, window

MS = 1_000_000
HZ = 1_000_000  # a tick is a microsecond

windows = st.tuples(st.integers(0, 10**10), st.integers(1, 10**9)).map(lambda pair: (pair[0], sum(pair)))
regular = st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)).map(lambda pair: (pair[0], sum(pair)))
schedules = st.builds(
    lambda often, once: Steal(often[0], often[1], tuple(sorted(once))),
    st.just((0, 0)) | regular,
    st.lists(windows, max_size=3),
)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", NOTHING),
        ("10ms/100ms", Steal(10 * MS, 100 * MS)),
        ("250us/1s", Steal(250_000, 1000 * MS)),
        ("6ms-9ms,4ms-5ms", Steal(windows=((4 * MS, 5 * MS), (6 * MS, 9 * MS)))),
        ("1ms/2ms,7ns-8ns", Steal(MS, 2 * MS, ((7, 8),))),
    ],
)
def test_words(words: str, wanted: Steal) -> None:
    assert parse(words) == wanted


@pytest.mark.parametrize("words", ["10", "10ms", "10ms/10ms", "5ms-4ms", "1ms/2ms,1ms/3ms", "x/y", "1ms-2", ","])
def test_what_is_no_schedule(words: str) -> None:
    with pytest.raises(ValueError, match=r"schedule|time|periods"):
        parse(words)


@given(schedules)
def test_text_undoes_parse(steal: Steal) -> None:
    assert parse(text(steal)) == steal


def test_the_last_of_each_period() -> None:
    steal = parse("10ms/100ms")
    assert window(steal, 0, HZ) == (90_000, 100_000)
    assert window(steal, 95_000, HZ) == (90_000, 100_000)
    assert window(steal, 100_000, HZ) == (190_000, 200_000)


def test_the_guest_has_a_tick_of_every_period() -> None:
    steal = parse("99999ns/100us")
    for real in range(0, 1000, 7):
        low, high = window(steal, real, HZ) or (0, 0)
        assert (low % 100, high - low) == (1, 99)


@given(schedules, st.integers(0, 10**10))
def test_a_window_contains_the_time_or_follows_it(steal: Steal, real: int) -> None:
    found = window(steal, real, HZ)
    assert found is not None or steal.stolen < 2 * 10**9 // HZ or not steal.period
    if found is not None:
        low, high = found
        assert low < high
        assert high > real
        assert window(steal, high, HZ) != found
