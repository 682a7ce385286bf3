"""Where panes are on a terminal of a given size. Pure.

A layout is a tree of slots; a slot holds several panes, of which one is seen: the one that had the focus last. So each
pane can be reached on the smallest terminal, and a large one shows many at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pvtrace.tui.model import Model

SMALLEST: Final = (40, 10)
"""Cells, across and down; a smaller terminal shows a sentence instead."""

BARS: Final = 2
"""Lines that are no pane's: the one at the top and the one at the bottom."""


class Box(NamedTuple):
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Slot:
    """`lines`: of this height exactly, with its title; else it shares what is left by `weight`."""

    panes: tuple[str, ...]
    weight: int = 1
    lines: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One below the other."""

    parts: tuple["Part", ...]
    weight: int = 1
    lines: None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Side by side, with a line between."""

    parts: tuple["Part", ...]
    weight: int = 1
    lines: None = None


Part = Slot | Rows | Columns


class Placed(NamedTuple):
    """A slot on the screen: `panes` are its tabs, `seen` the one that is seen; `box` includes its title."""

    seen: str
    panes: tuple[str, ...]
    box: Box


def _small(height: int) -> Part:
    strip = Slot(("time",), lines=6 if height >= 22 else 4)
    return Rows(
        (
            strip,
            Slot(("events", "divergences"), 5),
            Columns(
                (Slot(("disassembly", "console", "screen"), 11), Slot(("registers", "detail", "stack", "memory"), 10)),
                5,
            ),
        )
    )


def _middle(height: int) -> Part:
    return Rows(
        (
            Slot(("time",), lines=8 if height >= 32 else 6),
            Columns(
                (
                    Rows((Slot(("events", "divergences"), 10), Slot(("disassembly", "screen"), 9)), 13),
                    Rows(
                        (
                            Slot(("detail",), 14),
                            Slot(("registers",), lines=10),
                            Slot(("stack", "memory", "console"), 6),
                        ),
                        10,
                    ),
                )
            ),
        )
    )


def _large(height: int) -> Part:
    return Rows(
        (
            Slot(("time",), lines=9 if height >= 40 else 7),
            Columns(
                (
                    Rows((Slot(("events",), 12), Slot(("detail", "divergences"), 9)), 11),
                    Rows((Slot(("disassembly",), 11), Slot(("console", "screen"), 7)), 9),
                    Rows(
                        (
                            Slot(("registers",), lines=18 if height >= 48 else 14),
                            Slot(("stack",), 6),
                            Slot(("memory",), 6),
                        ),
                        8,
                    ),
                )
            ),
        )
    )


def tree(width: int, height: int) -> Part:
    """The layout of a terminal of this size."""
    if width >= 160 and height >= 32:
        return _large(height)
    return _middle(height) if width >= 105 and height >= 26 else _small(height)


def placed(model: Model) -> tuple[Placed, ...]:
    """The slots on the screen, in reading order; one alone if it is zoomed or covers the others."""
    body = Box(0, 1, model.width, model.height - BARS)
    if model.over is not None:
        return (Placed(model.over, (model.over,), body),)
    part = pruned(tree(model.width, model.height), model.hidden)
    if part is None:
        return ()
    found = tuple(_placed(part, body, model))
    if model.zoomed:
        return tuple(slot._replace(box=body) for slot in found if model.focus in slot.panes)
    return found


def pruned(part: Part, hidden: frozenset[str]) -> Part | None:
    """Without the panes that are hidden; None if nothing is left."""
    match part:
        case Slot(panes, weight, lines):
            left = tuple(pane for pane in panes if pane not in hidden)
            return Slot(left, weight, lines) if left else None
        case Rows(parts, weight) | Columns(parts, weight):
            kept = tuple(found for item in parts if (found := pruned(item, hidden)) is not None)
            return type(part)(kept, weight) if kept else None


def _placed(part: Part, box: Box, model: Model) -> Iterator[Placed]:
    match part:
        case Slot(panes):
            yield Placed(_seen(panes, model), panes, box)
        case Rows(parts):
            top = box.top
            for item, height in zip(parts, shares(parts, box.height), strict=True):
                yield from _placed(item, Box(box.left, top, box.width, height), model)
                top += height
        case Columns(parts):
            left = box.left
            for item, width in zip(parts, shares(parts, box.width - len(parts) + 1), strict=True):
                yield from _placed(item, Box(left, box.top, width, box.height), model)
                left += width + 1


def _seen(panes: Sequence[str], model: Model) -> str:
    """The one that has the focus, or had it last; else the first."""
    if model.focus in panes:
        return model.focus
    return next((pane for pane in model.recent if pane in panes), panes[0])


def shares(parts: Sequence[Part], room: int) -> list[int]:
    """How `room` cells are divided: fixed ones first, the rest by weight, and nothing is lost by rounding."""
    fixed = [item.lines or 0 for item in parts]
    while sum(fixed) > room:
        fixed[fixed.index(max(fixed))] -= 1
    free = room - sum(fixed)
    total = sum(item.weight for item in parts if item.lines is None)
    if not total:
        return [size + (free if n == len(parts) - 1 else 0) for n, size in enumerate(fixed)]
    result, seen, given = [], 0, 0
    for item, size in zip(parts, fixed, strict=True):
        if item.lines is not None:
            result.append(size)
            continue
        seen += item.weight
        share = free * seen // total - given
        given += share
        result.append(share)
    return result


def order(model: Model) -> tuple[str, ...]:
    """Panes in the order in which Tab goes through them: those that are seen."""
    return tuple(slot.seen for slot in placed(model))


def inner(model: Model, pane: str) -> Box | None:
    """Where the content of a pane is, without its title; None if it is not seen."""
    for slot in placed(model):
        if slot.seen == pane:
            left, top, width, height = slot.box
            return Box(left, top + 1, width, max(0, height - 1))
    return None
