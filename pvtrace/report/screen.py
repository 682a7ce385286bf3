"""The text screen of a PC as text, plain or in the colours of a terminal. Pure.

A cell is two bytes: the character in code page 437, and its attribute: foreground in bits 0-3, background in bits 4-6
(bit 7 blinks, which is not shown). Source: IBM VGA technical reference.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

COLUMNS: Final = 80
ROWS: Final = 25
ADDRESS: Final = 0xB8000
SIZE: Final = 2 * COLUMNS * ROWS
"""Bytes of the screen from physical ADDRESS on."""

_GRAPHIC: Final = "\0☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
"""What the adapter shows for the codes below 20h."""

_CHARACTERS: Final = (
    " " + _GRAPHIC[1:] + bytes(range(0x20, 0x7F)).decode("ascii") + "⌂" + bytes(range(0x80, 0x100)).decode("cp437")
)
_ANSI: Final = (0, 4, 2, 6, 1, 5, 3, 7)
"""A colour's number on a terminal: there red is 1 and blue 4."""

PLAIN: Final = "\x1b[0m"


def rows(memory: bytes) -> list[str]:
    """The lines of the screen, without the spaces at their ends."""
    return ["".join(_CHARACTERS[code] for code in line[::2]).rstrip() for line in _lines(memory)]


def coloured(memory: bytes) -> list[str]:
    """The lines of the screen for a terminal of ANSI colours, in full length."""
    return ["".join(_runs(line)) + PLAIN for line in _lines(memory)]


def _lines(memory: bytes) -> Iterator[bytes]:
    for row in range(ROWS):
        yield memory[2 * COLUMNS * row : 2 * COLUMNS * (row + 1)]


def _runs(line: bytes) -> Iterator[str]:
    cells = zip(line[1::2], line[::2], strict=True)
    for attribute, run in groupby(cells, key=lambda cell: cell[0]):
        yield _colour(attribute) + "".join(_CHARACTERS[code] for _, code in run)


def _colour(attribute: int) -> str:
    bright = 90 if attribute & 8 else 30
    return f"\x1b[0;{bright + _ANSI[attribute & 7]};{40 + _ANSI[attribute >> 4 & 7]}m"
