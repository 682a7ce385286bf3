"""Law 3, Snapshot: load(save()) changes nothing observable, in the same engine and in a new one; and the bytes of a
state do not depend on the way to it. Here of the CPU alone."""

from random import Random

import pytest

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.model.snapshot import PAGE
from tests.laws.test_law1_split import LIMIT, NAMES, guest_and_machine, stepped
from tests.oracle.guest import play, state


def pages(cpu: UnicornCpu) -> dict[int, bytes]:
    return {frame: cpu.read_physical(frame * PAGE, PAGE) for frame in range(cpu.ram // PAGE)}


def points(name: str) -> list[int]:
    end = max(stepped(name).end, 1)
    return sorted({Random(name).randrange(end) for _ in range(4)})


@pytest.mark.parametrize("name", NAMES)
def test_in_the_same_engine_and_in_a_new_one(name: str) -> None:
    guest, react = guest_and_machine(name)
    expected = stepped(name)
    first = guest.fast()
    for point in points(name):
        play(first, react, point)
        saved, memory, here = first.save(), pages(first), state(first)
        steps = first.steps
        play(first, react, LIMIT)  # leave, then come back
        second = UnicornCpu(guest.ram)
        for cpu in (first, second):
            cpu.load(saved, memory)
            assert cpu.steps == steps
            assert state(cpu) == here
            assert cpu.save() == saved
        run = play(second, react, LIMIT)
        assert run.exits == tuple(entry for entry in expected.exits if entry.step > steps)
        if -1 in expected.samples:
            assert run.samples[-1] == expected.samples[-1]


@pytest.mark.parametrize("name", NAMES)
def test_equal_states_have_equal_bytes(name: str) -> None:
    guest, react = guest_and_machine(name)
    for point in points(name):
        direct, steps, restored = guest.fast(), guest.fast(), UnicornCpu(guest.ram)
        play(direct, react, point)
        play(steps, react, point, range(point))
        restored.load(direct.save(), pages(direct))
        assert direct.save() == steps.save() == restored.save()


def test_take_dirty_is_what_was_written() -> None:
    guest, react = guest_and_machine("demand paging")
    cpu = guest.fast()
    cpu.take_dirty()
    for stop in range(20, 400, 20):
        before = pages(cpu)
        play(cpu, react, stop)
        after = pages(cpu)
        changed = {frame for frame in after if after[frame] != before[frame]}
        dirty = cpu.take_dirty()
        assert changed <= set(dirty)
        assert list(dirty) == sorted(set(dirty))
        assert cpu.take_dirty() == []


def test_only_the_dirty_pages_are_needed() -> None:
    """A checkpoint is a state and the pages written since the one before; going back puts those pages back."""
    guest, react = guest_and_machine("strings into absent pages")
    cpu = guest.fast()
    cpu.take_dirty()
    saved, memory = cpu.save(), pages(cpu)
    play(cpu, react, 700)
    end = state(cpu)
    cpu.load(saved, {frame: memory[frame] for frame in cpu.take_dirty()})
    assert pages(cpu) == memory
    play(cpu, react, 700)
    assert state(cpu) == end
