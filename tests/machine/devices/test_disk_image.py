"""A disk's sectors: what the file holds, what was written over it, and both as frames of a checkpoint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.disk_image import FIRST_FRAME, LARGEST, SECTOR, DiskImage, check
from pvtrace.model.errors import InputError
from pvtrace.model.snapshot import PAGE

SECTORS = 21
"""The last page of the disk is not whole."""

ORIGINAL = bytes(at * 7 % 251 for at in range(SECTORS * SECTOR))

writes = st.lists(st.tuples(st.integers(0, SECTORS - 1), st.integers(0, 255)), max_size=30)


def content(image: DiskImage) -> bytes:
    return b"".join(image.read(sector) for sector in range(image.sectors))


@given(writes)
def test_reads_what_was_written_last(script: list[tuple[int, int]]) -> None:
    image, expected = DiskImage(ORIGINAL), bytearray(ORIGINAL)
    for sector, value in script:
        image.write(sector, bytes([value]) * SECTOR)
        expected[sector * SECTOR : (sector + 1) * SECTOR] = bytes([value]) * SECTOR
    assert content(image) == expected
    assert content(DiskImage(ORIGINAL)) == ORIGINAL


@given(writes, writes)
def test_frames_bring_another_disk_to_the_same_state(
    before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    """Whatever the other one has done meanwhile, if it is told all frames that either has written."""
    image, other = DiskImage(ORIGINAL), DiskImage(ORIGINAL)
    for sector, value in before:
        image.write(sector, bytes([value]) * SECTOR)
    for sector, value in after:
        other.write(sector, bytes([value]) * SECTOR)
    frames = image.take_frames()
    elsewhere = dict.fromkeys(other.take_frames().keys() - frames.keys(), bytes(PAGE))
    other.load_frames({**frames, **elsewhere})
    assert content(other) == content(image)
    assert {frame: data for frame, data in other.take_frames().items() if any(data)} == {
        frame: data for frame, data in frames.items() if any(data)
    }


def test_only_what_was_written_since_is_taken() -> None:
    image = DiskImage(ORIGINAL)
    assert image.take_frames() == {}
    image.write(9, bytes(SECTOR))
    assert image.take_frames().keys() == {FIRST_FRAME + 1}
    assert image.take_frames() == {}


def test_a_sector_written_as_it_was_is_no_difference() -> None:
    image = DiskImage(ORIGINAL)
    image.write(20, image.read(20))
    assert image.take_frames() == {FIRST_FRAME + 2: bytes(PAGE)}


@pytest.mark.parametrize(
    ("size", "words"), [(0, "empty"), (SECTOR - 1, "truncated"), (1000, "1,000 bytes"), (LARGEST + SECTOR, "the most")]
)
def test_what_is_no_disk(size: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check("disk.img", size)


@pytest.mark.parametrize("size", [SECTOR, LARGEST])
def test_what_is_one(size: int) -> None:
    check("disk.img", size)
