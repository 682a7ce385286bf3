"""Styled text as frozen values: what panes give and the terminal shows. Pure; knows no terminal.

A cell of the terminal is the unit of width: wide letters take two, combining ones none.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from unicodedata import combining, east_asian_width

from pvtrace.tui.messages import Message
from pvtrace.tui.roles import Role


class Span(NamedTuple):
    """`on`: the ground it stands on. `link`: what a click on it says."""

    text: str
    role: Role = Role.PLAIN
    on: Role | None = None
    link: Message | None = None


Line = tuple[Span, ...]
Lines = Sequence[Line]

EMPTY: Final[Line] = ()


class Size(NamedTuple):
    width: int
    height: int


def line(*parts: Span | str) -> Line:
    """A line from spans and plain text."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def cells(text: str) -> int:
    """How wide it is on a terminal."""
    return len(text) if text.isascii() else _counted(text)


@lru_cache(maxsize=16384)
def _counted(text: str) -> int:
    return sum(map(_cells, text))


def _cells(letter: str) -> int:
    return 2 if east_asian_width(letter) in "WF" else 0 if combining(letter) else 1


def width(of: Line) -> int:
    return sum(cells(span.text) for span in of)


def cut(text: str, room: int) -> str:
    """As much of it as there is room for; if that leaves out more than spaces, it ends in an ellipsis."""
    if cells(text) <= room:
        return text
    bare = text.rstrip()
    if cells(bare) <= room:
        return bare + " " * (room - cells(bare))
    if room < 1:
        return ""
    taken, used = [], 0
    for letter in text:
        used += _cells(letter)
        if used > room - 1:
            break
        taken.append(letter)
    return "".join(taken) + "…"


def fit(of: Line, room: int, on: Role | None = None) -> Line:
    """Exactly `room` cells wide: cut, or filled up on the ground of its last span. With `on`, all of it that has no
    ground of its own stands on it."""
    fitted: list[Span] = []
    left = room
    for span in of:
        text, role, ground, link = span
        wide = cells(text)
        if wide > left:
            text = cut(text, left)
            fitted.append(Span(text, role, ground or on, link))
            left -= cells(text)
            break
        fitted.append(span if on is None or ground else Span(text, role, on, link))
        left -= wide
    if left > 0:
        fitted.append(Span(" " * left, Role.PLAIN, (of[-1].on if of else None) or on))
    return tuple(fitted)


def block(lines: Iterable[Line], size: Size) -> list[Line]:
    """Exactly as many lines, each exactly as wide, as `size` says."""
    fitted = [fit(item, size.width) for item, _ in zip(lines, range(size.height), strict=False)]
    return fitted + [fit(EMPTY, size.width)] * (size.height - len(fitted))


def linked(of: Line, link: Message) -> Line:
    """A click anywhere on it says this."""
    return tuple(span if span.link else span._replace(link=link) for span in of)


def text(of: Line) -> str:
    """Without styles and without spaces at its end."""
    return "".join(span.text for span in of).rstrip()
