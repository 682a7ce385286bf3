"""Which places are kept: a pure function, and the budget."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.digest import START
from pvtrace.model.snapshot import PAGE
from pvtrace.model.step import Step
from pvtrace.timeline.checkpoints import Place, Places, thinned
from pvtrace.timeline.explorer import waypoints


@given(st.sets(st.integers(0, 10**9), min_size=2).map(sorted), st.integers(0, 10**9))
def test_the_first_place_is_never_given_up(steps: list[int], here: int) -> None:
    assert 1 <= thinned(steps, here) < len(steps)


def test_what_is_left_is_dense_near_here_and_sparse_far_away() -> None:
    steps, here = list(range(0, 1_000_000, 1000)), 700_000
    while len(steps) > 40:
        del steps[thinned(steps, here)]
    near = [step for step in steps if abs(step - here) < 10_000]
    assert len(near) >= 6
    gaps = [(after - before, abs(before - here)) for before, after in pairwise(steps)]
    assert all(gap <= max(4000, distance) for gap, distance in gaps)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 9)), min_size=3, unique_by=lambda item: item[0]))
def test_places_stay_under_their_budget(made: list[tuple[int, int]]) -> None:
    budget = 40 * PAGE
    places = Places(budget)
    shared = bytes(PAGE)
    for step, own in made:
        pages = {0: shared, **{n: bytes([n]) * PAGE for n in range(1, own)}}
        places.add(Place(Step(step), START, b"state", pages), step)
        assert places.size <= budget or len(places.steps) <= 2
        assert list(places.steps) == sorted(places.steps)
    ids = {id(page) for step in places.steps for page in _pages(places, step)}
    assert places.size >= PAGE * len(ids)


def _pages(places: Places, step: int) -> list[bytes]:
    place = places.before(step)
    assert place is not None
    return list(place.pages.values())


def test_pages_that_places_share_count_once() -> None:
    places, page = Places(1 << 30), b"x" * PAGE
    for step in range(10):
        places.add(Place(Step(step), START, b"", dict.fromkeys(range(100), page)), step)
    assert places.size < 3 * PAGE + 10 * 100 * 101


@pytest.mark.parametrize(("step", "found"), [(4, None), (5, 5), (6, 5), (100, 9)])
def test_before(step: int, found: int | None) -> None:
    places = Places(1 << 20)
    for at in (9, 5):
        places.add(Place(Step(at), START, b"", {}), at)
    place = places.before(step)
    assert (None if place is None else place.step) == found


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_waypoints_lie_on_the_way(start: int, length: int) -> None:
    points = list(waypoints(start, start + length))
    assert points == sorted(points)
    assert all(start < point < start + length for point in points)
