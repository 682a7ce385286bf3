"""Whether an initrd is all there, as far as its format shows it.

The kernel takes any number of parts, one behind another with zeros between: cpio archives (format newc) and compressed
ones. A part is known to be cut off if it ends before its own end mark. Pure; nothing is unpacked to memory for long.
Source: Linux, Documentation/driver-api/early-userspace/buffer-format.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol

NEWC: Final = (b"070701", b"070702")
HEADER: Final = 110
SIZE_AT, NAME_SIZE_AT = 54, 94
LAST: Final = b"TRAILER!!!\0"


class _Decompressor(Protocol):
    """What the decompressors of the standard library have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


COMPRESSED: Final[Mapping[bytes, Callable[[], _Decompressor]]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
}
"""By how a part begins. Others (lzo, lz4, zstd, lzma of old) are not looked into."""


def cut_off(data: bytes) -> bool:
    """Whether the last part ends too early. What is in no known format may be complete."""
    at = _skip_zeros(data, 0)
    while at < len(data):
        if data.startswith(NEWC, at):
            end = _end_of_archive(data, at)
        else:
            make = next((make for magic, make in COMPRESSED.items() if data.startswith(magic, at)), None)
            if make is None:
                return False
            end = _end_of_stream(data, at, make())
        if end is None:
            return True
        at = _skip_zeros(data, end)
    return False


def _skip_zeros(data: bytes, at: int) -> int:
    return at + len(data[at:]) - len(data[at:].lstrip(b"\0"))


def _end_of_archive(data: bytes, start: int) -> int | None:
    """Behind the archive's last entry; None if it has none."""
    at = start
    while data.startswith(NEWC, at) and at + HEADER <= len(data):
        try:
            size = int(data[at + SIZE_AT : at + SIZE_AT + 8], 16)
            name_size = int(data[at + NAME_SIZE_AT : at + NAME_SIZE_AT + 8], 16)
        except ValueError:
            return len(data)  # no header after all: the kernel will say so
        if data[at + HEADER : at + HEADER + name_size] == LAST:
            return at + HEADER + name_size
        at += _padded(HEADER + name_size) + _padded(size)
    return None if at + HEADER > len(data) else len(data)


def _end_of_stream(data: bytes, start: int, decompressor: _Decompressor) -> int | None:
    piece, at = 1 << 16, start
    try:
        while at < len(data) and not decompressor.eof:
            decompressor.decompress(data[at : at + piece])
            at += piece
    except (zlib.error, lzma.LZMAError, OSError):
        return len(data)  # damaged, not cut off: the kernel will say so
    return min(at, len(data)) - len(decompressor.unused_data) if decompressor.eof else None


def _padded(size: int) -> int:
    return -(-size // 4) * 4
