"""Framing: `$payload#checksum`, acknowledgements, escapes and run lengths (gdb manual E.1). Bytes, and no meaning.

`Reader` may be fed in pieces of any size: what it finds does not depend on where the pieces are cut.
"""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Final

from gdbstub.errors import INVALID, ProtocolError

START, END, ESCAPE, REPEAT = b"$"[0], b"#"[0], b"}"[0], b"*"[0]
INTERRUPT: Final = 0x03
FLIP: Final = 0x20
"""An escaped byte is sent exclusive-or this."""

LONGEST: Final = 0x10000
"""Bytes of the longest payload, before unescaping, that is taken; told to gdb as PacketSize."""

_ESCAPED: Final = frozenset((START, END, ESCAPE, REPEAT))
_SHORTEST_RUN, _LONGEST_RUN, _RUN_BASE = 3, 97, 29
_FORBIDDEN_COUNTS: Final = frozenset((START, END, *b"+-"))


@dataclass(frozen=True, slots=True)
class Packet:
    """A complete packet whose checksum is right; `payload` is unescaped."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Damaged:
    """A packet with a wrong checksum, or a malformed one."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A packet longer than LONGEST; its content is gone."""


@dataclass(frozen=True, slots=True)
class Ack:
    """`+`"""


@dataclass(frozen=True, slots=True)
class Nack:
    """`-`: send the last packet again."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Ctrl-C."""


Incoming = Packet | Damaged | Overlong | Ack | Nack | Interrupt


def checksum(body: bytes) -> int:
    return sum(body) & 0xFF


def escape(payload: bytes) -> bytes:
    """Bytes that have a meaning in the framing are escaped."""
    if not _ESCAPED.intersection(payload):
        return payload
    return b"".join(bytes((ESCAPE, byte ^ FLIP)) if byte in _ESCAPED else bytes((byte,)) for byte in payload)


def unescape(body: bytes) -> bytes:
    """The inverse. Raises ProtocolError for an escape at the end."""
    if ESCAPE not in body:
        return body
    out = bytearray()
    rest = iter(body)
    for byte in rest:
        if byte == ESCAPE:
            following = next(rest, None)
            if following is None:
                raise ProtocolError(INVALID, "a packet ends in the middle of an escape")
            out.append(following ^ FLIP)
        else:
            out.append(byte)
    return bytes(out)


_UNITS: Final = re.compile(rb"}.|(.)\1{3,}", re.DOTALL)
"""An escape, which is left alone, or four equal bytes and more."""


def compress(body: bytes) -> bytes:
    """Run-length encode an escaped body: `0* ` is four zeros. Never inside an escape."""
    return _UNITS.sub(lambda unit: unit[0] if unit[1] is None else _run(unit[1], len(unit[0])), body)


def _run(byte: bytes, times: int) -> bytes:
    out = bytearray()
    while times > 0:
        out += byte
        times -= 1
        more = min(times, _LONGEST_RUN)
        while more >= _SHORTEST_RUN and more + _RUN_BASE in _FORBIDDEN_COUNTS:
            more -= 1
        if more >= _SHORTEST_RUN:
            out += bytes((REPEAT, more + _RUN_BASE))
            times -= more
    return bytes(out)


def expand(body: bytes) -> bytes:
    """The inverse of `compress`. Raises ProtocolError for a run of nothing or of no length."""
    out = bytearray()
    rest = iter(body)
    for byte in rest:
        if byte == ESCAPE:
            out.append(byte)
            out += bytes(islice(rest, 1))
        elif byte == REPEAT:
            count = next(rest, 0) - _RUN_BASE
            if not out or count < 1:
                raise ProtocolError(INVALID, "a packet repeats nothing")
            out += out[-1:] * count
        else:
            out.append(byte)
    return bytes(out)


def encode(payload: bytes, compressed: bool = False) -> bytes:
    """A packet for the wire. Replies may be `compressed` by run lengths, requests may not."""
    body = escape(payload)
    if compressed:
        body = compress(body)
    return b"$%b#%02x" % (body, checksum(body))


def decode(frame: bytes) -> bytes:
    """The payload of exactly one packet, also of a compressed one. Raises ProtocolError."""
    if len(frame) < 4 or frame[0] != START or frame[-3] != END:
        raise ProtocolError(INVALID, "this is not one packet")
    body = frame[1:-3]
    try:
        right = int(frame[-2:], 16) == checksum(body)
    except ValueError:
        right = False
    if not right or START in body or END in body:
        raise ProtocolError(INVALID, "the checksum of a packet is wrong")
    return unescape(expand(body))


class Reader:
    """Finds packets in a stream of bytes. What is between packets and has no meaning is skipped."""

    def __init__(self) -> None:
        self._body: bytearray | None = None
        self._too_long = False
        self._digits = b""
        self._ended = False

    def feed(self, data: bytes) -> list[Incoming]:
        """What the bytes complete, in order."""
        found: list[Incoming] = []
        at = 0
        while at < len(data):
            if self._ended:
                self._digits += data[at : at + 1]
                at += 1
                if len(self._digits) == 2:
                    found.append(self._complete())
            elif self._body is not None:
                at = self._inside(data, at)
            else:
                item = self._outside(data[at])
                at += 1
                if item is not None:
                    found.append(item)
        return found

    def _outside(self, byte: int) -> Incoming | None:
        if byte == START:
            self._body, self._too_long = bytearray(), False
        elif byte == INTERRUPT:
            return Interrupt()
        elif byte == b"+"[0]:
            return Ack()
        elif byte == b"-"[0]:
            return Nack()
        return None

    def _inside(self, data: bytes, at: int) -> int:
        """Take bytes of the body up to its end, or up to the start of a new packet; returns where to go on."""
        assert self._body is not None
        ends = [end for end in (data.find(b"#", at), data.find(b"$", at)) if end >= 0]
        end = min(ends, default=len(data))
        room = LONGEST - len(self._body)
        if end - at > room:
            self._too_long = True
        self._body += data[at : min(end, at + max(room, 0))]
        if end < len(data):
            if data[end] == END:
                self._ended, self._digits = True, b""
            else:
                self._body, self._too_long = bytearray(), False
            end += 1
        return end

    def _complete(self) -> Incoming:
        assert self._body is not None
        body, self._body, self._ended = bytes(self._body), None, False
        if self._too_long:
            return Overlong()
        try:
            if int(self._digits, 16) != checksum(body):
                return Damaged()
            return Packet(unescape(body))
        except (ValueError, ProtocolError):
            return Damaged()
