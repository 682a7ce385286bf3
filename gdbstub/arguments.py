"""The arguments of packets: hexadecimal numbers and data, addresses with lengths, threads. Pure."""

import re
from typing import Final

from gdbstub.errors import INVALID, ProtocolError

_NUMBER: Final = re.compile(rb"[0-9a-fA-F]{1,16}")

THREAD: Final = 1
"""The number of the only thread, and of its process."""


def number(text: bytes) -> int:
    """Hexadecimal, at most 64 bits. Raises ProtocolError."""
    if _NUMBER.fullmatch(text) is None:
        raise ProtocolError(INVALID)
    return int(text, 16)


def numbers(text: bytes, count: int, separator: bytes = b",") -> tuple[int, ...]:
    """Exactly `count` of them."""
    parts = text.split(separator)
    if len(parts) != count:
        raise ProtocolError(INVALID)
    return tuple(number(part) for part in parts)


def data(text: bytes) -> bytes:
    """Two hexadecimal digits for each byte."""
    if len(text) % 2 or re.fullmatch(rb"[0-9a-fA-F]*", text) is None:
        raise ProtocolError(INVALID)
    return bytes.fromhex(text.decode("ascii"))


def is_our_thread(text: bytes) -> bool:
    """Whether a thread-id (`1`, `-1`, `0`, `p1.1`, `p1.-1`, `p1`) means the only thread. Raises ProtocolError."""
    match = re.fullmatch(rb"(?:p(-1|[0-9a-fA-F]{1,8})(?:\.(-1|[0-9a-fA-F]{1,8}))?)|(-1|[0-9a-fA-F]{1,8})", text)
    if match is None:
        raise ProtocolError(INVALID)
    named = [part for part in match.groups() if part is not None]
    return all(part == b"-1" or int(part, 16) in (0, THREAD) for part in named)
