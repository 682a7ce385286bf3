"""The sectors of a disk: what its file holds, and over it what the guest has written. The file itself never changes.

Both are cut into pages of the size of a page frame. A checkpoint keeps the pages that were written as frames behind
all physical addresses, so that whatever stores, thins, compares or seeks frames of memory does the same with the disk.
Such a frame holds the *difference* (exclusive or) from the file: a page of zeros is one that is as in the file.
"""

from typing import Final

from pvtrace.model.errors import InputError
from pvtrace.model.snapshot import PAGE

SECTOR: Final = 512
FIRST_FRAME: Final = 1 << 32 >> 12
"""The frame that the disk's first page is kept as: the first one that no 32-bit physical address reaches."""


LARGEST: Final = 768 << 20
"""Bytes. A recording holds the whole disk, in one row of its file, which cannot be larger than 10^9 bytes."""


def check(name: str, size: int) -> None:
    """Raises InputError for a file of `size` bytes that cannot be a disk."""
    if size == 0:
        raise InputError(f"disk {name} is empty")
    if size % SECTOR:
        raise InputError(f"disk {name} has {size:,} bytes, which are no whole sectors of {SECTOR}: is it truncated?")
    if size > LARGEST:
        raise InputError(
            f"disk {name} has {size:,} bytes; a recording holds the whole disk, and the most is {LARGEST:,}"
        )


class DiskImage:
    """`original`: whole sectors, the content of the disk's file."""

    def __init__(self, original: bytes) -> None:
        self._original = original
        self._written: dict[int, bytearray] = {}  # by page, whole
        self._changed: set[int] = set()  # pages written since `take_frames`

    @property
    def sectors(self) -> int:
        return len(self._original) // SECTOR

    def read(self, sector: int) -> bytes:
        """The bytes of a sector that exists."""
        page, at = divmod(sector * SECTOR, PAGE)
        written = self._written.get(page)
        if written is not None:
            return bytes(written[at : at + SECTOR])
        return self._original[page * PAGE + at :][:SECTOR]

    def write(self, sector: int, data: bytes) -> None:
        """Store the bytes of a whole sector that exists."""
        page, at = divmod(sector * SECTOR, PAGE)
        if page not in self._written:
            self._written[page] = bytearray(self._from_file(page))
        self._written[page][at : at + SECTOR] = data
        self._changed.add(page)

    def take_frames(self) -> dict[int, bytes]:
        """The pages written since this was last asked, as frames."""
        changed, self._changed = sorted(self._changed), set()
        return {FIRST_FRAME + page: self.frame(FIRST_FRAME + page) for page in changed}

    def frame(self, frame: int) -> bytes:
        """A page as a frame."""
        page = frame - FIRST_FRAME
        written = self._written.get(page)
        return bytes(PAGE) if written is None else _exclusive_or(written, self._from_file(page))

    def load_frames(self, frames: dict[int, bytes]) -> None:
        """Put pages back, which counts as writing them; those that are not named stay as they are."""
        for frame, difference in frames.items():
            page = frame - FIRST_FRAME
            self._changed.add(page)
            if any(difference):
                self._written[page] = bytearray(_exclusive_or(difference, self._from_file(page)))
            else:
                self._written.pop(page, None)

    def _from_file(self, page: int) -> bytes:
        """A page as it was; zeros behind the last sector."""
        return self._original[page * PAGE : (page + 1) * PAGE].ljust(PAGE, b"\0")


def _exclusive_or(one: bytes | bytearray, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).to_bytes(PAGE, "little")
