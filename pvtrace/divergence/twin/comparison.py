"""Two recordings, fact by fact: what differs, and what explains it. Pure.

A guest is deterministic. The same guest, fed the same, does something else only after the machine has answered
something else. So a different answer to the same question (an instruction, a port) must be the finding of a rule, or
nothing explains it; what the guest then does differently follows from a finding shortly before, or else from what was
different from the start (the ROMs that it finds). Of two different guests that cannot be said: there, only findings of
the very same moment explain.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pvtrace.divergence.catalogue import RULES, Severity
from pvtrace.divergence.twin.alignment import Block, Gap, align, script
from pvtrace.divergence.twin.facts import Course, Fact, Facts, Value, Vocabulary
from pvtrace.model.findings import Finding, Standing

PROFILE: Final = "vmi"
SETTINGS: Final = "settings"
INPUT: Final = "input"
CUT: Final = "cut"

REASONS: Final[Mapping[str, str]] = {
    PROFILE: "the guest finds other VMI ROMs, and acts on it",
    SETTINGS: "the machine was set up in another way",
    INPUT: "something else was typed",
    CUT: "the other recording ends before",
}
"""What explains a difference and is no rule of the catalogue."""


SHORTLY: Final = 8
"""Facts of a recording behind a finding, of which it may be the cause."""

SAVED: Final = frozenset({"mov-sreg", "push-sreg"})
"""Rules about what every handler saves and hardly a program looks at: they may be the cause of the next fact alone."""


class Reason(NamedTuple):
    """`name`: a rule of the catalogue, or one of REASONS. `follows`: it is not the difference itself, but what the
    guest made of it."""

    name: str
    follows: bool = False

    @property
    def title(self) -> str:
        return REASONS[self.name] if self.given else RULES[self.name].title

    @property
    def given(self) -> bool:
        """Whether it was so from the start, or lies outside the guest."""
        return self.name in REASONS

    @property
    def direct(self) -> bool:
        """Whether the machine itself made the difference, at this very step."""
        return not self.given and not self.follows


class Difference(NamedTuple):
    """The fact with this place in A, in B, or in both: the same question, but another choice or answer. `reason`: None
    if nothing explains it."""

    a: int | None
    b: int | None
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Interval:
    """Differences between facts that are alike; `gap`: their places."""

    gap: Gap
    differences: tuple[Difference, ...]

    @property
    def unexplained(self) -> bool:
        return any(difference.reason is None for difference in self.differences)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Each once, in order."""
        return tuple(dict.fromkeys(each.reason for each in self.differences if each.reason is not None))


@dataclass(frozen=True, slots=True)
class Side:
    """One recording: its facts, and what it was found to hold, in order."""

    course: Course
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Apart:
    """What time decides. `alike`: interrupts and halts of both, however they lie; `only_a`, `only_b`: how many more
    one has of what the other has as well; `new`: places, in A's or B's Course.apart, of what the other never does, and
    what explains it."""

    alike: int
    only_a: int
    only_b: int
    new: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`same`: both are the same guest, so that what it chose is explained by what it was answered before."""

    vocabulary: Vocabulary
    a: Side
    b: Side
    same: bool
    intervals: tuple[Interval, ...]
    apart: Apart

    @property
    def alike(self) -> int:
        different = sum(each.a is not None for interval in self.intervals for each in interval.differences)
        return len(self.a.course.facts.numbers) - different

    @property
    def explained(self) -> bool:
        """Whether nothing differs but what rules explain, and time."""
        return not any(each.unexplained for each in self.intervals) and all(each.reason for each in self.apart.new)

    @property
    def first(self) -> tuple[Interval, Difference] | None:
        """The first difference of the machine, or that nothing explains; else the first of all."""
        every = [(interval, each) for interval in self.intervals for each in interval.differences]
        wanted = (pair for pair in every if pair[1].reason is None or pair[1].reason.direct)
        return next(wanted, every[0] if every else None)

    def fact(self, side: Side, place: int) -> Fact:
        return self.vocabulary.facts[side.course.facts.numbers[place]]


def compare(vocabulary: Vocabulary, a: Side, b: Side, *, same: bool, given: str | None) -> Comparison:
    """`same`: the same guest. `given`: which one of REASONS made the two machines different from the start."""
    places = _places(vocabulary, a) & _places(vocabulary, b)
    a, b = _settled(vocabulary, a, places), _settled(vocabulary, b, places)
    ours, theirs = a.course.facts, b.course.facts
    shapes = align(vocabulary.shapes(ours.numbers), vocabulary.shapes(theirs.numbers))
    blocks = [each for block in shapes for each in _equal(block, ours.numbers, theirs.numbers)]
    explaining = _Explaining(vocabulary, a, b, same, given)
    intervals: list[Interval] = []
    for part in script(blocks, len(ours.numbers), len(theirs.numbers)):
        if isinstance(part, Block):
            explaining.agreed(part)
        else:
            differences = tuple(explaining.gap(part))
            intervals += [Interval(part, differences)] if differences else []
    return Comparison(vocabulary, a, b, same, tuple(intervals), explaining.apart(blocks))


def _places(vocabulary: Vocabulary, side: Side) -> frozenset[Value]:
    course = side.course
    return vocabulary.places(course.facts.numbers) | vocabulary.places(course.apart.numbers)


def _settled(vocabulary: Vocabulary, side: Side, places: frozenset[Value]) -> Side:
    """A recording in whose facts no other places count than these, at which both execute the instruction itself."""
    course = side.course
    facts = replace(course.facts, numbers=vocabulary.placed(course.facts.numbers, places))
    apart = replace(course.apart, numbers=vocabulary.placed(course.apart.numbers, places))
    return replace(side, course=replace(course, facts=facts, apart=apart))


def _equal(block: Block, a: Sequence[int], b: Sequence[int]) -> Iterator[Block]:
    """What of a block of facts that were asked alike was answered alike as well."""
    start = 0
    for n in range(block.size):
        if a[block.a + n] != b[block.b + n]:
            if n > start:
                yield Block(block.a + start, block.b + start, n - start)
            start = n + 1
    if block.size > start:
        yield Block(block.a + start, block.b + start, block.size - start)


class _Explaining:
    """Goes through the differences once, in order, and knows what has been explained until there."""

    def __init__(self, vocabulary: Vocabulary, a: Side, b: Side, same: bool, given: str | None) -> None:
        self._vocabulary = vocabulary
        self._a, self._b = a, b
        self._same = same
        self._given = None if given is None else Reason(given, follows=True)
        self._found = _Found(a), _Found(b)
        self._lost = (
            -SHORTLY - 1,
            -SHORTLY - 1,
        )  # the places of the last difference of the machine that nothing explains
        self._other: dict[str, Reason] = {}  # flags that are now another, and why

    def agreed(self, block: Block) -> None:
        """Facts that are alike: the flags that they show are the same again."""
        numbers = self._a.course.facts.numbers
        for place in range(block.a, block.a + block.size):
            if not self._other:
                return
            for name, _ in self._vocabulary.facts[numbers[place]].answered:
                self._other.pop(name, None)

    def gap(self, gap: Gap) -> Iterator[Difference]:
        """The differences in a gap: facts that are the same question are one, the others stand alone."""
        a, b = self._a.course, self._b.course
        numbers = [*a.facts.numbers[gap.a : gap.a_end], *b.facts.numbers[gap.b : gap.b_end]]
        questions = self._vocabulary.questions(numbers)
        size = gap.a_end - gap.a
        pairs = align(questions[:size], questions[size:])
        for part in script(pairs, size, gap.b_end - gap.b):
            if isinstance(part, Block):
                for n in range(part.size):
                    i, j = gap.a + part.a + n, gap.b + part.b + n
                    if a.facts.numbers[i] == b.facts.numbers[j]:
                        self.agreed(Block(i, j, 1))
                    else:
                        yield self._changed(i, j)
                continue
            only = Gap(gap.a + part.a, gap.a + part.a_end, gap.b + part.b, gap.b + part.b_end)
            cut_a = only.a == only.a_end == len(a.facts.numbers) and not a.complete
            cut_b = only.b == only.b_end == len(b.facts.numbers) and not b.complete
            for i in range(only.a, only.a_end):
                yield Difference(i, None, Reason(CUT) if cut_b else self._alone(0, i, only.b))
            for j in range(only.b, only.b_end):
                yield Difference(None, j, Reason(CUT) if cut_a else self._alone(1, j, only.a))

    def _changed(self, i: int, j: int) -> Difference:
        """The same question: another answer of the machine, or another choice of the guest."""
        ours, theirs = self._a.course.facts, self._b.course.facts
        one, other = (self._vocabulary.facts[n] for n in (ours.numbers[i], theirs.numbers[j]))
        names = {name for name, _ in {*one.answered} ^ {*other.answered}}
        reason = self._answer(one, other, names, (i, j))
        for name, _ in one.answered:
            self._other.pop(name, None)
        if reason is not None:
            self._other |= dict.fromkeys(names & _LASTING, reason)
        return Difference(i, j, reason)

    def _answer(self, one: Fact, other: Fact, names: set[str], places: tuple[int, int]) -> Reason | None:
        """Why the answers of these names differ, or what the guest chose."""
        direct = self._direct(*places) if names else None
        if direct is not None:
            return direct
        if one.chosen != other.chosen and "why" not in names:
            return self._consequence(*places)
        if INPUT in names:
            return Reason(INPUT)
        if names and names <= self._other.keys():
            return self._other[min(names)]._replace(follows=True)
        self._lost = places
        return None

    def _alone(self, side: int, place: int, beside: int) -> Reason | None:
        """A fact of one recording; `beside`: the place of the other at which it would be."""
        places = (place, beside) if side == 0 else (beside, place)
        facts = (self._a, self._b)[side].course.facts
        if not self._vocabulary.facts[facts.numbers[place]].own:
            return self._consequence(*places)
        rule = self._found[side].at(facts.steps[place])
        if rule is None:
            self._lost = places
        return None if rule is None else Reason(rule)

    def _direct(self, i: int, j: int) -> Reason | None:
        """The finding of the very step of one of these facts."""
        steps = self._a.course.facts.steps[i], self._b.course.facts.steps[j]
        rules = (found.at(step) for found, step in zip(self._found, steps, strict=True))
        return next((Reason(rule) for rule in rules if rule is not None), None)

    def _consequence(self, i: int, j: int) -> Reason | None:
        """What the guest chose at these places follows from a finding shortly before, or from what was different from
        the start; from nothing known, shortly behind an answer that nothing explains."""
        if not self._same:
            return None
        for found, side, place, lost in zip(self._found, (self._a, self._b), (i, j), self._lost, strict=True):
            facts = side.course.facts
            here, before = _step(facts, place), _step(facts, place - 1)
            rule = found.between(_step(facts, max(place - SHORTLY, lost) - 1), before, here)
            if rule is not None:
                return Reason(rule, follows=True)
        near = any(0 <= place - lost <= SHORTLY for place, lost in zip((i, j), self._lost, strict=True))
        return None if near else self._given

    def apart(self, blocks: Sequence[Block]) -> Apart:
        """Interrupts and halts, by what happened in them and not by where they lie."""
        a, b = self._a.course, self._b.course
        ours, theirs = Counter(a.apart.numbers), Counter(b.apart.numbers)
        last = blocks[-1] if blocks else Block(0, 0, 0)
        until_a, until_b = _step(a.facts, last.a + last.size - 1), _step(b.facts, last.b + last.size - 1)
        reason = self._given if self._same else None
        new = [
            *(Difference(i, None, _cut(b, a.apart.steps[i] > until_a) or reason) for i in _new(a.apart, theirs)),
            *(Difference(None, j, _cut(a, b.apart.steps[j] > until_b) or reason) for j in _new(b.apart, ours)),
        ]
        return Apart((ours & theirs).total(), _more(ours, theirs), _more(theirs, ours), tuple(new))


def _cut(other: Course, behind: bool) -> Reason | None:
    """Why there is something behind all that is alike: because the other recording ends before its guest did."""
    return Reason(CUT) if behind and not other.complete else None


_LASTING: Final = frozenset({"IF", "IOPL"})
"""Answers that are states: while one is another, it shows in all that follows."""


class _Found:
    """Proven findings of one recording, by step. Where one explains what follows, allowed differences do not count:
    guests know them. Nor does what an interrupt's handler met, which is no concern of what it interrupts."""

    def __init__(self, side: Side) -> None:
        proven = [finding for finding in side.findings if finding.standing is Standing.PROVEN]
        self._at: dict[int, str] = {}
        for finding in sorted(proven, key=lambda each: RULES[each.rule].severity is Severity.ALLOWED):
            self._at.setdefault(finding.step, finding.rule)
        inside = _Spans(side.course)
        causes = sorted(
            (each.step, each.rule)
            for each in proven
            if RULES[each.rule].severity is not Severity.ALLOWED and not inside.holds(each.step)
        )
        self._acted_on = [cause for cause in causes if cause[1] not in SAVED]
        self._saved = [cause for cause in causes if cause[1] in SAVED]

    def at(self, step: int) -> str | None:
        return self._at.get(step)

    def between(self, after: int, before: int, step: int) -> str | None:
        """The last one behind `after` and up to `step`; of those that are saved, behind `before`."""
        return _last(self._acted_on, after, step) or _last(self._saved, before, step)


def _last(causes: Sequence[tuple[int, str]], after: int, step: int) -> str | None:
    place = bisect_right(causes, step, key=lambda cause: cause[0]) - 1
    return causes[place][1] if place >= 0 and causes[place][0] > after else None


class _Spans:
    """The steps of interrupts, each behind its entry and until its return."""

    def __init__(self, course: Course) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(zip(course.apart.steps, course.returns, strict=True)):
            if not self._ends or start >= self._ends[-1]:
                self._starts.append(start)
                self._ends.append(end)

    def holds(self, step: int) -> bool:
        place = bisect_right(self._starts, step - 1) - 1
        return place >= 0 and step <= self._ends[place]


def _more(one: Counter[int], other: Counter[int]) -> int:
    """How many more there are in one, of those that are in both."""
    return sum(count for number, count in (one - other).items() if number in other)


def _step(facts: Facts, place: int) -> int:
    """The step of the fact at a place: of the last one, behind the end; 0 before the first."""
    if place < 0 or not facts.steps:
        return 0
    return facts.steps[min(place, len(facts.steps) - 1)]


def _new(facts: Facts, known: Mapping[int, int]) -> Iterator[int]:
    """The first place of each fact that is not known."""
    seen: set[int] = set()
    for place, number in enumerate(facts.numbers):
        if number not in known and number not in seen:
            seen.add(number)
            yield place
