"""Slots tile the screen: nothing overlaps, nothing is left out, at every size and whatever is hidden."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.step import Step
from pvtrace.tui import layout, panels
from pvtrace.tui.keys import DIGITS
from pvtrace.tui.layout import BARS, SMALLEST, Box
from pvtrace.tui.model import Here, Model, Recording

PANES = sorted(DIGITS.values())
MODEL = Model(Recording("a.pvt", Step(0), Step(100), 10, 1000), Here(Step(0)))
SIZES = st.tuples(st.integers(SMALLEST[0], 260), st.integers(SMALLEST[1], 80))


@st.composite
def models(draw: st.DrawFn) -> Model:
    width, height = draw(SIZES)
    hidden = frozenset(draw(st.sets(st.sampled_from(PANES), max_size=len(PANES) - 1)))
    focus = draw(st.sampled_from([pane for pane in PANES if pane not in hidden]))
    zoomed = draw(st.booleans())
    return replace(MODEL, width=width, height=height, hidden=hidden, focus=focus, zoomed=zoomed)


@given(models())
def test_slots_tile_the_body(model: Model) -> None:
    slots = layout.placed(model)
    covered: dict[tuple[int, int], str] = {}
    for slot in slots:
        left, top, width, height = slot.box
        for row in range(top, top + height):
            for column in range(left, left + width):
                assert (row, column) not in covered
                covered[row, column] = slot.seen
    for row in range(1, model.height - BARS + 1):
        missing = [column for column in range(model.width) if (row, column) not in covered]
        # the lines between columns, one cell each
        assert all(b - a > 1 for a, b in pairwise(missing))


@given(models())
def test_each_pane_that_is_not_hidden_can_be_reached(model: Model) -> None:
    plain = replace(model, zoomed=False)
    tabs = {pane for slot in layout.placed(plain) for pane in slot.panes}
    assert tabs == set(PANES) - model.hidden
    for pane in tabs:
        assert pane in {slot.seen for slot in layout.placed(panels.focused(plain, pane))}


@given(models())
def test_a_hidden_pane_comes_back_when_it_is_looked_at(model: Model) -> None:
    for pane in model.hidden:
        assert pane in layout.order(panels.focused(replace(model, zoomed=False), pane))


def test_tab_goes_through_all_that_is_seen_and_back() -> None:
    model = replace(MODEL, width=120, height=40)
    seen = layout.order(model)
    visited = []
    for _ in seen:
        visited.append(model.focus)
        model, _ = panels.turn(model, 1)
    assert sorted(visited) == sorted(seen)
    assert model.focus == visited[0]


def test_hiding_all_leaves_one() -> None:
    model = replace(MODEL, width=120, height=40)
    for _ in PANES:
        model, _ = panels.hide(model)
    assert len(model.hidden) == len(PANES) - 1
    assert model.note is not None
    model, _ = panels.show_all(model)
    assert not model.hidden


def test_what_was_looked_at_last_is_seen_when_the_terminal_grows_and_shrinks() -> None:
    small = panels.focused(panels.focused(replace(MODEL, width=80, height=24), "memory"), "events")
    assert "memory" in layout.order(small)
    large = replace(small, width=200, height=60)
    assert {"memory", "stack", "registers"} <= set(layout.order(large))
    assert layout.order(replace(large, width=80, height=24)) == layout.order(small)


@pytest.mark.parametrize("weights", [(1, 1, 1), (5, 2, 9), (1, 7)])
@given(room=st.integers(0, 200))
def test_shares_lose_nothing(weights: tuple[int, ...], room: int) -> None:
    parts = [layout.Slot(("events",), weight) for weight in weights]
    shares = layout.shares([layout.Slot(("time",), lines=6), *parts], room)
    assert sum(shares) == room
    assert all(share >= 0 for share in shares)


def test_the_frame_of_a_pane_takes_its_first_line() -> None:
    model = replace(MODEL, width=80, height=24, zoomed=True)
    assert layout.inner(model, "events") == Box(0, 2, 80, 21)
