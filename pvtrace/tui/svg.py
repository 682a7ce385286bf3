"""Styled lines as a picture: SVG with a text element for each run of one style. Pure: equal lines give equal bytes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

from pvtrace.tui.lines import Line, Lines, Size, Span, cells, fit
from pvtrace.tui.roles import Role

CELL: Final = (8.4, 18)
"""Width and height of a cell in pixels, for a font of SIZE."""

SIZE: Final = 14
MARGIN: Final = 12
BASELINE: Final = 13
"""From the top of a cell to the baseline, in pixels."""

FONT: Final = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours as #rrggbb; None: the page's own."""

    colour: str | None = None
    ground: str | None = None
    bold: bool = False
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Palette:
    """`inks`: by role; one that is missing is plain."""

    paper: str
    ink: str
    inks: Mapping[Role, Ink]


def svg(lines: Lines, size: Size, palette: Palette, title: str) -> str:
    """A picture of exactly `size` cells."""
    width, height = MARGIN * 2 + size.width * CELL[0], MARGIN * 2 + size.height * CELL[1]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="100%" height="100%" rx="8" fill="{palette.paper}"/>\n'
        f'<g font-family="{FONT}" font-size="{SIZE}" fill="{palette.ink}" xml:space="preserve">\n'
    )
    rows = (fit(line, size.width) for line, _ in zip(lines, range(size.height), strict=False))
    return head + "".join(_row(row, number, palette) for number, row in enumerate(rows)) + "</g>\n</svg>\n"


def _row(row: Line, number: int, palette: Palette) -> str:
    top = MARGIN + number * CELL[1]
    grounds: list[tuple[int, int, str]] = []
    letters = []
    for column, span in _runs(row):
        ink, ground = _colours(span, palette)
        left, width = MARGIN + column * CELL[0], cells(span.text) * CELL[0]
        if ground is not None:
            grounds.append((column, cells(span.text), ground))
        if span.text.strip():
            weight = ' font-weight="bold"' if palette.inks.get(span.role, Ink()).bold else ""
            colour = "" if ink == palette.ink else f' fill="{ink}"'
            place = f'x="{left:.1f}" y="{top + BASELINE}" textLength="{width:.1f}"'
            letters.append(f"<text {place}{colour}{weight}>{escape(span.text, quote=False)}</text>\n")
    return "".join([*_grounds(grounds, top), *letters])


def _grounds(given: Iterable[tuple[int, int, str]], top: int) -> Iterator[str]:
    """Neighbours of one colour as one: a seam would be seen. Each with its column and width in cells."""
    merged: list[tuple[int, int, str]] = []
    for column, wide, colour in given:
        if merged and merged[-1][2] == colour and merged[-1][0] + merged[-1][1] == column:
            merged[-1] = (merged[-1][0], merged[-1][1] + wide, colour)
        else:
            merged.append((column, wide, colour))
    for column, wide, colour in merged:
        left, width = MARGIN + column * CELL[0], wide * CELL[0]
        yield f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{CELL[1]}" fill="{colour}"/>\n'


def _runs(row: Iterable[Span]) -> Iterator[tuple[int, Span]]:
    """Neighbours of one style together, each with its column; spaces around a run are left away where nothing shows."""
    merged: list[Span] = []
    for span in row:
        if merged and (merged[-1].role, merged[-1].on) == (span.role, span.on):
            merged[-1] = merged[-1]._replace(text=merged[-1].text + span.text)
        else:
            merged.append(span)
    column = 0
    for span in merged:
        yield column, span
        column += cells(span.text)


def _colours(span: Span, palette: Palette) -> tuple[str, str | None]:
    """Of the letters and of the ground."""
    ink = palette.inks.get(span.role, Ink())
    on = palette.inks.get(span.on, Ink()) if span.on is not None else Ink()
    colour, ground = ink.colour or on.colour or palette.ink, on.ground or ink.ground
    if ink.reverse or on.reverse:
        return palette.paper if ground is None else ground, colour
    return colour, ground
