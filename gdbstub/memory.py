"""Packets that read, write and look through memory: m, M, X, qCRC, qSearch."""

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gdbstub.actions import Work
from gdbstub.arguments import data, number, numbers
from gdbstub.errors import FAULT, INVALID, ProtocolError
from gdbstub.packet import LONGEST
from gdbstub.target import Interrupted, Target

if TYPE_CHECKING:
    from gdbstub.session import Session

_CHUNK: Final = 0x10000
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the other order."""


def read(session: "Session", arguments: bytes) -> bytes:
    """May give less than was asked for; an error if there is nothing at all."""
    address, size = numbers(arguments, 2)
    found = session.target.read_memory(address, min(size, LONGEST // 2 - 64)) if size else b""
    if size and not found:
        raise ProtocolError(FAULT)
    return found.hex().encode()


def write(session: "Session", arguments: bytes) -> bytes:
    place, _, text = arguments.partition(b":")
    return _write(session, place, data(text))


def write_binary(session: "Session", arguments: bytes) -> bytes:
    place, _, content = arguments.partition(b":")
    return _write(session, place, content)


def _write(session: "Session", place: bytes, content: bytes) -> bytes:
    address, size = numbers(place, 2)
    if len(content) != size:
        raise ProtocolError(INVALID)
    if size:  # gdb asks whether X is known by writing nothing
        session.target.write_memory(address, content)
    return b"OK"


def _chunks(target: Target, address: int, size: int, interrupted: Interrupted) -> Iterator[bytes]:
    """All of it, or ProtocolError for a hole."""
    while size > 0:
        if interrupted():
            raise ProtocolError(INVALID, "interrupted")
        chunk = target.read_memory(address, min(size, _CHUNK))
        if not chunk:
            raise ProtocolError(FAULT)
        yield chunk
        address += len(chunk)
        size -= len(chunk)


def checksum(session: "Session", arguments: bytes) -> Work:
    address, size = numbers(arguments, 2)

    def work(interrupted: Interrupted) -> bytes:
        return b"C%x" % crc(_chunks(session.target, address, size, interrupted))

    return Work(work)


def crc(chunks: Iterator[bytes]) -> int:
    """gdb's CRC-32: polynomial 04C11DB7h, most significant bit first, from all ones, not inverted at the end. That is
    zlib's with all bits in the other order."""
    value = 0
    for chunk in chunks:
        value = zlib.crc32(chunk.translate(_REVERSED), value)
    return int(f"{value ^ 0xFFFFFFFF:032b}"[::-1], 2)


def search(session: "Session", arguments: bytes) -> Work:
    """qSearch:memory:ADDRESS;LENGTH;PATTERN"""
    kind, _, rest = arguments.partition(b":")
    parts = rest.split(b";", 2)
    if kind != b"memory" or len(parts) != 3 or not parts[2]:
        raise ProtocolError(INVALID)
    address, size, pattern = number(parts[0]), number(parts[1]), parts[2]

    def work(interrupted: Interrupted) -> bytes:
        found = _find(_chunks(session.target, address, size, interrupted), pattern)
        return b"0" if found is None else b"1,%x" % (address + found)

    return Work(work)


def _find(chunks: Iterator[bytes], pattern: bytes) -> int | None:
    """Offset of the first occurrence, also across chunks."""
    tail, before = b"", 0
    for chunk in chunks:
        window = tail + chunk
        at = window.find(pattern)
        if at >= 0:
            return before + at
        keep = min(len(window), len(pattern) - 1)
        tail = window[len(window) - keep :]
        before += len(window) - keep
    return None
