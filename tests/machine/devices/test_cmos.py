import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.cmos import Cmos

NS = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2006, 3, 12, 23, 59, 58, tzinfo=UTC)
MIB = 1 << 20
TIME = (0x32, 9, 8, 7, 4, 2, 0)


def made(start: datetime = START, ram: int = 64 * MIB) -> Cmos:
    """A clock whose ticks are nanoseconds."""
    return Cmos(lambda now: int(start.timestamp()) * NS + now, ram, NS, lambda _level: None)


def read(cmos: Cmos, index: int, now: int = 0) -> int:
    cmos.write(0, 1, index, now)
    return cmos.read(1, 1, now)


def write(cmos: Cmos, index: int, value: int, now: int = 0) -> None:
    cmos.write(0, 1, index, now)
    cmos.write(1, 1, value, now)


def shown(cmos: Cmos, now: int = 0) -> datetime:
    """The time as a kernel reads it in binary mode."""
    write(cmos, 0x0B, 0x06, now)
    century, year, month, day, hour, minute, second = (read(cmos, index, now) for index in TIME)
    return datetime(century * 100 + year, month, day, hour, minute, second, tzinfo=UTC)


def test_bcd_and_24_hours_by_default() -> None:
    cmos = made()
    assert [read(cmos, index) for index in TIME] == [0x20, 0x06, 0x03, 0x12, 0x23, 0x59, 0x58]
    assert read(cmos, 6) == 1  # a Sunday
    assert [read(cmos, index, 2 * NS) for index in TIME] == [0x20, 0x06, 0x03, 0x13, 0x00, 0x00, 0x00]
    assert read(cmos, 6, 2 * NS) == 2


@pytest.mark.parametrize(("hour", "bcd"), [(0, 0x12), (1, 0x01), (11, 0x11), (12, 0x92), (13, 0x81), (23, 0x91)])
def test_12_hours(hour: int, bcd: int) -> None:
    cmos = made(START.replace(hour=hour))
    write(cmos, 0x0B, 0)
    assert read(cmos, 4) == bcd
    write(cmos, 4, bcd)
    assert shown(cmos).hour == hour


def test_an_update_is_announced_shortly_before_it() -> None:
    cmos = made()
    assert read(cmos, 0x0A, NS - 3_000_000) == 0x26
    assert read(cmos, 0x0A, NS - 1_000_000) == 0xA6
    assert read(cmos, 0x0A, NS) == 0x26


@given(
    st.integers(-(2**31), 7_000_000_000).map(lambda second: EPOCH + timedelta(seconds=second)), st.integers(0, 1 << 50)
)
def test_a_time_that_is_set_goes_on_from_there(time: datetime, now: int) -> None:
    cmos = made()
    write(cmos, 0x0B, 0x86, now)
    fields = (time.year // 100, time.year % 100, time.month, time.day, time.hour, time.minute, time.second)
    for index, value in zip(TIME, fields, strict=True):
        write(cmos, index, value, now)
    write(cmos, 0x0B, 0x06, now + 7 * NS)
    assert shown(cmos, now + 7 * NS) == time
    copy = made()
    copy.load(json.loads(json.dumps(cmos.save())))
    later = now + 3607 * NS
    assert shown(copy, later) == shown(cmos, later) == time + timedelta(hours=1)


@given(st.lists(st.tuples(st.integers(0, 0x7F), st.integers(0, 255), st.integers(0, 1 << 40)), max_size=20))
def test_nonsense_never_breaks_it(writes: list[tuple[int, int, int]]) -> None:
    cmos, copy, now = made(), made(), 0
    for index, value, delay in writes:
        now += delay
        write(cmos, index, value, now)
    state = cmos.save()
    copy.load(json.loads(json.dumps(state)))
    assert [read(cmos, index, now) for index in range(128)] == [read(copy, index, now) for index in range(128)]


def test_memory_sizes_and_plain_bytes() -> None:
    cmos = made(ram=64 * MIB)
    words = {at: read(cmos, at) | read(cmos, at + 1) << 8 for at in (0x15, 0x17, 0x30, 0x34)}
    assert words == {0x15: 640, 0x17: 63 * 1024, 0x30: 63 * 1024, 0x34: 48 * 16}
    assert read(made(ram=2 * MIB), 0x34) == 0
    write(cmos, 0x40, 0x77)
    assert read(cmos, 0x40) == 0x77
    write(cmos, 0x0D, 0)
    assert read(cmos, 0x0D) == 0x80
    assert cmos.read(0, 1, 0) == 0xFF


def test_a_hard_disk_is_noted() -> None:
    cmos = made()
    assert (read(cmos, 0x12), read(cmos, 0x19)) == (0, 0)
    cmos.add_disk()
    assert (read(cmos, 0x12), read(cmos, 0x19)) == (0xF0, 47)
