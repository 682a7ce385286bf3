"""Law 5, Engine: the fast engine equals the oracle engine at every sampled step, in registers (FPU and SSE too), memory
and the log of exits; whatever the partition into runs, the state of the TLB, and the size of the code buffer."""

from collections.abc import Callable, Iterable
from functools import cache
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import SAME, examples
from tests.oracle import streams
from tests.oracle.guest import AnyCpu, Guest, React, Run, play
from tests.oracle.kernel import kernel, skipping
from tests.oracle.workloads import FLAT, MODIFYING, ORIGIN, Program, kernel_guests, paging_guests

SMALL_BUFFER = 1 << 20


def halts(_cpu: object, _found: object) -> bool:
    return False


def assert_equal(
    guest: Guest, react: Callable[[], React], limit: int, stops: Iterable[int] = (), oracle: Run | None = None
) -> Run:
    """The oracle's run, after comparing the fast engine's with it in every way of running."""
    stops = set(stops)
    oracle = oracle or play(guest.oracle(), react(), limit, stops)
    ways: dict[str, tuple[int, Callable[[AnyCpu], object] | None, set[int]]] = {
        "plain": (0, None, stops),
        "TLB flushed at exits": (0, lambda cpu: cpu.flush_tlb(), stops),
        "small code buffer": (SMALL_BUFFER, None, stops),
        "more stops": (0, None, stops | set(Random(limit).choices(range(limit), k=40))),
    }
    for way, (buffer, at_exit, all_stops) in ways.items():
        fast = play(guest.fast(buffer), react(), limit, all_stops, at_exit)
        assert fast.exits == oracle.exits, way
        assert fast.end == oracle.end, way
        for step, sample in oracle.samples.items():
            assert fast.samples[step] == sample, f"{way}: at step {step}"
    return oracle


@cache
def sampled(limit: int) -> tuple[int, ...]:
    return tuple(sorted(Random(limit).choices(range(1, limit), k=25)))


@pytest.mark.parametrize("program", FLAT, ids=lambda program: program.name)
def test_ring_0(program: Program) -> None:
    run = assert_equal(program.build(), lambda: halts, program.steps, sampled(program.steps))
    assert run.end > 10


@pytest.mark.parametrize("program", MODIFYING, ids=lambda program: program.name)
def test_self_modifying_code(program: Program) -> None:
    run = assert_equal(program.build(), lambda: halts, program.steps, range(60))
    assert run.end < program.steps


@pytest.mark.parametrize("name", kernel_guests())
def test_ring_3_and_kernel(name: str) -> None:
    run = assert_equal(kernel_guests()[name], lambda: kernel, 3000, sampled(2000))
    assert len(run.exits) > 5
    assert run.end < 3000


@pytest.mark.parametrize("name", paging_guests())
def test_paging_modes(name: str) -> None:
    guest = paging_guests()[name]
    size = len(guest.images[-1][1])
    run = assert_equal(guest, lambda: skipping(range(ORIGIN, ORIGIN + size)), 150, range(0, 150, 7))
    assert run.exits


def compared(pieces: tuple[bytes, ...], r: Random, limit: int = 150) -> Run:
    guest = streams.guest(r, pieces)
    boundaries = streams.boundaries(pieces, guest.eip)
    return assert_equal(guest, lambda: skipping(boundaries), limit, (r.randrange(limit) for _ in range(8)))


def streamed(seed: int) -> Run:
    r = Random(seed)
    return compared(streams.stream(r), r)


@pytest.mark.slow
def test_two_hundred_random_guests() -> None:
    assert sum(streamed(seed).end for seed in range(200)) > 5000


@given(
    st.lists(st.tuples(st.sampled_from(streams.KINDS), st.integers(0, 1 << 16)), min_size=1, max_size=30),
    st.integers(0, 1 << 16),
)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck), derandomize=SAME)
def test_random_streams(kinds: list[tuple[Callable[[Random], bytes], int]], setting: int) -> None:
    r = Random(setting)
    compared(streams.stream_of([(kind, Random(seed)) for kind, seed in kinds], r), r)


FOUND = {
    2: "LOOPNE ending with ECX = 0 kept the flags of the block's start",
    4: "segment attributes held bits of the base",
    7: "SETcc to an absent page lost the flags",
    82: "FBSTP to no memory",
    186: "a shift of its own page table entry saw the dirty bit of its refused try",
    217: "AND of its own page table entry",
    285: "CMPXCHG8B computed the flags by an old rule",
    1061: "BTS: undefined flags depended on the block's start; #UD over a page end left the second page not accessed",
    3395: "RCL of a page table entry lost the carry",
}


@pytest.mark.parametrize("seed", FOUND, ids=FOUND.values())
def test_found_before(seed: int) -> None:
    streamed(seed)
