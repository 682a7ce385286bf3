import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pvtrace.machine.devices.counter import BOTH, HIGH, LOW, Counter
from pvtrace.machine.devices.pit import PIT_HZ, Pit

HZ = 100_000_000
RATES = st.sampled_from([HZ, PIT_HZ, 1_000_000, 2_992_000_000, 977])


class Edges:
    """An interrupt line that counts its rises."""

    def __init__(self) -> None:
        self.level = False
        self.rises = 0

    def __call__(self, level: bool) -> None:
        self.rises += level and not self.level
        self.level = level


def counter(mode: int, count: int, *, at: int = 0, bcd: bool = False, gate: bool = True) -> Counter:
    made = Counter(gate=gate)
    made.control(mode, BOTH, bcd)
    made.write(count & 0xFF, at)
    made.write(count >> 8, at)
    return made


def program(pit: Pit, mode: int, count: int, now: int = 0, channel: int = 0) -> None:
    pit.write(3, 1, channel << 6 | BOTH << 4 | mode << 1, now)
    pit.write(channel, 1, count & 0xFF, now)
    pit.write(channel, 1, count >> 8, now)


def shape(made: Counter, clocks: int) -> str:
    return "".join("_#"[made.output(clock)] for clock in range(clocks))


@pytest.mark.parametrize(
    ("mode", "count", "expected"),
    [  # clock 0 is the write; the count is loaded with the next pulse (82C54 data sheet, figures 15-20)
        (0, 4, "_____#######"),
        (1, 4, "############"),
        (2, 3, "###_##_##_##"),
        (2, 4, "####_###_###"),
        (3, 4, "###__##__##_"),
        (3, 5, "####__###__#"),
        (4, 3, "####_#######"),
        (5, 3, "############"),
    ],
)
def test_the_output_of_each_mode(mode: int, count: int, expected: str) -> None:
    assert shape(counter(mode, count), 12) == expected


@pytest.mark.parametrize(
    ("mode", "triggers", "expected"),
    [
        (1, (2, 8), "##____##____##"),
        (1, (2, 4), "##______######"),
        (5, (2, 7), "######_####_##"),
        (5, (2, 4), "########_#####"),
    ],
)
def test_a_gate_edge_triggers_and_retriggers_a_shot(mode: int, triggers: tuple[int, int], expected: str) -> None:
    made = counter(mode, 3, gate=False)
    seen = ""
    for clock in range(14):
        if clock in triggers:
            made.set_gate(False, clock)
            made.set_gate(True, clock)
        seen += "_#"[made.output(clock)]
    assert seen == expected


def test_a_shot_under_way_keeps_its_count_and_the_next_takes_the_new_one() -> None:
    made = counter(1, 10, gate=False)
    made.set_gate(True, 0)
    made.write(2, 5)
    made.write(0, 5)
    assert made.next_rise(5) == 11
    assert made.next_rise(11) is None
    made.set_gate(False, 20)
    made.set_gate(True, 30)
    assert made.next_rise(30) == 33


def test_a_low_gate_holds_the_count_and_a_periodic_output_is_high_meanwhile() -> None:
    waiting = counter(0, 5)
    waiting.set_gate(False, 3)
    assert {waiting.value(clock) for clock in range(3, 50)} == {3}
    waiting.set_gate(True, 50)
    assert [waiting.output(clock) for clock in (52, 53)] == [False, True]
    square = counter(3, 4)
    square.set_gate(False, 3)
    assert all(square.output(clock) for clock in range(3, 20))
    square.set_gate(True, 20)
    assert [square.output(clock) for clock in range(21, 27)] == [True, True, False, False, True, True]


def test_a_count_written_while_the_gate_is_low_waits_for_it() -> None:
    made = counter(2, 4, gate=False)
    assert made.next_rise(1000) is None
    made.set_gate(True, 10)
    assert made.next_rise(10) == 15


def test_values_count_down() -> None:
    assert [counter(0, 3).value(clock) for clock in range(7)] == [3, 3, 2, 1, 0, 0xFFFF, 0xFFFE]
    assert [counter(2, 3).value(clock) for clock in range(1, 8)] == [3, 2, 1, 3, 2, 1, 3]
    assert [counter(3, 4).value(clock) for clock in range(1, 7)] == [4, 2, 4, 2, 4, 2]
    assert [counter(3, 5).value(clock) for clock in range(1, 7)] == [4, 2, 0, 4, 2, 4]


def test_a_count_of_zero_is_the_largest() -> None:
    assert counter(0, 0).next_rise(0) == 65_537
    assert counter(0, 0, bcd=True).next_rise(0) == 10_001


def test_bcd() -> None:
    made = counter(0, 0x1234, bcd=True)
    assert made.next_rise(0) == 1235
    made.latch(1 + 35)
    assert [made.read(500), made.read(500)] == [0x99, 0x11]


def test_a_new_period_begins_when_the_old_one_ends() -> None:
    made = counter(2, 4)
    made.write(2, 6)
    made.write(0, 6)
    assert shape(made, 14) == "####_###_#_#_#"
    square = counter(3, 8)  # high at 1-4, low at 5-8
    square.write(4, 3)
    square.write(0, 3)
    assert shape(square, 14) == "#####__##__##_"


def test_latched_values_stay_until_they_are_read() -> None:
    made = counter(2, 1000)
    made.latch(101)
    made.latch(301)
    assert made.read(400) | made.read(401) << 8 == 900
    assert made.read(501) == 500 & 0xFF


@pytest.mark.parametrize(("access", "byte", "count"), [(LOW, 0x34, 0x34), (HIGH, 0x12, 0x1200)])
def test_one_byte_access(access: int, byte: int, count: int) -> None:
    made = Counter()
    made.control(0, access, bcd=False)
    made.write(byte, 0)
    assert made.next_rise(0) == count + 1
    assert [made.read(1), made.read(1)] == [byte, byte]


def test_read_back_gives_status_then_count() -> None:
    pit = Pit(PIT_HZ, Edges())
    program(pit, 2, 0x1234, channel=0)
    pit.write(3, 1, 0xC2, 0)  # not loaded before the next pulse
    assert pit.read(0, 1, 0) == 0xF4
    pit.read(0, 1, 0)
    pit.read(0, 1, 0)
    pit.write(3, 1, 0xC2, 1 + 0x34)
    assert [pit.read(0, 1, 99) for _ in range(3)] == [0xB4, 0x00, 0x12]
    pit.write(3, 1, 0x00, 1)  # counter latch
    assert [pit.read(0, 1, 99) for _ in range(2)] == [0x34, 0x12]
    assert pit.read(3, 1, 0) == 0xFF


def test_the_bios_tick_is_exact_over_an_hour() -> None:
    edges = Edges()
    pit = Pit.left_by_bios(HZ, edges)
    now = 0
    while (due := pit.next_event(now)) is not None and due <= 3600 * HZ:
        now = due
        pit.advance(now)
    assert edges.rises == (3600 * PIT_HZ - 1) // 65_536
    assert now == -(-(edges.rises * 65_536 + 1) * HZ // PIT_HZ)


def test_programming_counter_0_stops_the_tick_and_mode_5_never_ticks() -> None:
    edges = Edges()
    pit = Pit.left_by_bios(HZ, edges)
    program(pit, 5, 1000, now=50)
    assert pit.next_event(50) is None
    pit.advance(HZ)
    assert edges.rises == 0


def test_an_output_that_a_control_word_raises_is_an_edge() -> None:
    edges = Edges()
    pit = Pit(HZ, edges)
    program(pit, 0, 60_000)
    assert edges.rises == 0
    pit.write(3, 1, 0x34, 10)
    assert edges.rises == 1


def test_one_shot_fires_once() -> None:
    edges = Edges()
    pit = Pit(PIT_HZ, edges)
    program(pit, 0, 100, now=5)
    assert pit.next_event(5) == 5 + 1 + 100
    pit.advance(105)
    assert edges.rises == 0
    pit.advance(106)
    pit.advance(100_000)
    assert edges.rises == 1
    assert pit.next_event(200_000) is None


@given(
    mode=st.integers(0, 5),
    count=st.integers(1, 40),
    at=st.integers(0, 20),
    again=st.none() | st.tuples(st.integers(0, 60), st.integers(1, 40)),
    look=st.integers(0, 60),
)
@example(mode=3, count=1, at=0, again=None, look=0)
@example(mode=3, count=8, at=0, again=(5, 3), look=5)
def test_next_rise_is_where_the_output_rises(
    mode: int, count: int, at: int, again: tuple[int, int] | None, look: int
) -> None:
    """The formula against a plain scan of the output, also with a second count written on the way."""
    made = counter(mode, count, at=at)
    since = at
    if again is not None:
        since = at + again[0]
        made.write(again[1], since)
        made.write(0, since)
    start = since + look
    scan = (c for c in range(start + 1, start + 200) if made.output(c) and not made.output(c - 1))
    assert made.next_rise(start) == next(scan, None)


@given(
    hz=RATES,
    mode=st.integers(0, 5),
    count=st.integers(0, 0xFFFF),
    delays=st.lists(st.integers(0, 1 << 28), min_size=2, max_size=6),
)
def test_advancing_in_parts_is_advancing_at_once(hz: int, mode: int, count: int, delays: list[int]) -> None:
    parts, whole = Pit.left_by_bios(hz, Edges()), Pit.left_by_bios(hz, Edges())
    now = delays[0]
    for pit in (parts, whole):
        program(pit, mode, count, now)
    for delay in delays[1:]:
        now += delay
        parts.advance(now)
        due = parts.next_event(now)
        assert due is None or due > now
    whole.advance(now)
    assert parts.save() == whole.save()
    assert parts.next_event(now) == whole.next_event(now)
    assert [parts.read(c, 1, now) for c in range(3)] == [whole.read(c, 1, now) for c in range(3)]


@given(hz=RATES, clock=st.integers(0, 1 << 60))
def test_ticks_is_the_first_time_of_a_clock(hz: int, clock: int) -> None:
    pit = Pit(hz, Edges())
    assert pit.clock(pit.ticks(clock)) >= clock
    assert clock == 0 or pit.clock(pit.ticks(clock) - 1) < clock


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 255), st.booleans(), st.integers(0, 1 << 20)), max_size=30),
    st.integers(0, 1 << 24),
)
def test_a_saved_state_is_all_there_is(accesses: list[tuple[int, int, bool, int]], later: int) -> None:
    pit, copy, now = Pit(HZ, Edges()), Pit(HZ, Edges()), 0
    for offset, value, is_write, delay in accesses:
        now += delay
        if is_write:
            pit.write(offset, 1, value, now)
        else:
            pit.read(offset, 1, now)
            pit.set_gate(bool(value & 1), now)
    copy.load(json.loads(json.dumps(pit.save())))
    now += later
    for device in (pit, copy):
        device.advance(now)
    assert pit.save() == copy.save()
    assert [pit.read(c, 1, now) for c in range(3)] == [copy.read(c, 1, now) for c in range(3)]
