"""What an ATA disk says of itself: IDENTIFY DEVICE, and the geometry by which old software counts sectors. Pure.

Source: ATA/ATAPI-5 (T13/1321D), 8.12.
"""

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

MOST_SECTORS: Final = (1 << 28) - 1
"""What 28 bits can count (ATA/ATAPI-5, 6.2)."""

MOST_MULTIPLE: Final = 16
"""Sectors in a block of READ and WRITE MULTIPLE, at most."""

SERIAL, FIRMWARE, MODEL = "PVTRACE-1", "1", "PVTRACE DISK"
MOST_CYLINDERS: Final = 16383


class Geometry(NamedTuple):
    cylinders: int
    heads: int
    sectors: int

    @property
    def capacity(self) -> int:
        """Sectors that it reaches."""
        return self.cylinders * self.heads * self.sectors


def geometry(sectors: int) -> Geometry:
    """The default translation: 16 heads and 63 sectors in a track, or one short track for a disk smaller than that."""
    if sectors < 16 * 63:
        return Geometry(1, 1, min(sectors, 63)) if sectors <= 63 else Geometry(sectors // 63, 1, 63)
    return Geometry(min(sectors // (16 * 63), MOST_CYLINDERS), 16, 63)


def identity(sectors: int, current: Geometry, multiple: int) -> bytes:
    """The 512 bytes. `current`: the translation in use; `multiple`: sectors in a block, 0 if none was set."""
    default = geometry(sectors)
    words: Mapping[int, int] = {
        0: 0x0040,  # fixed disk
        1: default.cylinders,
        3: default.heads,
        6: default.sectors,
        47: 0x8000 | MOST_MULTIPLE,
        48: 1,  # the data register may be read in doublewords
        49: 0x0200,  # LBA; no DMA
        51: 0x0200,  # PIO mode 2 without flow control
        53: 0x0003,  # words 54-58 and 64-70 are valid
        54: current.cylinders,
        55: current.heads,
        56: current.sectors,
        57: current.capacity & 0xFFFF,
        58: current.capacity >> 16,
        59: 0x0100 | multiple if multiple else 0,
        60: sectors & 0xFFFF,
        61: sectors >> 16,
        64: 0x0003,  # PIO modes 3 and 4
        67: 120,  # nanoseconds of a PIO cycle without flow control
        68: 120,
        80: 0x003E,  # ATA-1 to ATA/ATAPI-5
        82: 0x0020,  # a write cache can be switched
        83: 0x5000,  # FLUSH CACHE
        84: 0x4000,
        85: 0x0020,
        86: 0x1000,
        87: 0x4000,
    }
    raw = bytearray(struct.pack("<256H", *(words.get(at, 0) for at in range(256))))
    for word, size, text in ((10, 20, SERIAL), (23, 8, FIRMWARE), (27, 40, MODEL)):
        raw[2 * word : 2 * word + size] = _text(text, size)
    return bytes(raw)


def _text(text: str, size: int) -> bytes:
    """Padded with spaces; the first character of two is the upper byte of its word."""
    padded = text.ljust(size).encode("ascii")
    return bytes(padded[at ^ 1] for at in range(size))
