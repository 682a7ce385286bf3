"""The alignment of two sequences: what it promises for any, and that it stays near the best for short ones."""

from array import array
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pvtrace.divergence.twin.alignment import Block, Gap, align, script

few = st.lists(st.integers(0, 3), max_size=60)
many = st.lists(st.integers(0, 30), max_size=200)
sequences = few | many


def check(a: list[int], b: list[int]) -> list[Block]:
    """The blocks, which are an edit script that turns a into b."""
    blocks = align(a, b)
    place_a, place_b = 0, 0
    made: list[int] = []
    for part in script(blocks, len(a), len(b)):
        assert (part.a, part.b) == (place_a, place_b)
        if isinstance(part, Gap):
            place_a, place_b = part.a_end, part.b_end
            assert (part.a, part.b) != (part.a_end, part.b_end)
            made += b[part.b : part.b_end]
        else:
            place_a, place_b = part.a + part.size, part.b + part.size
            assert part.size > 0
            assert a[part.a : place_a] == b[part.b : place_b]
            made += a[part.a : place_a]
    assert (place_a, place_b) == (len(a), len(b))
    assert made == b
    assert all(
        isinstance(one, Gap) != isinstance(other, Gap) for one, other in pairwise(script(blocks, len(a), len(b)))
    )
    return blocks


def longest(a: list[int], b: list[int]) -> int:
    """The size of the longest common subsequence, by the textbook."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b):
            row[j + 1], before = (before + 1 if x == y else max(row[j], row[j + 1])), row[j + 1]
    return row[-1]


@given(sequences, sequences)
def test_it_is_an_edit_script(a: list[int], b: list[int]) -> None:
    check(a, b)


@given(sequences, sequences)
def test_it_is_the_same_from_both_sides(a: list[int], b: list[int]) -> None:
    assert align(b, a) == [Block(j, i, size) for i, j, size in align(a, b)]


@given(sequences)
def test_equal_sequences_are_one_block(a: list[int]) -> None:
    assert align(a, a) == ([Block(0, 0, len(a))] if a else [])


@given(sequences, st.data())
def test_one_inserted_element_is_one_gap(a: list[int], data: st.DataObject) -> None:
    """Of equal neighbours any may count as the new one."""
    place = data.draw(st.integers(0, len(a)))
    b = [*a[:place], 2, *a[place:]]
    (gap,) = (part for part in script(check(a, b), len(a), len(b)) if isinstance(part, Gap))
    assert gap.a == gap.a_end
    assert gap.b_end - gap.b == 1
    assert b[gap.b] == 2
    assert align(b, a) == [Block(j, i, size) for i, j, size in align(a, b)]  # deleted


@given(sequences, st.data())
def test_one_changed_element_is_one_gap(a: list[int], data: st.DataObject) -> None:
    a = [*a, 0]
    place = data.draw(st.integers(0, len(a) - 1))
    b = [*a[:place], 99, *a[place + 1 :]]
    gaps = [part for part in script(check(a, b), len(a), len(b)) if isinstance(part, Gap)]
    assert gaps == [Gap(place, place + 1, place, place + 1)]


@given(sequences, sequences, sequences)
def test_common_ends_are_found(start: list[int], end: list[int], middle: list[int]) -> None:
    blocks = check([*start, *end], [*start, *middle, *end])
    assert sum(block.size for block in blocks) == len(start) + len(end)


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_short_ones_are_aligned_as_well_as_can_be(a: list[int], b: list[int]) -> None:
    """Up to SHORT elements there are no anchors, and Myers' algorithm finds the longest."""
    assert sum(block.size for block in check(a, b)) == longest(a, b)


def test_rare_elements_hold_together_what_is_common() -> None:
    """A long loop in which one turn is missing: the turns have numbers, and those that both have correspond."""
    turns = [[1, 2, 3, 1000 + n, 4, 4] for n in range(2000)]
    a = [each for turn in turns for each in turn]
    b = [each for n, turn in enumerate(turns) if n != 1234 for each in turn]
    (gap,) = (part for part in script(check(a, b), len(a), len(b)) if isinstance(part, Gap))
    assert (gap.a_end - gap.a, gap.b_end - gap.b) == (6, 0)
    assert a.index(2234) in range(gap.a, gap.a_end)


def test_runs_are_anchors_where_no_element_is_rare() -> None:
    a = [n * n % 17 for n in range(17)] * 3 + [n * 7 % 11 for n in range(5000)]
    b = a[:2000] + [18] * 40 + a[2000:]
    gaps = [part for part in script(check(a, b), len(a), len(b)) if isinstance(part, Gap)]
    assert gaps == [Gap(2000, 2000, 2000, 2040)]


def test_more_edits_than_are_looked_ahead_for() -> None:
    """Nothing is rare and nearly all differs: it ends, and finds more than a third of what there is."""
    a = [n * n // 7 % 5 for n in range(3000)]
    b = [n * n // 11 % 5 for n in range(2500)]
    assert sum(block.size for block in check(a, b)) * 3 > longest(a, b)


def test_arrays_are_aligned_as_lists_are() -> None:
    a, b = [n % 50 for n in range(10_000)], [n % 50 for n in range(10_000) if n != 7777]
    assert align(array("L", a), array("L", b)) == align(a, b)
