"""Two recordings held against each other, as text and as plain values for JSON."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from pvtrace.divergence.twin.comparison import Comparison, Difference, Interval, Reason, Side
from pvtrace.divergence.twin.facts import Fact, Facts
from pvtrace.model.events import Event
from pvtrace.report.describe import Symbols, describe, place, quoted
from pvtrace.report.table import columns, level

UNEXPLAINED: Final = "unexplained"
CONTEXT: Final = 3
"""Facts that are alike and are shown before the first difference."""

SHOWN: Final = 20
"""Intervals that are shown unless all are asked for: if there are more, only those in which the machine differs ..."""

EACH: Final = 12
"""... and differences in each."""

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A recording as it is shown: `name` as people write it, `vmi` the profile, `event` the event with a number."""

    name: str
    vmi: str
    steps: int
    events: int
    symbols: Symbols
    event: Callable[[int], Event]


class Sources(NamedTuple):
    a: Source
    b: Source


def reason_words(reason: Reason | None) -> str:
    """'user-iopl', 'follows pushf', 'unexplained'."""
    if reason is None:
        return UNEXPLAINED
    return f"follows {reason.name}" if reason.follows and not reason.given else reason.name


# ---------------------------------------------------------------------------------------------------------------- text


def short(found: Comparison) -> str:
    """One line."""
    if not found.intervals and not found.apart.new:
        return f"the guests did the same: {found.alike:,} facts are alike"
    counts = Counter(reason_words(each.reason) for each in _every(found))
    by_reason = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
    return f"{found.alike:,} facts are alike; {counts.total():,} differences: {by_reason}"


def text(found: Comparison, sources: Sources, *, everything: bool = False) -> Iterator[str]:
    """What is alike, the first difference, the intervals: the first SHOWN of them, or all."""
    for name, side, source in zip("AB", (found.a, found.b), sources, strict=True):
        yield f"{name}  {_about(source, side)}"
    yield short(found)
    yield from _time(found)
    first = found.first
    if first is None:
        return
    yield ""
    yield from _first(found, sources, *first)
    numbered = list(enumerate(found.intervals, 1))
    if not everything and len(numbered) > SHOWN:
        numbered = [pair for pair in numbered if _of_the_machine(pair[1])][:SHOWN]
    for number, interval in numbered:
        yield ""
        yield from _interval(found, sources, number, interval, len(interval.differences) if everything else EACH)
    if len(numbered) < len(found.intervals):
        yield f"\n{len(found.intervals) - len(numbered):,} more intervals; --all shows them"
    if found.apart.new:
        new = found.apart.new if everything else found.apart.new[:SHOWN]
        yield f"\ninterrupts and halts of {len(found.apart.new):,} kinds that only one has:"
        yield from columns(_new_row(found, sources, each) for each in new)
        if len(new) < len(found.apart.new):
            yield f"  {len(found.apart.new) - len(new):,} more; --all shows them"


def _of_the_machine(interval: Interval) -> bool:
    return interval.unexplained or any(reason.direct for reason in interval.reasons)


def _about(source: Source, side: Side) -> str:
    machine = "native" if source.vmi == "none" else f"VMI {source.vmi}"
    facts = len(side.course.facts.numbers)
    cut = "" if side.course.complete else "; the guest had not ended"
    return f"{source.name}: {machine}, {source.steps:,} steps, {source.events:,} events, {facts:,} facts{cut}"


def _time(found: Comparison) -> Iterator[str]:
    apart = found.apart
    if apart.alike or apart.only_a or apart.only_b:
        more = [f"{count:,} more in {name}" for name, count in (("A", apart.only_a), ("B", apart.only_b)) if count]
        counts = ", ".join([f"{apart.alike:,} in both", *more])
        yield f"interrupts and halts: {counts}; how many, and where, is a matter of time"


def _first(found: Comparison, sources: Sources, interval: Interval, difference: Difference) -> Iterator[str]:
    """The first difference, with what was alike before it."""
    reason = difference.reason
    if reason is None:
        yield "the first difference that nothing explains:"
    else:
        title = "of the machine" if reason.direct else "(of the guests alone)"
        yield f"the first difference {title}: {reason_words(reason)}, {reason.title}"
    a, b = interval.gap.a, interval.gap.b
    count = min(CONTEXT, a, b)
    alike = [_row(found, sources, "=", a - n, b - n) for n in range(count, 0, -1) if _alike(found, a - n, b - n)]
    yield from columns([*alike, *_rows(found, sources, difference)])


def _alike(found: Comparison, a: int, b: int) -> bool:
    return found.a.course.facts.numbers[a] == found.b.course.facts.numbers[b]


def _interval(found: Comparison, sources: Sources, number: int, interval: Interval, most: int) -> Iterator[str]:
    gap = interval.gap
    a = _steps(found.a.course.facts, gap.a, gap.a_end)
    b = _steps(found.b.course.facts, gap.b, gap.b_end)
    names = [UNEXPLAINED] * interval.unexplained + [reason_words(reason) for reason in interval.reasons]
    yield f"{number}. A {a}, B {b}: {', '.join(names)}"
    shown = interval.differences[:most]
    yield from columns(chain.from_iterable(_rows(found, sources, each) for each in shown))
    if len(shown) < len(interval.differences):
        yield f"   {len(interval.differences) - len(shown):,} more; --all shows them"


def _steps(facts: Facts, first: int, end: int) -> str:
    """The steps of these facts, or behind which one there is none."""
    if first == end:
        return f"behind step {facts.steps[first - 1]:,}" if first else "before the first step"
    steps = facts.steps[first], facts.steps[end - 1]
    return f"step {steps[0]:,}" if steps[0] == steps[1] else f"steps {steps[0]:,} to {steps[1]:,}"


def _rows(found: Comparison, sources: Sources, difference: Difference) -> Iterator[Row]:
    reason = reason_words(difference.reason)
    if difference.a is not None:
        yield (*_row(found, sources, "A", difference.a, None), reason)
    if difference.b is not None:
        yield (*_row(found, sources, "B", None, difference.b), reason if difference.a is None else "")


def _row(found: Comparison, sources: Sources, mark: str, a: int | None, b: int | None) -> Row:
    """A fact of A, of B, or of both, which is then shown as A has it."""
    steps = []
    for side, at in ((found.a, a), (found.b, b)):
        steps.append("" if at is None else f"{side.course.facts.steps[at]:,}")
    shown = _seen(found, sources, a, b)
    row = ("  " + mark, f"{steps[0] or '-':>12}", f"{steps[1] or '-':>12}", shown.place, shown.words)
    return (*row, "") if mark == "=" else row


class _Seen(NamedTuple):
    """A fact as a person sees it."""

    cpl: int
    place: str
    words: str


def _seen(found: Comparison, sources: Sources, a: int | None, b: int | None) -> _Seen:
    side, source, at = (found.a, sources.a, a) if a is not None else (found.b, sources.b, b)
    assert at is not None
    fact = found.fact(side, at)
    event = source.event(side.course.facts.events[at])
    words = _said(fact) or describe(event, source.symbols)
    cpl = level(event).cpl
    return _Seen(cpl, place(event.pc, source.symbols), words)


def _said(fact: Fact) -> str:
    """A line on the console in whole, of which an event may show the end alone."""
    return f"console writes {quoted(fact.chosen[0])}" if fact.name == "console" else ""


def _new_row(found: Comparison, sources: Sources, each: Difference) -> Row:
    name, side, source, at = (
        ("A", found.a, sources.a, each.a) if each.a is not None else ("B", found.b, sources.b, each.b)
    )
    assert at is not None
    apart = side.course.apart
    event = source.event(apart.events[at])
    inside = len(found.vocabulary.facts[apart.numbers[at]].inside)
    words = f"{describe(event, source.symbols)}; {inside} facts in it"
    return "  " + name, f"{apart.steps[at]:>12,}", place(event.pc, source.symbols), words, reason_words(each.reason)


def _every(found: Comparison) -> Iterator[Difference]:
    return chain(chain.from_iterable(each.differences for each in found.intervals), found.apart.new)


# ---------------------------------------------------------------------------------------------------------------- JSON


def plain(found: Comparison, sources: Sources) -> Mapping[str, object]:
    """For JSON: all of it."""
    first = found.first
    return {
        "a": _plain_source(sources.a, found.a),
        "b": _plain_source(sources.b, found.b),
        "same_guest": found.same,
        "alike": found.alike,
        "explained": found.explained,
        "first": None if first is None else _plain_difference(found, sources, first[1]),
        "intervals": [_plain_interval(found, sources, interval) for interval in found.intervals],
        "interrupts": {
            "alike": found.apart.alike,
            "more_in_a": found.apart.only_a,
            "more_in_b": found.apart.only_b,
            "new": len(found.apart.new),
        },
    }


def _plain_source(source: Source, side: Side) -> Mapping[str, object]:
    return {
        "path": source.name,
        "vmi": source.vmi,
        "steps": source.steps,
        "events": source.events,
        "facts": len(side.course.facts.numbers),
        "complete": side.course.complete,
    }


def _plain_interval(found: Comparison, sources: Sources, interval: Interval) -> Mapping[str, object]:
    return {
        "unexplained": interval.unexplained,
        "differences": [_plain_difference(found, sources, each) for each in interval.differences],
    }


def _plain_difference(found: Comparison, sources: Sources, difference: Difference) -> Mapping[str, object]:
    reason = difference.reason
    return {
        "a": None if difference.a is None else _plain_fact(found, sources, difference.a, None),
        "b": None if difference.b is None else _plain_fact(found, sources, None, difference.b),
        "reason": None if reason is None else reason.name,
        "follows": reason is not None and reason.follows,
    }


def _plain_fact(found: Comparison, sources: Sources, a: int | None, b: int | None) -> Mapping[str, object]:
    side, at = (found.a, a) if a is not None else (found.b, b)
    assert at is not None
    shown = _seen(found, sources, a, b)
    facts = side.course.facts
    return {
        "step": facts.steps[at],
        "event": facts.events[at],
        "cpl": shown.cpl,
        "place": shown.place,
        "words": shown.words,
    }
