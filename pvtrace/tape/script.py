"""What is typed by itself: texts, each when the console has shown what it waits for.

It decides by what the guest has said and by nothing else, so that a script types the same into a slow guest as into a
fast one, at the same steps. What it types is recorded like what a person types.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pvtrace.model.errors import UsageError
from pvtrace.tape.live import Keyboard

ARROW: Final = "=>"
REMEMBERED: Final = 1 << 16
"""Bytes of the console in which a text is looked for; it must not begin before them."""

_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "e": "\x1b", "0": "\0", "\\": "\\"}


class Line(NamedTuple):
    """Type `text` once the console has shown `wait` (empty: at once) since the line before was typed."""

    wait: bytes
    text: bytes


def parse(line: str) -> Line:
    """'TEXT', or 'WAIT=>TEXT' for one that waits; both with the escapes of C.

    A text that holds an arrow begins with one. Raises UsageError.
    """
    wait, arrow, text = line.partition(ARROW)
    if not arrow:
        wait, text = "", line
    if not text:
        raise UsageError(f"--type {line!r} types nothing")
    return Line(unescaped(wait), unescaped(text))


def unescaped(text: str) -> bytes:
    r"""\n, \r, \t, \e, \0, \\ and \xNN stand for one byte each; everything else is UTF-8. Raises UsageError."""
    parts, at = [], 0
    for found in _ESCAPE.finditer(text):
        name = found[1]
        parts.append(text[at : found.start()].encode())
        if name[:1] == "x" and len(name) == 3:
            parts.append(bytes([int(name[1:], 16)]))
        elif name in _ESCAPES:
            parts.append(_ESCAPES[name].encode())
        else:
            raise UsageError(rf"{found[0]!r} is no escape; there are \n \r \t \e \0 \\ \xNN")
        at = found.end()
    return b"".join([*parts, text[at:].encode()])


class Heard:
    """Finds a text in a stream of bytes, as soon as its last byte has come."""

    def __init__(self) -> None:
        self._said = bytearray()

    def byte(self, byte: int) -> None:
        self._said.append(byte)
        if len(self._said) > 2 * REMEMBERED:
            del self._said[:-REMEMBERED]

    def ends_with(self, text: bytes) -> bool:
        return self._said.endswith(text)

    def pass_by(self, text: bytes) -> bool:
        """Whether it was said; everything up to its end, or to where it may still begin, is forgotten.

        So to ask again, at each exit, for what was not said yet costs nothing. Ask for nothing else before it was.
        """
        at = self._said.find(text)
        passed = at + len(text) if at >= 0 else max(0, len(self._said) - len(text) + 1)
        del self._said[:passed]
        return at >= 0


class Script:
    """Satisfies tape.live.Keyboard: the lines of a script, in their order. `heard`: to be told of each console byte."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = list(lines)
        self._console = Heard()
        self._ready = False
        self.heard = self._console.byte

    @property
    def open(self) -> bool:
        return bool(self._lines)

    @property
    def left(self) -> tuple[Line, ...]:
        """What has not been typed."""
        return tuple(self._lines)

    scripted = True

    def wait(self, seconds: float | None) -> bool:
        """Whether a line is ready; nothing that waiting could change, as it is the guest that decides."""
        del seconds
        self._ready = self._ready or (bool(self._lines) and self._console.pass_by(self._lines[0].wait))
        return self._ready

    def read(self) -> bytes:
        if not self.wait(0):
            return b""
        self._ready = False
        return self._lines.pop(0).text


class Either:
    """Satisfies tape.live.Keyboard: a script, and somebody else who may type all the same."""

    def __init__(self, script: Script, other: Keyboard) -> None:
        self._script = script
        self._other = other

    @property
    def open(self) -> bool:
        return self._script.open or self._other.open

    @property
    def scripted(self) -> bool:
        return not self._other.open or self._other.scripted

    def wait(self, seconds: float | None) -> bool:
        return self._script.wait(0) or (self._other.open and self._other.wait(seconds))

    def read(self) -> bytes:
        return self._script.read() or (self._other.read() if self._other.open else b"")
