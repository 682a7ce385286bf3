"""The IDE channel and its disk: registers, commands, transfers, the interrupt line, the state."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.ata import Ata
from pvtrace.machine.devices.ata_identity import geometry
from pvtrace.machine.devices.disk_image import SECTOR, DiskImage

SECTORS = 2016
"""Two cylinders."""

ORIGINAL = b"".join(struct.pack("<I", sector) * (SECTOR // 4) for sector in range(SECTORS))
READY, REQUEST, FAILED = 0x50, 0x08, 0x01


class Channel:
    def __init__(self, sectors: int = SECTORS) -> None:
        self.level = False
        self.rises = 0
        self.image = DiskImage(ORIGINAL[: sectors * SECTOR])
        self.ata = Ata(self.image, self._drive)

    def _drive(self, level: bool) -> None:
        self.rises += level and not self.level
        self.level = level

    def out(self, offset: int, *values: int) -> None:
        for at, value in enumerate(values):
            self.ata.write(offset + at, 1, value, 0)

    def at(self, offset: int) -> int:
        return self.ata.read(offset, 1, 0)

    @property
    def alternate(self) -> int:
        """The status, which leaves the interrupt as it is."""
        return self.at(8)

    def command(self, code: int, lba: int = 0, count: int = 1) -> int:
        """Returns the status."""
        self.out(2, count & 0xFF, lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF, 0xE0 | lba >> 24, code)
        return self.alternate

    def take(self, size: int, width: int = 2) -> bytes:
        return b"".join(self.ata.read(0, width, 0).to_bytes(width, "little") for _ in range(size // width))

    def give(self, data: bytes, width: int = 2) -> None:
        for at in range(0, len(data), width):
            self.ata.write(0, width, int.from_bytes(data[at : at + width], "little"), 0)

    @property
    def registers(self) -> list[int]:
        """Error, count and address."""
        return [self.at(offset) for offset in range(1, 7)]


def sector(number: int) -> bytes:
    return ORIGINAL[number * SECTOR : (number + 1) * SECTOR]


def test_after_a_reset() -> None:
    """The signature by which a disk is told from a CD drive."""
    channel = Channel()
    assert (channel.alternate, channel.registers) == (READY, [1, 1, 1, 0, 0, 0xA0])
    channel.command(0x20, 7)
    channel.out(8, 0x04)
    assert (channel.alternate, channel.level) == (0x80, False)
    channel.out(7, 0xEC)  # nobody listens
    channel.out(8, 0x00)
    assert (channel.alternate, channel.registers) == (READY, [1, 1, 1, 0, 0, 0xA0])


def test_there_is_no_second_disk() -> None:
    channel = Channel()
    channel.out(6, 0xB0)
    assert (channel.at(7), channel.alternate) == (0, 0)
    channel.out(7, 0xEC)
    assert (channel.alternate, channel.level, channel.take(2)) == (0, False, b"\xff\xff")
    channel.out(6, 0xA0)
    assert channel.alternate == READY


@pytest.mark.parametrize("width", [1, 2, 4])
def test_reads_sectors(width: int) -> None:
    channel = Channel()
    assert channel.command(0x20, 100, 3) == READY | REQUEST
    for number in range(100, 103):
        assert channel.level
        assert channel.at(7) == READY | REQUEST
        assert not channel.level
        assert channel.take(SECTOR, width) == sector(number)
    assert (channel.alternate, channel.level, channel.rises) == (READY, False, 3)
    assert channel.registers == [0, 0, 102, 0, 0, 0xE0]
    assert channel.take(2) == b"\xff\xff"


def test_writes_sectors() -> None:
    channel = Channel()
    assert channel.command(0x30, 100, 2) == READY | REQUEST
    assert not channel.level  # the first is asked for by REQUEST alone
    for value in (1, 2):
        channel.give(bytes([value]) * SECTOR)
        assert channel.level
        assert channel.at(7) == READY | REQUEST * (value == 1)
    assert channel.image.read(100) + channel.image.read(101) == b"\1" * SECTOR + b"\2" * SECTOR
    assert (channel.image.read(99), channel.image.read(102)) == (sector(99), sector(102))
    channel.give(b"\3\3")
    assert channel.command(0x20, 100) == READY | REQUEST
    assert channel.take(SECTOR) == b"\1" * SECTOR


def test_a_sector_is_written_when_all_of_it_has_come() -> None:
    channel = Channel()
    channel.command(0x30, 5)
    channel.give(bytes(SECTOR - 2))
    assert channel.image.read(5) == sector(5)
    channel.command(0xE7)  # another command: the rest never comes
    assert channel.image.read(5) == sector(5)


def test_count_zero_is_256() -> None:
    channel = Channel()
    channel.command(0x20, 0, 0)
    assert channel.take(256 * SECTOR) == ORIGINAL[: 256 * SECTOR]
    assert channel.alternate == READY


def test_multiple() -> None:
    channel = Channel()
    assert channel.command(0xC4, 0, 4) == READY | FAILED  # none is set
    assert channel.command(0xC6, count=3) == READY | FAILED
    assert channel.command(0xC6, count=32) == READY | FAILED
    assert channel.command(0xC6, count=4) == READY
    before = channel.rises
    channel.command(0xC4, 8, 6)
    for size in (4, 2):
        assert channel.at(7) == READY | REQUEST
        channel.take(size * SECTOR)
    assert (channel.alternate, channel.rises - before) == (READY, 2)
    channel.at(7)
    channel.command(0xC5, 8, 6)
    channel.give(b"\7" * 4 * SECTOR)
    assert channel.image.read(11) == b"\7" * SECTOR
    channel.give(b"\7" * 2 * SECTOR)
    assert (channel.alternate, channel.image.read(13), channel.image.read(14)) == (READY, b"\7" * SECTOR, sector(14))


def test_behind_the_end() -> None:
    """What exists is transferred first."""
    channel = Channel()
    channel.command(0x20, SECTORS - 1, 2)
    assert channel.take(SECTOR) == sector(SECTORS - 1)
    assert (channel.alternate, channel.registers[:3]) == (READY | FAILED, [0x10, 1, SECTORS & 0xFF])
    channel.command(0xC6, count=8)
    channel.command(0xC5, SECTORS - 3, 8)
    channel.give(b"\1" * 3 * SECTOR)
    assert (channel.alternate, channel.registers[0]) == (READY | FAILED, 0x10)
    for code in (0x20, 0x30, 0x40, 0xC4):
        assert channel.command(code, SECTORS) == READY | FAILED
        assert channel.registers[0] == 0x10
    assert channel.command(0x40, SECTORS - 1) == READY


def test_cylinders_heads_and_sectors() -> None:
    channel = Channel()
    for cylinder, head, at, number in ((0, 0, 1, 0), (0, 1, 1, 63), (1, 15, 63, SECTORS - 1)):
        channel.out(2, 1, at, cylinder, 0, 0xA0 | head, 0x20)
        assert channel.take(SECTOR) == sector(number)
        assert channel.registers == [0, 0, at, cylinder, 0, 0xA0 | head]
    for head, at in ((0, 0), (0, 64)):
        channel.out(2, 1, at, 0, 0, 0xA0 | head, 0x20)
        assert (channel.alternate, channel.registers[0]) == (READY | FAILED, 0x10)
    channel.out(2, 8, 0, 0, 0, 0xA0 | 3, 0x91)  # 4 heads of 8 sectors
    assert channel.alternate == READY
    channel.out(2, 1, 2, 1, 0, 0xA0 | 3, 0x20)
    assert channel.take(SECTOR) == sector((1 * 4 + 3) * 8 + 1)


def text(words: tuple[int, ...], first: int, last: int) -> str:
    return b"".join(struct.pack(">H", word) for word in words[first : last + 1]).decode().rstrip()


def test_identify() -> None:
    channel = Channel()
    channel.command(0xC6, count=16)
    channel.command(0xEC)
    assert channel.alternate == READY | REQUEST
    words = struct.unpack("<256H", channel.take(SECTOR))
    assert (channel.alternate, channel.take(2)) == (READY, b"\xff\xff")
    assert (words[1], words[3], words[6]) == (2, 16, 63)
    assert words[60] | words[61] << 16 == SECTORS == words[57] | words[58] << 16
    assert text(words, 27, 46) == "PVTRACE DISK"
    assert words[49] & 0x300 == 0x200  # LBA, no DMA
    assert (words[47] & 0xFF, words[59]) == (16, 0x110)
    assert words[83] & words[86] & 0x1000  # FLUSH CACHE


@pytest.mark.parametrize("code", [0x10, 0x70, 0xE0, 0xE7])
def test_commands_that_only_succeed(code: int) -> None:
    channel = Channel()
    assert (channel.command(code), channel.level) == (READY, True)


@pytest.mark.parametrize("code", [0x00, 0x08, 0x24, 0xA0, 0xA1, 0xC8, 0xFF])
def test_commands_that_a_disk_without_dma_refuses(code: int) -> None:
    channel = Channel()
    assert (channel.command(code), channel.registers[0], channel.level) == (READY | FAILED, 0x04, True)


@pytest.mark.parametrize(
    ("feature", "count", "well"), [(0x03, 0x0C, True), (0x03, 0x20, False), (0x02, 0, True), (0x85, 0, False)]
)
def test_features(feature: int, count: int, well: bool) -> None:
    channel = Channel()
    channel.out(1, feature)
    assert (channel.command(0xEF, count=count) == READY) is well


def test_check_power_and_diagnose() -> None:
    channel = Channel()
    channel.command(0xE5)
    assert channel.registers[1] == 0xFF
    channel.out(6, 0xB0)
    channel.out(7, 0x90)  # both obey, and the one that is there answers
    assert (channel.alternate, channel.registers) == (READY, [1, 1, 1, 0, 0, 0xA0])


def test_the_interrupt_can_be_held_back() -> None:
    channel = Channel()
    channel.out(8, 0x02)
    channel.command(0x20)
    assert not channel.level
    channel.out(8, 0x00)
    assert channel.level
    channel.out(6, 0xB0)
    assert not channel.level
    channel.out(6, 0xA0)
    assert channel.level


@pytest.mark.parametrize("sectors", [1, 62, 63, 64, 1007, 1008, 1 << 20, (1 << 28) - 1])
def test_the_geometry_never_reaches_beyond_the_disk(sectors: int) -> None:
    shape = geometry(sectors)
    assert 0 < shape.capacity <= sectors
    assert shape.heads <= 16
    assert shape.sectors <= 63


accesses = st.lists(
    st.one_of(
        st.tuples(st.just("out"), st.integers(0, 8), st.integers(0, 0xFF)),
        st.tuples(st.just("in"), st.integers(0, 8), st.just(0)),
        st.tuples(st.just("command"), st.sampled_from([0x20, 0x30, 0xC4, 0xC5, 0xC6, 0xEC]), st.integers(0, 2100)),
        st.tuples(st.sampled_from(["take", "give"]), st.integers(1, 600), st.integers(0, 0xFF)),
    ),
    max_size=30,
)


def drive(channel: Channel, script: list[tuple[str, int, int]]) -> list[object]:
    seen: list[object] = []
    for what, one, other in script:
        match what:
            case "out":
                channel.out(one, other)
            case "in":
                seen.append(channel.at(one))
            case "command":
                seen.append(channel.command(one, other, 4))
            case "take":
                seen.append(channel.take(one * 2))
            case _:
                channel.give(bytes([other]) * 2 * one)
        seen.append(channel.level)
    return seen


@given(accesses, accesses)
def test_a_restored_disk_goes_on_as_the_saved_one(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    """And nothing that a guest writes to the registers breaks it."""
    channel, copy = Channel(), Channel()
    drive(channel, before)
    copy.image.load_frames(channel.image.take_frames())
    copy.ata.load(json.loads(json.dumps(channel.ata.save())))
    copy.level = channel.level
    assert drive(copy, after) == drive(channel, after)
    assert copy.ata.save() == channel.ata.save()
