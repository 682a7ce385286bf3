"""Events as bytes and as rows are what model.packed says they are, and come back as they were."""

from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.events import Event, Kind, without_trailing_none
from pvtrace.model.packed import pack, pack_rows, rows, skip, unpack, until
from pvtrace.model.step import Step
from pvtrace.store.rows import row_event, signed

HEAD = Struct("<QHQQqB")
WORD = Struct("<cQ")
WIDTH = 12
"""Columns of an event."""

WORDS = st.integers(0, 2**64 - 1)
ROWABLE = st.integers(0, 2**63 - 1)
EVENTS = st.builds(
    Event,
    st.builds(Step, ROWABLE),
    st.sampled_from(Kind),
    ROWABLE,
    ROWABLE,
    st.lists(WORDS | st.binary(max_size=50) | st.text(max_size=50) | st.none(), max_size=6).map(tuple),
    st.none() | ROWABLE,
)
SEQUENCES = st.lists(EVENTS, max_size=12).map(lambda events: sorted(events, key=lambda event: event.step))


def spelled(event: Event) -> bytes:
    """By the description in model.packed."""
    step, kind, pc, flags, args, cause = event
    args = without_trailing_none(args)
    data = HEAD.pack(step, kind, pc, flags, -1 if cause is None else cause, len(args))
    for value in args:
        if value is None:
            data += b"n"
        elif isinstance(value, int):
            data += WORD.pack(b"i", value)
        else:
            tag, text = (b"s", value.encode()) if isinstance(value, str) else (b"b", value)
            data += WORD.pack(tag, len(text)) + text
    return data


def stored(seq: int, event: Event) -> tuple[object, ...]:
    """By the schema."""
    args = [signed(value) if isinstance(value, int) else value for value in event.args]
    return (seq, event.step, int(event.kind), event.pc, event.flags, *args, *[None] * (6 - len(args)), event.cause)


def plain(event: Event) -> Event:
    return event._replace(args=without_trailing_none(event.args))


@given(EVENTS)
def test_bytes_are_as_described(event: Event) -> None:
    assert pack(event) == spelled(event)


@given(SEQUENCES)
def test_what_is_packed_comes_back(events: list[Event]) -> None:
    data = b"".join(map(pack, events))
    assert unpack(data) == [plain(event) for event in events]
    assert all(type(event) is Event and type(event.kind) is Kind for event in unpack(data))


@given(SEQUENCES, st.integers(1, 5), st.integers(0, 2**40))
def test_rows_are_as_described_and_come_back(events: list[Event], together: int, first: int) -> None:
    data = b"".join(map(pack, events))
    made = rows(data, 0, first, together)
    whole = len(events) // together
    assert [len(row) for row in made] == [together * WIDTH] * whole
    rest = rows(data, skip(data, 0, whole * together), first + whole * together, 1)
    columns = [column for row in made + rest for column in row]
    single = [tuple(columns[at : at + WIDTH]) for at in range(0, len(columns), WIDTH)]
    assert single == [stored(first + at, event) for at, event in enumerate(events)]
    assert pack_rows([row[1:] for row in single]) == data
    assert [row_event(row[1:]) for row in single] == [plain(event) for event in events]


@given(SEQUENCES, st.integers(0, 12), st.integers(0, 2**63))
def test_places_between_events(events: list[Event], count: int, step: int) -> None:
    data = b"".join(map(pack, events))
    offset = skip(data, 0, count)
    assert unpack(data, offset) == [plain(event) for event in events[count:]]
    assert unpack(data, 0, count) == [plain(event) for event in events[:count]]
    reached, behind = until(data, step)
    assert reached == sum(event.step <= step for event in events)
    assert behind == skip(data, 0, reached)


@given(SEQUENCES, st.data())
def test_bytes_that_are_cut_or_changed_are_refused_or_others(events: list[Event], data: st.DataObject) -> None:
    """Never a crash, and never silently the same."""
    whole = b"".join(map(pack, events))
    if not whole:
        return
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for other in (whole[:at], changed):
        try:
            assert b"".join(map(pack, unpack(other))) != whole
        except ValueError:
            continue


@pytest.mark.parametrize(
    "row",
    [
        (1, 1, 0, 0, 1.5, None, None, None, None, None, None),
        (1, 99, 0, 0, None, None, None, None, None, None, None),
        (-1, 1, 0, 0, None, None, None, None, None, None, None),
        (1, 1, 0, 0, None, None, None, None, None, None, -1),
        ("1", 1, 0, 0, None, None, None, None, None, None, None),
        (1, 1, None, 0, None, None, None, None, None, None, None),
    ],
)
def test_rows_of_no_event_are_refused(row: tuple[int | float | str | None, ...]) -> None:
    with pytest.raises(ValueError, match="event"):
        pack_rows([row])


@pytest.mark.parametrize(
    "event",
    [
        Event(Step(1), Kind.NOTE, 0, 0, (2**64,)),
        Event(Step(1), Kind.NOTE, 0, 0, (-1,)),
        Event(Step(-1), Kind.NOTE, 0, 0),
        Event(Step(1), Kind.NOTE, 0, 0, (1,) * 7),
        Event(Step(1), Kind.NOTE, 0, 0, (), 2**63),
    ],
)
def test_numbers_out_of_range_are_refused(event: Event) -> None:
    with pytest.raises(ValueError, match="event"):
        pack(event)
