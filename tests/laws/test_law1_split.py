"""Law 1, Split: run(n); run(m) = run(n + m), for any split; here of the CPU alone."""

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import SAME, examples
from tests.oracle import streams
from tests.oracle.guest import Guest, React, Run, play
from tests.oracle.kernel import kernel, skipping
from tests.oracle.workloads import FLAT, MODIFYING, kernel_guests

LIMIT = 1500
PROGRAMS = {program.name: program for program in (*FLAT, *MODIFYING)}
NAMES = (*PROGRAMS, *kernel_guests(), *(f"stream {seed}" for seed in range(40)))


@cache
def guest_and_machine(name: str) -> tuple[Guest, React]:
    if name in PROGRAMS:
        return PROGRAMS[name].build(), lambda _cpu, _found: False
    if name in kernel_guests():
        return kernel_guests()[name], kernel
    r = Random(int(name.split()[1]))
    pieces = streams.stream(r)
    guest = streams.guest(r, pieces)
    return guest, skipping(streams.boundaries(pieces, guest.eip))


@cache
def unsplit(name: str) -> Run:
    guest, react = guest_and_machine(name)
    return play(guest.fast(), react, LIMIT)


@cache
def stepped(name: str) -> Run:
    """One step at a time."""
    guest, react = guest_and_machine(name)
    return play(guest.fast(), react, LIMIT, range(LIMIT))


@pytest.mark.parametrize("name", NAMES)
def test_single_steps(name: str) -> None:
    assert stepped(name).exits == unsplit(name).exits
    assert stepped(name).samples[-1] == unsplit(name).samples[-1]
    assert stepped(name).end == unsplit(name).end


def assert_split(name: str, stops: set[int]) -> None:
    guest, react = guest_and_machine(name)
    split, whole, steps = play(guest.fast(), react, LIMIT, stops), unsplit(name), stepped(name)
    assert split.exits == whole.exits
    assert split.end == whole.end
    for stop, state in split.samples.items():
        assert state == steps.samples[stop], f"at step {stop}"


@pytest.mark.slow
def test_a_thousand_random_splits() -> None:
    r = Random(1)
    for n in range(1000):
        end = stepped(NAMES[n % len(NAMES)]).end
        assert_split(NAMES[n % len(NAMES)], {r.randrange(1, end + 1) for _ in range(r.choice((1, 1, 2, 5, 20)))})


@given(st.sampled_from(NAMES), st.sets(st.integers(1, LIMIT), max_size=6))
@settings(max_examples=examples(60), deadline=None, derandomize=SAME)
def test_splits(name: str, stops: set[int]) -> None:
    assert_split(name, stops)
