"""A recording that is walked in while it is made is the same recording, whatever was looked at meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvtrace.model.errors import UsageError
from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.step import Step
from pvtrace.model.stops import Why
from pvtrace.session.live import Recording, recording
from pvtrace.session.options import RecordOptions
from pvtrace.session.replay import replay
from pvtrace.store.reader import TraceReader
from pvtrace.timeline.conditions import Breakpoint, Happens, Watchpoint
from pvtrace.timeline.stops import Cause, Way
from tests.machine.guests import GUESTS as SOURCES
from tests.machine.small import RAM, assemble, demo
from tests.timeline import recordings
from tests.timeline.recordings import HZ, history, seen

GUESTS = ("interrupts", "traced", "paged", "devices")


@contextmanager
def live(folder: Path, name: str, typed: tuple[str, ...] = ()) -> Iterator[Recording]:
    guest = folder / f"{name}.elf"
    small = name in SOURCES
    guest.write_bytes(assemble(SOURCES[name]) if small else demo(name))
    options = RecordOptions(
        guest,
        folder / f"{name}-{len(list(folder.iterdir()))}.pvt",
        console="null",
        typed=typed,
        checkpoint_every=recordings.EVERY if small else None,
        ram=RAM if small else 64 << 20,
        hz=HZ if small else 100_000_000,
    )
    with recording(options) as under_way:
        yield under_way


def as_recorded(path: Path, name: str) -> None:
    """The same inputs, events and end as without anybody looking, and it replays."""
    replay(path)
    with TraceReader(path) as here, TraceReader(recordings.recording(name, recordings.EVERY)) as wanted:
        assert list(here.events()) == list(wanted.events())
        assert list(here.inputs()) == list(wanted.inputs())
        assert here.ending() is not None
        assert here.last() == wanted.last()


@pytest.mark.parametrize("name", GUESTS)
def test_stepped_and_looked_back_at(name: str, tmp_path: Path) -> None:
    states = history(name)
    with live(tmp_path, name) as under_way:
        timeline = under_way.walk.timeline
        for stride in (1, 7, 1, 64, 3, 200):
            timeline.seek(timeline.last)
            timeline.move(stride)
            assert seen(timeline.machine) == states[timeline.here]
            timeline.move(-(stride // 2) - 1)
            assert seen(timeline.machine) == states[timeline.here]
        assert timeline.seek(max(states) + 1000).cause is Cause.END
        assert timeline.here == max(states)
    assert under_way.result is not None
    as_recorded(under_way.result.path, name)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["seek", "live", "what-if", "back"]), st.integers(0, 10_000)), max_size=12))
def test_whatever_is_done_meanwhile(tmp_path: Path, moves: list[tuple[str, int]]) -> None:
    states = history("interrupts")
    with live(tmp_path, "interrupts") as under_way:
        timeline = under_way.walk.timeline
        for what, number in moves:
            reached = timeline.last
            match what:
                case "seek":
                    timeline.seek(number % (reached + 1))
                case "live":
                    timeline.seek(reached)
                    timeline.move(number % 120)
                case "what-if":
                    timeline.branch()
                    timeline.change(lambda machine: machine.cpu.set_gpr(Gpr.ESI, 99))
                    timeline.move(number % 50)
                    timeline.rejoin()
                case "back":
                    timeline.move(-(number % 50))
            assert seen(timeline.machine) == states[timeline.here]
        timeline.seek(timeline.last)
        timeline.go(Way.FORWARD)
    assert under_way.result is not None
    as_recorded(under_way.result.path, "interrupts")


def test_conditions_hold_in_the_future_that_is_not_recorded_yet(tmp_path: Path) -> None:
    eip = history("interrupts")[Step(200)].registers.eip
    stack = min(state.registers.gprs[4] for state in history("interrupts").values())
    answered = frozenset({Kind.RETURN, Kind.FLAG_ATTEMPT, Kind.FLAG_TRANSITION, Kind.HYPERCALL})  # by the CPU itself
    events = (Happens(frozenset({Kind.INTERRUPT})), Happens(answered))
    for condition in (Breakpoint(eip), Watchpoint(stack, 4), *events):
        with recordings.walk("interrupts") as opened:
            opened.timeline.watch(condition)
            wanted = []
            while (stopped := opened.timeline.go(Way.FORWARD)).cause is Cause.HIT:
                wanted.append(stopped.step)
        assert wanted
        with live(tmp_path, "interrupts") as under_way:
            timeline = under_way.walk.timeline
            timeline.watch(condition)
            found = []
            while (stopped := timeline.go(Way.FORWARD)).cause is Cause.HIT:
                found.append(stopped.step)
                assert timeline.last == stopped.step
            assert found == wanted
            backwards = []
            while (stopped := timeline.go(Way.BACKWARD)).cause is Cause.HIT:
                backwards.append(stopped.step)
            assert len(backwards) == len(wanted)


def test_a_guest_that_waits_can_be_interrupted_and_goes_on_waiting(tmp_path: Path) -> None:
    """Its step is not complete: the walk stands in front of the HLT, again and again, and the recording holds one."""
    guest = tmp_path / "echo.elf"
    guest.write_bytes(demo("echo"))
    typed = tmp_path / "typed"
    os.mkfifo(typed)
    keyboard = os.open(typed, os.O_RDWR)
    with recording(RecordOptions(guest, tmp_path / "echo.pvt", console="null", input=typed)) as under_way:
        timeline = under_way.walk.timeline
        looks = iter([False] * 40)
        stopped = timeline.go(Way.FORWARD, lambda: next(looks, True))
        assert stopped.cause is Cause.INTERRUPTED
        halted = stopped.step
        more = iter([False] * 3)
        again = timeline.go(Way.FORWARD, lambda: next(more, True))
        assert again.step == halted
        state = seen(timeline.machine)
        timeline.seek(timeline.first)
        timeline.seek(halted)
        assert seen(timeline.machine) == state
        os.write(keyboard, b"one\nquit\n")
        assert timeline.go(Way.FORWARD).cause is Cause.END
    os.close(keyboard)
    result = under_way.result
    assert result is not None
    assert result.stop.why is Why.SHUTDOWN
    replay(result.path)
    with TraceReader(result.path) as trace:
        halts = [event.step for event in trace.events() if event.kind is Kind.HALT]
        assert halts.count(Step(halted + 1)) == 1


@pytest.mark.parametrize("option", [{"until": "100"}, {"timeout": 1.0}, {"break_on": ("fault",)}])
def test_who_ends_it(option: dict[str, object], tmp_path: Path) -> None:
    guest = tmp_path / "hello.elf"
    guest.write_bytes(demo("hello"))
    options = RecordOptions(guest, tmp_path / "hello.pvt", console="null", **option)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="leave one of them out"), recording(options):
        pass
    assert not (tmp_path / "hello.pvt").exists()
