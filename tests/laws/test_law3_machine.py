"""Law 3, snapshot: restore(snapshot()) changes nothing that can be observed, in a new machine as well."""

from collections.abc import Callable
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvtrace.machine.machine import Machine
from pvtrace.model.errors import TraceError
from pvtrace.model.events import Event
from pvtrace.model.registers import Registers
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop
from pvtrace.tape.scripted import ScriptedTape
from tests.examples import examples
from tests.machine.guests import GUESTS, INTERRUPTS
from tests.machine.small import LIMIT, RAM, Walk, assemble, demo, machine, run

CASES = [*((name, mode) for name in GUESTS for mode in (False, True)), ("faults", True), ("irqs", True)]
ALL = [*CASES, ("userland", True), ("hello", True)]


@lru_cache(maxsize=32)
def guest(name: str, paravirtual: bool) -> bytes:
    return assemble(GUESTS[name], paravirtual) if name in GUESTS else demo(name)


def build(name: str, paravirtual: bool) -> tuple[Machine, ScriptedTape]:
    tape = ScriptedTape()
    return machine(guest(name, paravirtual), tape, "13.3" if name in GUESTS else "both"), tape


@lru_cache(maxsize=32)
def straight(name: str, paravirtual: bool) -> tuple[Stop, bytes, bytes, list[Event]]:
    built, tape = build(name, paravirtual)
    stop = built.run(LIMIT)
    taken = built.snapshot()
    return stop, taken.state, taken.ram_digest, tape.events


def seen(walk: Walk) -> tuple[Step, int, Stop | None, Registers, dict[str, bytes], bytes, bool]:
    """All that can be observed at one moment."""
    walk.snapshot()
    built = walk.machine
    memory = built.cpu.read_physical(0, RAM)
    return (
        built.step,
        built.ticks,
        built.ended,
        built.cpu.registers(),
        built.digests(),
        memory,
        built.platform.interrupts.pending(),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "paravirtual"), ALL)
@settings(max_examples=examples(5), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_into_a_new_machine(name: str, paravirtual: bool, data: st.DataObject) -> None:
    stop, state, ram, events = straight(name, paravirtual)
    near = st.sampled_from(events).map(lambda event: event.step)
    at = Step(data.draw(st.one_of(st.integers(2, stop.step - 1), near)))
    first, tape = build(name, paravirtual)
    walk = Walk(first)
    walk.snapshot()
    first.run(at)
    done = len(tape.events)
    saved, pages = walk.full()

    second, after = build(name, paravirtual)
    second.run(Step(data.draw(st.integers(0, stop.step))))  # wherever it was before
    after.events.clear()
    second.restore(saved, pages)
    taken = second.snapshot()
    assert taken.state == saved
    assert taken.ram_digest == first.snapshot().ram_digest
    assert second.cpu.registers() == first.cpu.registers()
    assert second.cpu.read_physical(0, RAM) == first.cpu.read_physical(0, RAM)

    assert second.ended == first.ended
    assert second.run(LIMIT) == stop
    last = second.snapshot()
    assert (last.state, last.ram_digest) == (state, ram)
    assert after.events == events[done:]


@pytest.mark.parametrize(("name", "paravirtual"), CASES)
@settings(max_examples=examples(5), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_into_the_same_machine(name: str, paravirtual: bool, data: st.DataObject) -> None:
    stop, state, ram, events = straight(name, paravirtual)
    steps = st.integers(2, stop.step - 1)
    built, tape = build(name, paravirtual)
    walk = Walk(built)
    walk.snapshot()
    for at in sorted(data.draw(st.lists(steps, min_size=1, max_size=4))):
        built.run(Step(at))
        before = seen(walk)
        built.restore(*walk.full())
        assert seen(walk) == before
    assert built.run(LIMIT) == stop
    taken = built.snapshot()
    assert (taken.state, taken.ram_digest) == (state, ram)
    assert tape.events == events


@pytest.mark.parametrize(("name", "paravirtual"), CASES)
def test_back_and_forth(name: str, paravirtual: bool) -> None:
    stop, state, ram, events = straight(name, paravirtual)
    built, tape = build(name, paravirtual)
    walk = Walk(built)
    walk.snapshot()
    built.run(Step(stop.step // 3))
    done = len(tape.events)
    saved, pages = walk.full()
    pages = dict(pages)
    for further in (stop.step // 2, stop.step - 1, LIMIT):
        built.run(Step(further))
        built.restore(saved, pages)
        del tape.events[done:]
    assert built.ended is None
    assert built.run(LIMIT) == stop
    taken = built.snapshot()
    assert (taken.state, taken.ram_digest) == (state, ram)
    assert tape.events == events


def test_a_snapshot_holds_no_breakpoint() -> None:
    built, _ = build("interrupts", True)
    built.run(Step(100))
    before = built.snapshot().state
    built.cpu.set_breakpoints([0x100054, 0x100060])
    assert built.snapshot().state == before


def test_taking_snapshots_changes_nothing() -> None:
    plain = run(INTERRUPTS)
    built, tape = build("interrupts", True)
    for step in range(2, plain.stop.step, 97):
        built.run(Step(step))
        built.snapshot()
    built.run(LIMIT)
    assert tape.events == plain.events


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state[:-10],
        lambda state: state[:-1] + b"]",
        lambda state: state.replace(b'"vmi"', b'"xxx"'),
        lambda state: state.replace(b'"ended":null', b'"ended":["no such end",0,""]'),
        lambda _: b"",
    ],
)
def test_damaged_states_are_refused(damage: Callable[[bytes], bytes]) -> None:
    built, _ = build("devices", True)
    saved, pages = Walk(built).full()
    with pytest.raises(TraceError, match="cannot be understood"):
        built.restore(damage(saved), pages)
