"""The time strip's arithmetic: columns share out the steps, zooming keeps the place, moving keeps the length."""

from hypothesis import given
from hypothesis import strategies as st

from pvtrace.tui import strip
from pvtrace.tui.strip import SHORTEST, Span, Strip

LAST = st.integers(0, 1 << 40)
WIDTH = st.integers(1, 250)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    since = draw(st.integers(0, 1 << 40))
    return Span(since, since + draw(st.integers(1, 1 << 40)))


@st.composite
def views(draw: st.DrawFn) -> tuple[Strip, int, int]:
    """A strip that is reached by keys, the last step, and where one is."""
    last = draw(LAST)
    here = draw(st.integers(0, last))
    seen = Strip()
    for closer in draw(st.lists(st.booleans(), max_size=8)):
        seen = strip.zoomed(seen, 0, last, here, closer)
    return seen, last, here


@given(spans(), WIDTH, st.integers(0, 1 << 41))
def test_each_step_is_in_the_column_that_its_start_says(seen: Span, width: int, step: int) -> None:
    column = seen.column(step, width)
    if column is None:
        assert not seen.since <= step < seen.until
        return
    assert 0 <= column < width
    assert seen.start(column, width) <= step < seen.start(column + 1, width)


@given(spans(), WIDTH)
def test_columns_share_out_all_steps_in_order(seen: Span, width: int) -> None:
    starts = [seen.start(column, width) for column in range(width + 1)]
    assert starts[0] == seen.since
    assert starts[-1] == seen.until
    assert starts == sorted(starts)


@given(views(), st.booleans())
def test_zooming_keeps_the_place_in_sight_and_inside_the_recording(view: tuple[Strip, int, int], closer: bool) -> None:
    before, last, here = view
    after = strip.span(strip.zoomed(before, 0, last, here, closer), 0, last)
    assert 0 <= after.since < after.until <= last + 1
    assert after.since <= here < after.until
    old = strip.span(before, 0, last)
    assert after.length <= old.length if closer and old.length > SHORTEST else after.length >= min(old.length, last + 1)


@given(views(), st.sampled_from([-1, 1]), st.integers(0, 20))
def test_moving_keeps_the_length_and_ends_at_the_ends(view: tuple[Strip, int, int], way: int, times: int) -> None:
    seen, last, _ = view
    length = strip.span(seen, 0, last).length
    for _ in range(times):
        seen = strip.panned(seen, 0, last, way)
        after = strip.span(seen, 0, last)
        assert after.length == length
        assert 0 <= after.since < after.until <= last + 1


@given(views(), st.integers(0, 1 << 40))
def test_following_brings_a_place_into_sight(view: tuple[Strip, int, int], goal: int) -> None:
    seen, last, _ = view
    goal = min(goal, last)
    after = strip.span(strip.following(seen, 0, last, goal), 0, last)
    assert after.since <= goal < after.until
    assert after.length == strip.span(seen, 0, last).length
