"""Checkpoints are as far apart as it takes to run again what is between them."""

import pytest

from pvtrace.session.spacing import EVENTS, LOOK, STEPS, Place, Spacing

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
    assert chosen.look(LAST, 1200) == 1500
    assert not chosen.is_due(LAST, Place(1499, 10**9))
    assert chosen.is_due(LAST, Place(1500, 10))


def test_it_is_asked_at_the_same_steps_however_far_one_slice_went() -> None:
    assert {Spacing().look(LAST, step) for step in (0, 1, LOOK - 1)} == {LOOK}
    assert Spacing().look(LAST, LOOK) == 2 * LOOK
