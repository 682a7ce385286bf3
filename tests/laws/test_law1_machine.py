"""Law 1, split: run(n); run(m) = run(n + m), for the whole machine and any split."""

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvtrace.machine.machine import Machine
from pvtrace.model.events import Event, Kind
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.tape.scripted import ScriptedTape
from tests.examples import examples
from tests.machine.guests import GUESTS
from tests.machine.small import LIMIT, assemble, demo, machine

SMALL = [(name, paravirtual) for name in GUESTS for paravirtual in (False, True)]
DEMOS = ("hello", "faults", "irqs", "echo", "userland", "timing")


class End(NamedTuple):
    """Everything that can be told of a machine."""

    stop: Stop
    step: Step
    state: bytes
    ram: bytes
    memory: bytes


def end(built: Machine, stop: Stop) -> End:
    taken = built.snapshot()
    memory = blake2b(built.cpu.read_physical(0, built.settings.ram), digest_size=16).digest()
    return End(stop, taken.step, taken.state, taken.ram_digest, memory)


@lru_cache(maxsize=32)
def typed(name: str) -> tuple[Input, ...]:
    """Console bytes for a demo that waits for some: they end the first halt, and the next."""
    if name != "echo":
        return ()
    tape = ScriptedTape()
    built = machine(demo(name), tape, "both")
    step = built.run(LIMIT).step
    ticks = built.ticks
    return (
        Input(step, InputKind.WAKE, ticks + 1_000_000),
        Input(step, InputKind.CONSOLE, data=b"one\ntwo\n"),
    )


def build(name: str, paravirtual: bool) -> tuple[Machine, ScriptedTape]:
    tape = ScriptedTape(typed(name))
    if name in DEMOS:
        return machine(demo(name), tape, "both"), tape
    return machine(assemble(GUESTS[name], paravirtual), tape), tape


@lru_cache(maxsize=32)
def straight(name: str, paravirtual: bool) -> tuple[End, list[Event]]:
    built, tape = build(name, paravirtual)
    return end(built, built.run(LIMIT)), tape.events


def check(name: str, paravirtual: bool, splits: list[int], snapshots: bool) -> None:
    wanted, events = straight(name, paravirtual)
    built, tape = build(name, paravirtual)
    for split in sorted(splits):
        stop = built.run(Step(split))
        assert stop.step == built.step
        assert built.step >= split or stop.ended
        if snapshots:
            built.snapshot()
    assert end(built, built.run(LIMIT)) == wanted
    assert tape.events == events


def test_a_run_goes_exactly_as_far_as_it_was_told() -> None:
    for name, paravirtual in SMALL:
        wanted, _ = straight(name, paravirtual)
        built, _ = build(name, paravirtual)
        for step in range(built.step + 1, min(wanted.step, 400)):
            assert built.run(Step(step)).step == built.step == step


@pytest.mark.parametrize(("name", "paravirtual"), SMALL)
@settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), snapshots=st.booleans())
def test_small_guests(name: str, paravirtual: bool, data: st.DataObject, snapshots: bool) -> None:
    last = straight(name, paravirtual)[0].step
    splits = data.draw(st.lists(st.integers(0, last + 2), max_size=30))
    check(name, paravirtual, splits, snapshots)


@pytest.mark.parametrize(("name", "paravirtual"), SMALL)
def test_every_step_by_itself(name: str, paravirtual: bool) -> None:
    last = straight(name, paravirtual)[0].step
    check(name, paravirtual, list(range(min(last, 3000))), snapshots=False)


@pytest.mark.parametrize("name", DEMOS)
def test_a_breakpoint_stops_where_a_run_ends(name: str) -> None:
    """Nothing of the instruction behind it has happened, not even the fetch that marks its page."""
    _, events = straight(name, True)
    returns = (event.args[1] for event in events if event.kind is Kind.RETURN)  # where pages are fetched first
    entered = {address for address in returns if isinstance(address, int)}
    for address in sorted({*entered, *(event.pc for event in events[:: max(1, len(events) // 20)])}):
        stopped, arrived = build(name, True)[0], build(name, True)[0]
        stopped.cpu.set_breakpoints([address])
        stop = stopped.run(LIMIT)
        if stop.why is Why.BREAKPOINT:
            arrived.run(stopped.step)
            assert end(stopped, stop)[1:] == end(arrived, stop)[1:]


@pytest.mark.slow
@pytest.mark.parametrize("name", DEMOS)
@settings(max_examples=examples(5), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), snapshots=st.booleans())
def test_demo_guests(name: str, data: st.DataObject, snapshots: bool) -> None:
    """Splits are drawn near events as well, where something happens."""
    wanted, events = straight(name, True)
    near = st.builds(
        lambda number, off: max(0, events[number].step + off), st.integers(0, len(events) - 1), st.integers(-2, 2)
    )
    splits = data.draw(st.lists(st.one_of(near, st.integers(0, wanted.step)), max_size=40))
    check(name, True, splits, snapshots)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEMOS)
def test_demo_guests_are_split_at_each_event(name: str) -> None:
    wanted, events = straight(name, True)
    steps = sorted({event.step for event in events})
    splits = [step + off for step in steps for off in (-1, 0, 1)]
    assert steps[-1] == wanted.step
    check(name, True, splits, snapshots=True)
