"""Styled text: whatever is in it, it fits where it is put."""

from hypothesis import given
from hypothesis import strategies as st

from pvtrace.tui.lines import Line, Size, Span, block, cells, cut, fit, line, text, width
from pvtrace.tui.messages import Focused
from pvtrace.tui.roles import Role

WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Mn", "Me")), max_size=20)
SPANS = st.builds(Span, WORDS, st.sampled_from(list(Role)), st.none() | st.just(Role.CURSOR))
LINES = st.lists(SPANS, max_size=8).map(tuple)
ROOM = st.integers(0, 60)


@given(LINES, ROOM)
def test_a_fitted_line_is_exactly_as_wide(given_: Line, room: int) -> None:
    # a wide letter that would stick out by half is replaced by a space or an ellipsis
    assert width(fit(given_, room)) == room


@given(st.lists(LINES, max_size=8), st.builds(Size, ROOM, st.integers(0, 12)))
def test_a_block_is_exactly_as_large(lines: list[Line], size: Size) -> None:
    made = block(lines, size)
    assert len(made) == size.height
    assert {width(item) for item in made} <= {size.width}


@given(WORDS, ROOM)
def test_what_is_cut_says_so_unless_it_was_spaces(words: str, room: int) -> None:
    shown = cut(words, room)
    assert cells(shown) <= max(room, 0)
    if cells(words.rstrip()) <= room:
        assert shown.rstrip() == words.rstrip()
    elif room:
        assert shown.endswith("…")


def test_wide_letters_take_two_cells_and_combining_ones_none() -> None:
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
    assert cells("┌─┐") == 3


def test_the_ground_of_the_last_span_goes_on_to_the_end() -> None:
    filled = fit(line(Span("a", on=Role.CURSOR), Span("b", on=Role.CURSOR)), 6)
    assert [span.on for span in filled] == [Role.CURSOR] * 3
    assert text(filled) == "ab"


def test_links_are_kept() -> None:
    link = Focused("events")
    assert fit(line(Span("abc", link=link)), 2)[0] == Span("a…", link=link)
