"""The real-time clock and CMOS memory of a PC (MC146818): index register at offset 0, data at offset 1.

The time is the machine's wall clock plus the offset that the guest set. Its interrupts are in rtc_interrupts.py.
Source: Motorola MC146818 data sheet; bytes beyond the clock: IBM PC AT technical reference, and the sizes of extended
memory at 30h and 34h.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from pvtrace.machine.devices.device import Line, State
from pvtrace.machine.devices.rtc_interrupts import RtcInterrupts

SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY = 0, 2, 4, 6, 7, 8, 9, 0x32
ALARMS: Final = ((1, SECONDS), (3, MINUTES), (5, HOURS))
"""Alarm registers, and what each is compared with."""

ANY: Final = 0xC0
"""An alarm register with both upper bits set matches everything."""

TIME: Final = (SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY)
A, B, C, D = 0x0A, 0x0B, 0x0C, 0x0D
UPDATING: Final = 0x80  # register A
SET, BINARY, HOURS_24 = 0x80, 0x04, 0x02  # register B
PM: Final = 0x80
VALID_RAM: Final = 0x80  # register D

UPDATE_NS: Final = (244 + 1984) * 1000
"""How long before the change of a second register A says so (data sheet, t_BUC and t_UC with a 32 kHz crystal)."""

NS: Final = 1_000_000_000
UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
KIB: Final = 1024
DISK_TYPES, FIRST_DISK_TYPE = 0x12, 0x19
SEE_EXTENDED, OF_ITS_OWN = 0xF0, 47  # the first disk's type is in its extended byte; its geometry is not in a table
YEARS: Final = (1900, 9998)


def memory_sizes(ram_size: int) -> dict[int, int]:
    """The CMOS bytes that tell a memory size: base memory, KiB above 1 MiB (twice), 64 KiB units above 16 MiB."""
    above_1m = min(max(0, ram_size // KIB - 1024), 0xFFFF)
    above_16m = min(max(0, ram_size // (64 * KIB) - 256), 0xFFFF)
    words = {0x15: 640, 0x17: above_1m, 0x30: above_1m, 0x34: above_16m}
    return {at + byte: word >> 8 * byte & 0xFF for at, word in words.items() for byte in (0, 1)}


class Cmos:
    """`wallclock` gives nanoseconds since 1970-01-01 UTC at a virtual time in ticks, of which there are `hz` in a
    second; `ram_size` is in bytes; `line` is IRQ 8."""

    width = 1

    def __init__(self, wallclock: Callable[[int], int], ram_size: int, hz: int, line: Line) -> None:
        self._wallclock = wallclock
        self._interrupts = RtcInterrupts(hz, line)
        self._index = 0
        self._offset_ns = 0  # the guest's clock minus the wall clock
        self._frozen: dict[int, int] | None = None  # the time registers while the guest sets them
        self._bytes = {A: 0x26, B: HOURS_24, C: 0, D: VALID_RAM, **memory_sizes(ram_size)}

    def add_disk(self) -> None:
        """Note that there is a first hard disk."""
        self._bytes |= {DISK_TYPES: SEE_EXTENDED, FIRST_DISK_TYPE: OF_ITS_OWN}

    def read(self, offset: int, _width: int, now: int) -> int:
        if offset == 0:
            return 0xFF
        index = self._index
        if index in TIME:
            return (self._frozen or self._time(now))[index]
        if index == A:
            soon = self._frozen is None and (self._wallclock(now) + self._offset_ns) % NS >= NS - UPDATE_NS
            return self._bytes[A] | UPDATING * soon
        if index == C:
            return self._interrupts.acknowledge(now)
        return self._bytes.get(index, 0)

    def write(self, offset: int, _width: int, value: int, now: int) -> None:
        index = self._index
        if offset == 0:
            self._index = value & 0x7F  # bit 7 masks the NMI, and no device raises one
        elif index in TIME:
            fields = {**(self._frozen or self._time(now)), index: value}
            if self._frozen is None:
                self._set_time(fields, now)
            else:
                self._frozen = fields
        elif index == A:
            self._bytes[A] = value & ~UPDATING
            self._interrupts.configure(value & 0xF, self._bytes[B], now)
        elif index == B:
            self._control(value, now)
            self._interrupts.configure(self._bytes[A] & 0xF, value, now)
        elif index not in (C, D):
            self._bytes[index] = value

    def next_event(self, now: int) -> int | None:
        return self._interrupts.next_event(now)

    def advance(self, now: int) -> None:
        self._interrupts.advance(now, lambda: self._alarm_matches(now))

    def save(self) -> State:
        return {
            "interrupts": self._interrupts.save(),
            "index": self._index,
            "offset_ns": self._offset_ns,
            "frozen": None if self._frozen is None else [self._frozen[index] for index in TIME],
            "bytes": [self._bytes.get(index, 0) for index in range(0x80)],
        }

    def load(self, state: State) -> None:
        self._interrupts.load(state["interrupts"])
        self._index = state["index"]
        self._offset_ns = state["offset_ns"]
        self._frozen = None if state["frozen"] is None else dict(zip(TIME, state["frozen"], strict=True))
        self._bytes = dict(enumerate(state["bytes"]))

    def _alarm_matches(self, now: int) -> bool:
        shown = self._time(now)
        wanted = ((self._bytes.get(at, 0), shown[index]) for at, index in ALARMS)
        return all(alarm & ANY == ANY or alarm == value for alarm, value in wanted)

    def _control(self, value: int, now: int) -> None:
        """Register B. SET stops the clock's registers; when it is cleared the clock goes on from what they hold."""
        if value & SET and self._frozen is None:
            self._frozen = self._time(now)
        self._bytes[B] = value
        if not value & SET and self._frozen is not None:
            fields, self._frozen = self._frozen, None
            self._set_time(fields, now)

    def _time(self, now: int) -> dict[int, int]:
        """The time registers, in the form that register B asks for."""
        time = UNIX_EPOCH + timedelta(seconds=(self._wallclock(now) + self._offset_ns) // NS)
        plain = {
            SECONDS: time.second,
            MINUTES: time.minute,
            HOURS: time.hour,
            WEEKDAY: time.isoweekday() % 7 + 1,  # Sunday is 1
            DAY: time.day,
            MONTH: time.month,
            YEAR: time.year % 100,
            CENTURY: time.year // 100,
        }
        if not self._bytes[B] & HOURS_24:
            plain[HOURS] = (time.hour + 11) % 12 + 1
        fields = plain if self._bytes[B] & BINARY else {index: v // 10 << 4 | v % 10 for index, v in plain.items()}
        if not self._bytes[B] & HOURS_24 and time.hour >= 12:
            fields[HOURS] |= PM
        return fields

    def _set_time(self, fields: dict[int, int], now: int) -> None:
        """Move the offset so that the clock shows `fields` now. The weekday follows from the date; a value out of its
        range carries over into the next larger unit."""
        plain = {index: v if self._bytes[B] & BINARY else (v >> 4) * 10 + (v & 15) for index, v in fields.items()}
        if not self._bytes[B] & HOURS_24:
            hour = fields[HOURS] & ~PM
            hour = hour if self._bytes[B] & BINARY else (hour >> 4) * 10 + (hour & 15)
            plain[HOURS] = hour % 12 + (12 if fields[HOURS] & PM else 0)
        years, month = divmod(max(plain[MONTH], 1) - 1, 12)
        year = min(max(plain[CENTURY] * 100 + plain[YEAR] + years, YEARS[0]), YEARS[1])
        time = datetime(year, month + 1, 1, tzinfo=UTC) + timedelta(
            days=plain[DAY] - 1, hours=plain[HOURS], minutes=plain[MINUTES], seconds=plain[SECONDS]
        )
        seconds = (time - UNIX_EPOCH) // timedelta(seconds=1)
        wallclock = self._wallclock(now)
        self._offset_ns = seconds * NS - wallclock // NS * NS
