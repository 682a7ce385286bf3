"""What is gathered can be taken up to any step, however it came."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.events import Event, Kind
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.packed import Packed, pack, unpack
from pvtrace.model.step import Step
from pvtrace.store.gathering import Gathered, Gathering

STEPS = st.lists(st.integers(1, 12), max_size=20).map(sorted)


def run(steps: list[int], first: int) -> Packed:
    """Events of these steps, each of which says its number."""
    events = [Event(Step(step), Kind.NOTE, 0, 0, (str(first + n),)) for n, step in enumerate(steps)]
    return Packed(b"".join(map(pack, events)), len(events), events[0].step, events[-1].step)


def runs(steps: list[int], cuts: set[int]) -> list[Packed]:
    places = sorted({0, len(steps), *(cut for cut in cuts if cut < len(steps))})
    return [run(steps[start:end], start) for start, end in pairwise(places)]


def events_of(gathered: Gathered) -> list[Event]:
    found = []
    for part in gathered.events:
        inside = unpack(part.data)
        assert (len(inside), inside[0].step, inside[-1].step) == (part.total, part.first, part.last)
        found += inside
    assert len(found) == gathered.total
    return found


@given(STEPS, STEPS, st.sets(st.integers(1, 19)), st.integers(0, 13), st.integers(0, 13))
def test_nothing_is_lost_or_told_twice(
    steps: list[int], given_at: list[int], cuts: set[int], first: int, then: int
) -> None:
    inputs = [Input(Step(step), InputKind.WALLCLOCK, value=n) for n, step in enumerate(given_at)]
    gathering = Gathering(3, 5, inputs, runs(steps, cuts))
    parts = []
    for step in (first, first + then, 99):
        taken = gathering.until(Step(step))
        parts.append(taken)
        assert all(event.step <= step for event in events_of(taken))
        assert all(item.step <= step for item in taken.inputs)
        gathering = gathering.behind(taken)
    assert gathering.until(Step(99)).total == 0
    everything = [event for part in parts for event in events_of(part)]
    assert [event.args for event in everything] == [(str(n),) for n in range(len(steps))]
    assert [event.step for event in everything] == steps
    assert [item for part in parts for item in part.inputs] == inputs
    totals = [0, parts[0].total, parts[0].total + parts[1].total]
    assert [part.first_event - 5 for part in parts] == totals
    assert all(event.step > first for part in parts[1:] for event in events_of(part))
