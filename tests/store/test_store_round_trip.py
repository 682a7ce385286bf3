"""What goes into a trace comes out of it."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvtrace.model.errors import InputError
from pvtrace.model.events import Event, Kind, without_trailing_none
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import RESET, Step
from pvtrace.model.stops import Stop, Why
from pvtrace.store.contents import Contents
from pvtrace.store.listing import Selection, count_calls, count_kinds, input_bytes, query, select
from pvtrace.store.reader import TraceReader
from pvtrace.store.writer import QUEUE, TraceWriter
from tests.store.traces import (
    GUEST,
    KERNEL,
    META,
    ROM,
    SYMBOLS,
    events_at,
    fill,
    input_at,
    make,
    page,
    read_beside,
    snapshot,
)

WORDS = st.integers(0, 2**64 - 1)
EVENTS = st.builds(
    Event,
    st.just(Step(1)),
    st.sampled_from(Kind),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**37 - 1),
    st.lists(WORDS | st.binary(max_size=50) | st.text(max_size=50) | st.none(), max_size=6).map(tuple),
    st.none() | st.integers(0, 2**40),
)
INPUTS = st.builds(Input, st.just(Step(1)), st.sampled_from(InputKind), st.none() | WORDS, st.binary(max_size=50))


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, max_size=12), st.lists(INPUTS, max_size=12))
def test_any_event_and_input(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], inputs: list[Input]
) -> None:
    path = tmp_path_factory.mktemp("any") / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer:
        for item in inputs:
            writer.input(item)
        for event in events:
            writer.event(event)
        writer.finish(Stop(Step(1), Why.IDLE))
    with TraceReader(path) as trace:
        assert list(trace.inputs()) == inputs
        assert list(trace.events()) == [event._replace(args=without_trailing_none(event.args)) for event in events]
        trace.verify()


def test_a_whole_trace(tmp_path: Path) -> None:
    with TraceReader(make(tmp_path / "t.pvt")) as trace:
        assert trace.meta == META
        assert trace.files == (GUEST, ROM)
        assert trace.symbols == SYMBOLS
        assert list(trace.events()) == [event for step in range(1, 201) for event in events_at(step)]
        assert list(trace.inputs()) == [item for step in range(1, 201) if (item := input_at(step))]
        assert trace.finished
        assert trace.last() == 200
        ending = trace.ending()
        assert ending is not None
        assert (ending.step, ending.why, ending.code, ending.detail) == (200, Why.SHUTDOWN, 0, "as it wished")
        assert ending.digest == trace.checkpoints()[-1].digest
        trace.verify()


def test_one_file_remains(tmp_path: Path) -> None:
    make(tmp_path / "t.pvt")
    assert [path.name for path in tmp_path.iterdir()] == ["t.pvt"]


def test_pages_as_of_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer:
        writer.checkpoint(snapshot(0, pages=5))
        writer.checkpoint(snapshot(10, pages=2))
        writer.checkpoint(snapshot(20, pages=1))
    with TraceReader(path) as trace:
        assert trace.pages_at(Step(9)) == {n: page(0, n) for n in range(5)}
        assert trace.pages_at(Step(15)) == {n: page(10 if n < 2 else 0, n) for n in range(5)}
        checkpoint = trace.checkpoint_before(Step(1000))
        assert checkpoint is not None
        whole = trace.snapshot(checkpoint)
        assert (whole.step, whole.state, whole.ram_digest) == (20, b"state at 20", bytes([20] * 16))
        assert [whole.pages[n] for n in range(5)] == [page(20, 0), page(10, 1), page(0, 2), page(0, 3), page(0, 4)]
        before = trace.checkpoint_before(Step(19))
        assert before is not None
        assert before.step == 10


def test_no_checkpoint_yet(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer, read_beside(writer) as trace:
        assert trace.checkpoint_before(Step(5)) is None
        assert trace.last() == RESET
        assert trace.ending() is None
        assert not trace.finished


def test_iterating_from_the_middle(tmp_path: Path) -> None:
    with TraceReader(make(tmp_path / "t.pvt")) as trace:
        checkpoint = trace.checkpoints()[2]
        events = list(trace.events(checkpoint.mark.events))
        assert events == [event for step in range(101, 201) for event in events_at(step)]
        assert next(trace.inputs(checkpoint.mark.inputs)).step > 100


BEHIND = 8 * (QUEUE + 1)
"""Steps that are not in the file yet, at most: each job has ten events and those of one step."""


def test_it_can_be_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META), batch=10, backlog=1) as writer, read_beside(writer) as trace:
        seen = []
        for step in fill(writer, 300, checkpoint_every=40):
            if step % 100 == 0:
                writer.progress(Step(step))
            if step % 25 == 0:
                newest = max((event.step for event in trace.events()), default=RESET)
                last = trace.last()  # which the writer's thread may have moved since
                assert step - BEHIND <= last <= step
                assert newest <= last
                trace.verify()
                seen.append(last)
        assert seen == sorted(seen)
        assert {100, 200, 300} <= set(seen)
        writer.finish(Stop(Step(300), Why.IDLE))
        assert trace.last() == 300
        assert trace.finished
    assert [found.name for found in tmp_path.iterdir() if found.suffix == ".pvt"] == ["t.pvt"]
    with TraceReader(path) as trace:
        trace.verify()


def test_digests_do_not_depend_on_checkpoints_or_batches(tmp_path: Path) -> None:
    marks = []
    for number, (batch, every) in enumerate(itertools.product((1, 7, 4096), (10, 200))):
        with TraceWriter(tmp_path / f"{number}.pvt", Contents(META), batch=batch) as writer:
            for _ in fill(writer, 200, every):
                pass
            writer.finish(Stop(Step(200), Why.IDLE), snapshot(200))
            marks.append(writer.mark)
    assert len(set(marks)) == 1


def test_closing_without_an_end_keeps_complete_steps_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer:
        for event in (*events_at(4), *events_at(8)[:1]):
            writer.event(event)
        assert writer.reached == 7
    with TraceReader(path) as trace:
        assert trace.last() == 7
        assert [event.step for event in trace.events()] == [4] * len(events_at(4))


def test_finish_drops_the_step_that_did_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer:
        writer.event(events_at(5)[0])
        writer.event(events_at(6)[0])
        writer.finish(Stop(writer.reached, Why.ARRIVED, detail="interrupted"))
    with TraceReader(path) as trace:
        assert [event.step for event in trace.events()] == [5]
        assert trace.last() == 5
        trace.verify()


def test_steps_never_go_back(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "t.pvt", Contents(META)) as writer:
        writer.event(events_at(5)[0])
        with pytest.raises(ValueError, match="step 4 after step 5"):
            writer.event(events_at(4)[0])


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    path.write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        TraceWriter(path, Contents(META))
    assert path.read_text() == "precious"
    with TraceWriter(path, Contents(META), overwrite=True):
        pass
    with TraceReader(path) as trace:
        assert trace.meta == META


def test_files_of_an_older_trace_beside_it_are_not_taken_for_its_own(tmp_path: Path) -> None:
    old = tmp_path / "t.pvt"
    writer = TraceWriter(old, Contents(META))
    list(fill(writer, 100))
    leftovers = {name: (tmp_path / name).read_bytes() for name in ("t.pvt-wal", "t.pvt-shm")}
    writer.close()
    old.unlink()
    for name, data in leftovers.items():
        (tmp_path / name).write_bytes(data)
    with TraceReader(make(old, steps=50)) as trace:
        assert trace.last() == 50
        trace.verify()


def test_selections(tmp_path: Path) -> None:
    path = make(tmp_path / "t.pvt")
    with TraceReader(path) as trace:
        everything = list(trace.events())
        faults = list(select(trace, Selection(frozenset([Kind.EXCEPTION]))))
        assert faults == [(n, event) for n, event in enumerate(everything) if event.kind is Kind.EXCEPTION]
        some = Selection(since=Step(20), until=Step(30), lowest=0x400000, highest=0x400010)
        assert [event for _, event in select(trace, some)] == [
            event for event in everything if 20 <= event.step <= 30 and 0x400000 <= event.pc <= 0x400010
        ]
        kinds = {count.what: count.times for count in count_kinds(trace)}
        assert kinds[Kind.EXCEPTION] == len(faults)
        assert sum(kinds.values()) == len(everything)
        calls = count_calls(trace)
        assert [(count.what, count.times, count.first, count.last) for count in calls] == [(0x320, 80, 1, 200)]
        assert count_calls(trace, Selection(frozenset([Kind.EXCEPTION]))) == []
        assert input_bytes(trace) == sum(
            len(item.data) + 8 * (item.value is not None) for step in range(201) if (item := input_at(step))
        )
    assert list(query(path, "SELECT count(*) AS n FROM event")) == [{"n": len(everything)}]


def test_bytes_for_each_event(tmp_path: Path) -> None:
    path, count = tmp_path / "t.pvt", 50_000
    with TraceWriter(path, Contents(META)) as writer:
        writer.progress(RESET)
        empty = writer.size
        for step in range(2_000_000_000, 2_000_000_000 + count):
            args = (0xD26, 0x200, 0xC0100000, 0xFFFFFFFF, 0xC0101234_00000001, None)
            writer.event(Event(Step(step), Kind.HYPERCALL, 0xC0100000 + step % 5000, KERNEL, args))
        writer.finish(Stop(Step(step), Why.IDLE))
    assert (path.stat().st_size - empty) / count < 90
