"""Checkpoints are as far apart as it takes to run again what is between them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvtrace.session.spacing import EVENTS, LONGEST, SHORTEST, STEPS, Place, Spacing

LAST = Place(1000, 10)


@pytest.mark.parametrize(
    ("steps", "events", "due"),
    [
        (STEPS, 0, True),
        (STEPS - 1, 0, False),
        (0, EVENTS, True),
        (0, EVENTS - 1, False),
        (STEPS // 2, EVENTS // 2, True),
        (STEPS // 2, EVENTS // 2 - 1, False),
    ],
)
def test_steps_and_events_count(steps: int, events: int, due: bool) -> None:
    here = Place(LAST.step + steps, LAST.events + events)
    assert Spacing().is_due(LAST, here) is due


def test_a_distance_that_was_chosen_is_kept() -> None:
    chosen = Spacing(500)
    assert chosen.look(LAST, LAST, Place(1200, 10**9)) == 1500
    assert not chosen.is_due(LAST, Place(1499, 10**9))
    assert chosen.is_due(LAST, Place(1500, 10))


@pytest.mark.parametrize(
    ("distance", "events", "wanted"),
    [
        (LONGEST, 0, LONGEST),
        (1 << 17, 0, 1 << 18),
        (1 << 17, EVENTS // 16, 1 << 17),
        (1 << 17, EVENTS, 1 << 16),
        (SHORTEST, EVENTS, SHORTEST),
    ],
)
def test_it_is_asked_the_sooner_the_denser_events_are(distance: int, events: int, wanted: int) -> None:
    here = Place(LAST.step + distance, LAST.events + events)
    assert Spacing().look(LAST, LAST, here) == here.step + wanted
    assert Spacing().look(LAST, None, here) == here.step + SHORTEST


@settings(deadline=None)
@given(st.integers(1, 500_000))
def test_whatever_the_density_little_more_than_planned_lies_between(density: int) -> None:
    """`density`: events in a million steps. The machine runs to where it is asked, and no further."""
    spacing, last, before, here = Spacing(), Place(0, 0), None, Place(0, 0)
    for _ in range(200):
        goal = spacing.look(last, before, here)
        before, here = here, Place(goal, goal * density // 10**6)
        if spacing.is_due(last, here):
            cost = (here.step - last.step) / STEPS + (here.events - last.events) / EVENTS
            assert cost < 1.5
            last = here
    assert last.step or here.step < STEPS
