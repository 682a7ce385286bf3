"""Two sequences of numbers, and which places of one correspond to which of the other. Pure; it knows nothing of guests.

Rare elements are the anchors: those that occur once in each sequence (patience), or runs of 2, 4, 8 ... elements that
do. What lies between two anchors is aligned in the same way, and what has none by Myers' greedy algorithm ("An O(ND)
Difference Algorithm", 1986), as far as MOST_EDITS reach, and on from there. So time is bounded by length * (DEEPEST *
log(length) + MOST_EDITS) and memory by the length. The result is a common subsequence, and not always the longest.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

MOST_EDITS: Final = 32
"""Edits that Myers' algorithm looks ahead before it settles for what it has."""

SHORT: Final = 24
"""Elements of two stretches, together, that need no anchors."""

DEEPEST: Final = 12
"""How often a stretch is divided at anchors within anchors."""

LONGEST_RUN: Final = 64
"""Elements of the longest runs that serve as anchors."""

CHUNK: Final = 4096
"""Elements that are compared at a time."""


class Block(NamedTuple):
    """`size` elements from `a` on in one sequence are those from `b` on in the other."""

    a: int
    b: int
    size: int


class Gap(NamedTuple):
    """What lies between two blocks, before the first or behind the last: elements of one sequence, of the other, or of
    both, that have no counterpart. Ends are not included."""

    a: int
    a_end: int
    b: int
    b_end: int


_Stretch = tuple[int, int, int, int, int]
"""a, its end, b, its end, and how deep it lies within other stretches."""

_Pair = tuple[int, int]


def align(a: Sequence[int], b: Sequence[int]) -> list[Block]:
    """Blocks of equal elements, in the order of both sequences. align(b, a) is the same with the sides exchanged."""
    if len(b) < len(a) or (len(b) == len(a) and list(b) < list(a)):
        return [Block(j, i, size) for i, j, size in _align(b, a)]
    return _align(a, b)


def script(blocks: Sequence[Block], a_size: int, b_size: int) -> Iterator[Block | Gap]:
    """Blocks and the gaps between them, in order: together all of both sequences, which have these lengths."""
    a = b = 0
    for block in (*blocks, Block(a_size, b_size, 0)):
        if block.a > a or block.b > b:
            yield Gap(a, block.a, b, block.b)
        if block.size:
            yield block
        a, b = block.a + block.size, block.b + block.size


def _align(a: Sequence[int], b: Sequence[int]) -> list[Block]:
    found: list[Block] = []
    todo: list[_Stretch] = [(0, len(a), 0, len(b), 0)]
    while todo:
        a_from, a_to, b_from, b_to, depth = todo.pop()
        start = _alike(a, b, a_from, b_from, min(a_to - a_from, b_to - b_from))
        found.append(Block(a_from, b_from, start))
        a_from, b_from = a_from + start, b_from + start
        end = 0
        while a_from < a_to - end and b_from < b_to - end and a[a_to - 1 - end] == b[b_to - 1 - end]:
            end += 1
        a_to, b_to = a_to - end, b_to - end
        found.append(Block(a_to, b_to, end))
        if a_from < a_to and b_from < b_to:
            pairs, between = _inside(a, b, (a_from, a_to, b_from, b_to, depth))
            found += (Block(*pair, 1) for pair in pairs)
            todo += between
    return _joined(sorted(block for block in found if block.size))


def _alike(a: Sequence[int], b: Sequence[int], i: int, j: int, most: int) -> int:
    """How many elements from `i` and `j` on are equal, of `most` that are there."""
    size = 0
    while size + CHUNK <= most and a[i + size : i + size + CHUNK] == b[j + size : j + size + CHUNK]:
        size += CHUNK
    while size < most and a[i + size] == b[j + size]:
        size += 1
    return size


def _inside(a: Sequence[int], b: Sequence[int], stretch: _Stretch) -> tuple[list[_Pair], list[_Stretch]]:
    """Corresponding places of a stretch that begins and ends with different elements, and the stretches between them
    that are still to be looked into. Elements that only one side has are left out: they correspond to nothing."""
    a_from, a_to, b_from, b_to, depth = stretch
    common = {*a[a_from:a_to]} & {*b[b_from:b_to]}
    if not common:
        return [], []
    a_at = [i for i in range(a_from, a_to) if a[i] in common]
    b_at = [j for j in range(b_from, b_to) if b[j] in common]
    a_left, b_left = [a[i] for i in a_at], [b[j] for j in b_at]
    if len(a_left) + len(b_left) > SHORT and depth < DEEPEST:
        anchors = _anchors(a_left, b_left)
        if anchors:
            pairs = [(a_at[i], b_at[j]) for i, j in anchors]
            return pairs, list(_between(pairs, stretch))
    return [(a_at[i], b_at[j]) for i, j in _by_edits(a_left, b_left)], []


def _between(pairs: Sequence[_Pair], stretch: _Stretch) -> Iterator[_Stretch]:
    a, a_to, b, b_to, depth = stretch
    for i, j in (*pairs, (a_to, b_to)):
        if i > a and j > b:
            yield a, i, b, j, depth + 1
        a, b = i + 1, j + 1


def _anchors(a: list[int], b: list[int]) -> list[_Pair]:
    """Beginnings of runs that occur once in each, and as many as keep their order: of the shortest runs of which at
    least half do. If fewer do, it is chance that they occur in both."""
    length = 1
    while length <= min(LONGEST_RUN, len(a), len(b)):
        a_once, b_once = _once(a), _once(b)
        pairs = [(i, b_once[run]) for run, i in a_once.items() if run in b_once]
        rising = _rising(sorted(pairs))
        if rising and 2 * len(rising) >= len(pairs):
            return rising
        length *= 2
        a, b = _longer(a, b, length)
    return []


def _once(values: list[int]) -> dict[int, int]:
    """The places of the values that occur once."""
    places: dict[int, int] = {}
    again: set[int] = set()
    for place, value in enumerate(values):
        if value in places:
            again.add(value)
        else:
            places[value] = place
    return {value: place for value, place in places.items() if value not in again}


def _longer(a: list[int], b: list[int], length: int) -> tuple[list[int], list[int]]:
    """A number for the run of `length` elements at each place, given the numbers of the runs half as long."""
    numbers: dict[_Pair, int] = {}

    def numbered(halves: list[int]) -> list[int]:
        return [numbers.setdefault(pair, len(numbers)) for pair in zip(halves, halves[length // 2 :], strict=False)]

    return numbered(a), numbered(b)


def _rising(pairs: list[_Pair]) -> list[_Pair]:
    """The most of the pairs whose second places rise, too (longest increasing subsequence, by piles)."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        pile = bisect_left(tops, j)
        before.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [j]
        ends[pile : pile + 1] = [number]
    chain: list[_Pair] = []
    number = ends[-1] if ends else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]


def _by_edits(a: list[int], b: list[int]) -> list[_Pair]:
    """Corresponding places by Myers' algorithm, of which MOST_EDITS at a time are looked for."""
    pairs: list[_Pair] = []
    i = j = 0
    while i < len(a) and j < len(b):
        trail, (i, j) = _greedy(a, b, i, j)
        pairs += trail
    return pairs


def _greedy(a: list[int], b: list[int], a_from: int, b_from: int) -> tuple[list[_Pair], _Pair]:
    """Corresponding places from here on, and how far they reach: to both ends, or to where MOST_EDITS led.

    Paths may leave the two sequences by one; such a path never comes back, and is never the best.
    """
    a_size, b_size = len(a) - a_from, len(b) - b_from
    rounds: list[list[int]] = []
    reach = [0] * (2 * MOST_EDITS + 3)  # by diagonal; the negative ones count from the end
    for edits in range(MOST_EDITS + 1):
        rounds.append(reach)
        reach = reach[:]
        for diagonal in range(-edits, edits + 1, 2):
            i = _step(reach, diagonal, edits)
            j = i - diagonal
            while i < a_size and j < b_size and a[a_from + i] == b[b_from + j]:
                i, j = i + 1, j + 1
            reach[diagonal] = i
            if i == a_size and j == b_size:
                return _trail(rounds, i, j, a_from, b_from), (len(a), len(b))
    ends = [(reach[diagonal], reach[diagonal] - diagonal) for diagonal in range(-MOST_EDITS, MOST_EDITS + 1, 2)]
    i, j = max((end for end in ends if end[0] <= a_size and end[1] <= b_size), key=sum)
    return _trail(rounds, i, j, a_from, b_from), (a_from + i, b_from + j)


def _inserts(reach: list[int], diagonal: int, edits: int) -> bool:
    """Whether the path comes to this diagonal by an element of b alone: if that leads further than one of a."""
    return diagonal == -edits or (diagonal != edits and reach[diagonal - 1] < reach[diagonal + 1])


def _step(reach: list[int], diagonal: int, edits: int) -> int:
    """Where in a the path comes to this diagonal."""
    return reach[diagonal + 1] if _inserts(reach, diagonal, edits) else reach[diagonal - 1] + 1


def _trail(rounds: list[list[int]], i: int, j: int, a_from: int, b_from: int) -> list[_Pair]:
    """The corresponding places on the path to (i, j), in order. `rounds`: how far each had reached before it."""
    trail: list[_Pair] = []
    for edits in range(len(rounds) - 1, -1, -1):
        reach, diagonal = rounds[edits], i - j
        start = _step(reach, diagonal, edits)
        while i > start:
            i, j = i - 1, j - 1
            trail.append((a_from + i, b_from + j))
        i, j = (i, j - 1) if _inserts(reach, diagonal, edits) else (i - 1, j)
    return trail[::-1]


def _joined(blocks: list[Block]) -> list[Block]:
    """Blocks that touch are one."""
    joined: list[Block] = []
    for block in blocks:
        if joined and (joined[-1].a + joined[-1].size, joined[-1].b + joined[-1].size) == (block.a, block.b):
            last = joined.pop()
            joined.append(Block(last.a, last.b, last.size + block.size))
        else:
            joined.append(block)
    return joined
