"""Host I/O for reading (gdb manual E.7): the vFile packets, served from bytes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gdbstub.errors import ProtocolError
from gdbstub.target import Files

ENOENT, EBADF, EINVAL, EROFS, EMFILE = 2, 9, 22, 30, 24
"""Numbers of the File-I/O protocol (gdb manual E.13.8.3)."""

_ACCESS_MODE, _WRITES = 3, 0x8 | 0x200 | 0x400
_REGULAR_FILE: Final = 0o100444
_MOST_OPEN: Final = 64


def result(value: int, data: bytes | None = None) -> bytes:
    return b"F%x" % value + (b"" if data is None else b";" + data)


def failure(errno: int) -> bytes:
    return b"F-1,%x" % errno


@dataclass(slots=True)
class OpenFiles:
    """The files that one client has open."""

    files: Files
    most: int
    _open: dict[int, bytes] = field(default_factory=dict)
    _next: int = 3

    def answer(self, packet: bytes) -> bytes:
        """The reply to a packet without `vFile:`; an empty one for an operation that is not known.

        `most` bytes of data at most go into one reply.
        """
        name, _, arguments = packet.partition(b":")
        operation = self._operations().get(name)
        if operation is None:
            return b""
        try:
            return operation(arguments.split(b","))
        except (ValueError, IndexError, ProtocolError):
            return failure(EINVAL)

    def _operations(self) -> dict[bytes, Callable[[list[bytes]], bytes]]:
        return {
            b"setfs": lambda _: result(0),
            b"open": self._open_file,
            b"close": self._close,
            b"pread": self._read,
            b"fstat": self._stat,
            b"pwrite": lambda _: failure(EROFS),
            b"unlink": lambda _: failure(EROFS),
            b"readlink": lambda _: failure(EINVAL),
        }

    def _open_file(self, arguments: list[bytes]) -> bytes:
        name = bytes.fromhex(arguments[0].decode("ascii")).decode("utf-8", "surrogateescape")
        flags = int(arguments[1], 16)
        content = self.files.content(name)
        if content is None:
            return failure(ENOENT)
        if flags & _ACCESS_MODE or flags & _WRITES:
            return failure(EROFS)
        if len(self._open) >= _MOST_OPEN:
            return failure(EMFILE)
        number, self._next = self._next, self._next + 1
        self._open[number] = content
        return result(number)

    def _close(self, arguments: list[bytes]) -> bytes:
        return failure(EBADF) if self._open.pop(int(arguments[0], 16), None) is None else result(0)

    def _read(self, arguments: list[bytes]) -> bytes:
        number, count, offset = (int(argument, 16) for argument in arguments)
        content = self._open.get(number)
        if content is None:
            return failure(EBADF)
        if count < 0 or offset < 0:
            return failure(EINVAL)
        data = content[offset : offset + min(count, self.most)]
        return result(len(data), data)

    def _stat(self, arguments: list[bytes]) -> bytes:
        content = self._open.get(int(arguments[0], 16))
        if content is None:
            return failure(EBADF)
        return result(64, _stat(len(content)))


def _stat(size: int) -> bytes:
    """struct stat of the protocol, big-endian: dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks, times."""
    words = (0, 0, _REGULAR_FILE, 1, 0, 0, 0)
    head = b"".join(word.to_bytes(4, "big") for word in words)
    longs = b"".join(value.to_bytes(8, "big") for value in (size, 512, -(-size // 512)))
    return head + longs + bytes(12)
