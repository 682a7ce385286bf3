"""Register C and IRQ 8 of the clock."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.cmos import Cmos
from pvtrace.machine.devices.rtc_interrupts import RtcInterrupts, frequency

HZ = 1_000_000
START = datetime(2006, 3, 12, 23, 59, 58, tzinfo=UTC)


class Board:
    """A clock whose ticks are microseconds."""

    def __init__(self) -> None:
        self.level = False
        self.rises: list[int] = []
        self.now = 0
        epoch = int(START.timestamp()) * 1_000_000_000
        self.cmos = Cmos(lambda now: epoch + now * 1000, 64 << 20, HZ, self._drive)

    def _drive(self, level: bool) -> None:
        if level and not self.level:
            self.rises.append(self.now)
        self.level = level

    def write(self, index: int, value: int) -> None:
        self.cmos.write(0, 1, index, self.now)
        self.cmos.write(1, 1, value, self.now)

    def flags(self) -> int:
        self.cmos.write(0, 1, 0x0C, self.now)
        return self.cmos.read(1, 1, self.now)

    def run(self, until: int, *, take: bool = True) -> list[int]:
        """Stop at every event, as the machine does; the flags that a handler finds."""
        found = []
        while (due := self.cmos.next_event(self.now)) is not None and due <= until:
            self.now = due
            self.cmos.advance(due)
            if self.level and take:
                found.append(self.flags())
        self.now = until
        self.cmos.advance(until)
        return found


@pytest.mark.parametrize(("rate", "hertz"), [(0, 0), (1, 256), (2, 128), (3, 8192), (6, 1024), (15, 2)])
def test_rates(rate: int, hertz: int) -> None:
    assert frequency(rate) == hertz


def test_periodic() -> None:
    board = Board()
    board.write(0x0A, 0x2F)
    board.write(0x0B, 0x42)
    assert board.run(2_100_000) == [0xC0, 0xD0, 0xC0, 0xD0]
    assert board.rises == [500_000, 1_000_000, 1_500_000, 2_000_000]


def test_update_ended() -> None:
    board = Board()
    board.write(0x0B, 0x12)
    assert [flags & 0x90 for flags in board.run(3_000_000)] == [0x90] * 3
    assert board.rises == [1_000_000, 2_000_000, 3_000_000]
    board.write(0x0B, 0x92)  # SET: no updates
    assert board.run(5_000_000) == []


def test_alarm() -> None:
    board = Board()
    board.write(0x01, 0x00)
    board.write(0x03, 0xC0)  # any minute
    board.write(0x05, 0x00)
    board.write(0x0B, 0x22)
    assert [flags & 0xA0 for flags in board.run(4_000_000)] == [0xA0]
    assert board.rises == [2_000_000]


def test_nothing_more_comes_before_register_c_is_read() -> None:
    board = Board()
    board.write(0x0B, 0x42)
    board.run(10_000, take=False)
    assert len(board.rises) == 1
    assert board.cmos.next_event(board.now) is None
    assert board.flags() == 0xC0
    assert not board.level
    assert board.flags() == 0
    board.run(12_000, take=False)
    assert len(board.rises) == 2


def test_flags_can_be_polled_without_interrupts() -> None:
    board = Board()
    board.now = 1_000
    assert board.flags() == 0x40
    board.now = 1_000_500
    assert board.flags() == 0x50
    assert board.rises == []


def test_an_enable_that_comes_after_its_flag_interrupts_at_once() -> None:
    board = Board()
    board.now = 2_000
    board.write(0x0B, 0x42)
    assert board.rises == [2_000]


looks = st.lists(st.integers(0, 3_000_000), max_size=10)


@given(st.integers(0, 15), st.sampled_from([0x42, 0x12, 0x52, 0x02, 0x92]), looks)
def test_advancing_often_is_advancing_once(rate: int, control: int, times: list[int]) -> None:
    boards = (Board(), Board())
    for board in boards:
        board.write(0x0A, 0x20 | rate)
        board.write(0x0B, control)
    for now in sorted(times):
        due = boards[0].cmos.next_event(0)
        if due is not None and due <= now:
            break
        boards[0].cmos.advance(now)
    for board in boards:
        board.run(3_000_000, take=False)
    assert boards[0].cmos.save() == boards[1].cmos.save()
    copy = RtcInterrupts(HZ, lambda _level: None)
    copy.load(json.loads(json.dumps(boards[0].cmos.save()["interrupts"])))
    boards[1].now = 3_500_000
    assert copy.acknowledge(3_500_000) == boards[1].flags()
    assert copy.save() == boards[1].cmos.save()["interrupts"]
