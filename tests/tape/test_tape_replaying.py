"""A replay gets exactly what a recording got, at the same questions, and notices the first difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvtrace.model.digest import Mark
from pvtrace.model.errors import Diverged
from pvtrace.model.events import Attempt, Event, Kind, Outcome
from pvtrace.model.inputs import Input, InputKind, Tape
from pvtrace.model.packed import Packed, pack, unpack
from pvtrace.model.step import NEVER, Step
from pvtrace.tape.recording import RecordingTape
from pvtrace.tape.replaying import ReplayingTape
from pvtrace.tape.scripted import ScriptedTape


def _batched(events: list[Event], count: int) -> Iterator[list[Event]]:
    return (events[at : at + count] for at in range(0, len(events), count))


@dataclass
class Memory:
    """A recording in memory: sink and source."""

    kept_inputs: list[Input] = field(default_factory=list)
    kept_events: list[Event] = field(default_factory=list)

    def input(self, item: Input) -> None:
        self.kept_inputs.append(item)

    def event(self, event: Event) -> None:
        self.kept_events.append(event)

    def many(self, events: Packed) -> None:
        self.kept_events += unpack(events.data)

    def inputs(self, since: int = 0) -> Iterator[Input]:
        return iter(self.kept_inputs[since:])

    def packed_events(self, since: int = 0) -> Iterator[bytes]:
        """By three, so that many at once lie across them."""
        return iter([b"".join(map(pack, some)) for some in _batched(self.kept_events[since:], 3)])


def console(step: int, data: bytes = b"x") -> Input:
    return Input(Step(step), InputKind.CONSOLE, data=data)


def note(step: int, text: str = "done") -> Event:
    return Event(Step(step), Kind.NOTE, 0x1000, 0x202, (text,))


class Weather:
    """An outside world that depends on how often it is asked, as the real one does."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = list(choices)
        self._asked = 0

    def _choice(self) -> int:
        self._asked += 1
        return self._choices[self._asked % len(self._choices)]

    def read(self, step: Step, kind: InputKind) -> Input:
        return Input(step, kind, self._choice())

    def due(self, step: Step) -> Step:
        return Step(step + 1 + self._choice() % 5)

    def take(self, step: Step) -> Sequence[Input]:
        choice = self._choice() % 4
        clock = Input(step, InputKind.CLOCK, self._choice())
        return [[], [console(step, b"%d" % self._asked)], [clock], [clock, console(step)]][choice]

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        return Input(step, InputKind.WAKE, now + 1) if alarm is None and self._choice() % 2 else None


def run(tape: Tape, until: int, splits: frozenset[int]) -> None:
    """A small machine: what it does depends on steps and inputs; when it asks, on `due` and its own exits.

    Runs end at each of `splits`, and begin again there, which asks at that step once more.
    """
    due = Step(0)
    for step in map(Step, range(until)):
        if step % 11 == 5:
            tape.saw(note(step, f"clock {tape.read(step, InputKind.WALLCLOCK).value}"))
        if step % 7 == 3:
            for _ in range(3):
                woken = tape.idle(step, step * 10, None)
                tape.saw(note(step, f"woken {woken and woken.value}"))
                if woken:
                    take(tape, step)
        for _ in range((step == due or step % 3 == 0) + (step in splits)):
            take(tape, step)
            due = tape.due(step)
            assert due > step


def take(tape: Tape, step: Step) -> None:
    for item in tape.take(step):
        tape.saw(Event(step, Kind.CONSOLE_IN, 0, 0, (item.data, item.value)))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(1, 80), st.frozensets(st.integers(0, 80)))
def test_a_replay_is_the_recording(choices: list[int], until: int, splits: frozenset[int]) -> None:
    memory = Memory()
    run(RecordingTape(memory, Weather(choices)), until, splits)
    tape = ReplayingTape(memory)
    run(tape, until, splits)
    tape.assert_exhausted(Step(until))
    assert tape.mark == Mark(len(memory.kept_inputs), len(memory.kept_events))


def test_protocols_hold() -> None:
    tapes: list[Tape] = [RecordingTape(Memory(), Weather([1])), ReplayingTape(Memory()), ScriptedTape()]
    assert len(tapes) == 3


def test_inputs_at_their_steps() -> None:
    tape = ScriptedTape([console(5, b"a"), console(5, b"b"), console(9)])
    assert tape.due(Step(0)) == 5
    assert tape.take(Step(0)) == []
    assert [item.data for item in tape.take(Step(5))] == [b"a", b"b"]
    assert tape.take(Step(5)) == []
    assert tape.due(Step(5)) == 9
    assert len(tape.take(Step(9))) == 1
    assert tape.due(Step(9)) == NEVER


def test_a_wake_stands_between_what_was_taken_before_and_after_it() -> None:
    wake = Input(Step(5), InputKind.WAKE, 70)
    tape = ScriptedTape([console(5, b"a"), wake, console(5, b"b")])
    assert [item.data for item in tape.take(Step(5))] == [b"a"]
    assert tape.due(Step(5)) == 6
    assert tape.idle(Step(5), 60, None) == wake
    assert [item.data for item in tape.take(Step(5))] == [b"b"]
    assert tape.idle(Step(5), 70, None) is None


def test_an_input_passed_by() -> None:
    for ask in (ScriptedTape.take, ScriptedTape.due):
        with pytest.raises(Diverged, match="1 bytes from the console at step 5") as caught:
            ask(ScriptedTape([console(5)]), Step(6))
        assert caught.value.step == 5


def test_a_read_that_was_not_recorded() -> None:
    with pytest.raises(Diverged, match="recorded no further input, but the replay did ask for wallclock"):
        ScriptedTape().read(Step(3), InputKind.WALLCLOCK)
    with pytest.raises(Diverged, match="recorded 1 bytes from the console at step 3"):
        ScriptedTape([console(3)]).read(Step(3), InputKind.WALLCLOCK)


def test_the_first_event_that_differs() -> None:
    tape = ReplayingTape(
        Memory([], [note(1), note(2), note(3)]),
        words=lambda event: f"<{event.args[0]!r}>",
        where=lambda event: f" in f+{event.pc:#x}",
    )
    tape.saw(note(1))
    with pytest.raises(Diverged) as caught:
        tape.saw(note(2, "other"))
    assert str(caught.value) == "diverged at step 2 in f+0x1000: recorded <'done'>, but the replay did <'other'>"
    assert (caught.value.step, caught.value.wanted, caught.value.got) == (2, "<'done'>", "<'other'>")


def test_events_at_different_steps() -> None:
    tape = ReplayingTape(Memory([], [note(7)]))
    with pytest.raises(Diverged, match=r"diverged at step 5: .* at step 7, .* at step 5"):
        tape.saw(note(5))


@pytest.mark.parametrize(
    "change",
    [{"step": Step(6)}, {"kind": Kind.STOP}, {"pc": 1}, {"flags": 0}, {"args": ("other",)}, {"cause": 0}],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_an_event_counts(change: dict[str, Any]) -> None:
    tape = ReplayingTape(Memory([], [note(5)]), words=lambda _: "the same words")
    with pytest.raises(Diverged) as caught:
        tape.saw(note(5)._replace(**change))
    assert caught.value.wanted != caught.value.got


def test_missing_arguments_and_none_are_the_same() -> None:
    seen: list[Event] = []
    tape = ReplayingTape(Memory([], [note(5)]), observer=seen.append)
    tape.saw(Event(Step(5), Kind.NOTE, 0x1000, 0x202, ("done", None, None)))
    assert len(seen) == 1


def test_more_or_fewer_events_than_recorded() -> None:
    tape = ReplayingTape(Memory([], [note(5)]))
    with pytest.raises(Diverged, match=r"diverged at step 5: recorded note .* but the replay did nothing"):
        tape.assert_exhausted(Step(10))
    tape = ReplayingTape(Memory([], [note(5)]))
    tape.assert_exhausted(Step(4))
    tape = ReplayingTape(Memory())
    with pytest.raises(Diverged, match="recorded no further event"):
        tape.saw(note(5))


def test_an_input_left_over() -> None:
    with pytest.raises(Diverged, match="1 bytes from the console"):
        ReplayingTape(Memory([console(5)])).assert_exhausted(Step(5))


def test_starting_in_the_middle() -> None:
    memory = Memory([console(1), console(8)], [note(1), note(2), note(8)])
    tape = ReplayingTape(memory, Mark(1, 2, b"i" * 16, b"e" * 16))
    assert tape.mark.counts == (1, 2)
    assert tape.due(Step(4)) == 8
    assert tape.take(Step(8)) == [console(8)]
    tape.saw(note(8))
    assert tape.mark.counts == (2, 3)


def test_the_plain_words_name_the_columns() -> None:
    popf = Event(
        Step(5), Kind.FLAG_ATTEMPT, 0x1000, 0x202, (Attempt.POPF, 0x2, 0x202, 0x202, 0x202, Outcome.IGNORED), 3
    )
    with pytest.raises(Diverged, match=r"flag_attempt at 00001000 .* asked=0x2 .* outcome=0x3 caused by event 3"):
        ReplayingTape(Memory()).saw(popf)


def test_the_observer_of_a_recording() -> None:
    seen: list[Event] = []
    tape = RecordingTape(Memory(), Weather([1]), seen.append)
    tape.saw(note(1))
    assert seen == [note(1)]


def packed(events: list[Event]) -> Packed:
    return Packed(b"".join(map(pack, events)), len(events), events[0].step, events[-1].step)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 3))
def test_many_at_once_are_each_held_against_the_record(together: list[int], wrong: int) -> None:
    events = [note(step, f"event {step}") for step in range(1, sum(together) + 1)]
    memory = Memory(kept_events=events)
    seen: list[Event] = []
    tapes = ReplayingTape(memory), ReplayingTape(memory, observer=seen.append)
    place = 0
    for count in together:
        for tape in tapes:
            tape.saw_many(packed(events[place : place + count]))
        place += count
    for tape in tapes:
        tape.assert_exhausted(events[-1].step)
        assert tape.mark.events == len(events)
    assert seen == events
    changed = [*events[:-1], events[-1]._replace(pc=wrong)]
    with pytest.raises(Diverged) as caught:
        ReplayingTape(memory).saw_many(packed(changed))
    assert caught.value.step == events[-1].step
    with pytest.raises(Diverged, match="no further event"):
        ReplayingTape(memory).saw_many(packed([*events, note(99)]))
