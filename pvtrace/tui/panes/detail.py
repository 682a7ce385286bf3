"""The event that is selected, taken apart: columns, images of EFLAGS bit by bit, cause, consequences, divergences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from pvtrace.model.events import KINDS, Event
from pvtrace.model.step import Step
from pvtrace.tui.decoded import Decoded, Field, Image, decoded
from pvtrace.tui.lines import Line, Lines, Size, Span, line, linked
from pvtrace.tui.messages import GoTo, OpenFinding
from pvtrace.tui.model import Model
from pvtrace.tui.panes.events import Found, belonging, silent
from pvtrace.tui.panes.pane import Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import STANDING, Role, family
from pvtrace.x86 import eflags

CONSEQUENCES: Final = 4
"""How many are shown."""


@dataclass(frozen=True, slots=True)
class Linked:
    """An event that this one has to do with."""

    sign: str
    number: int
    event: Event
    words: str


@dataclass(frozen=True, slots=True)
class Slice:
    """`findings`: those that belong to the event, with their indices. `between`: where one is, if that is behind the
    event; `silent`: what was found there."""

    between: Step | None
    silent: tuple[Found, ...]
    number: int
    event: Event
    words: str
    place: str
    source: str
    parts: Decoded
    others: tuple[Linked, ...]
    findings: tuple[Found, ...]


def read(model: Model, record: Record, size: Size) -> Slice | None:
    del size
    number = model.here.event
    event = None if number is None else record.event(number)
    if number is None or event is None:
        return None
    line_ = record.source(event.pc) if record.has_sources else None
    between = None if event.step == model.here.step else model.here.step
    return Slice(
        between,
        () if between is None else tuple(silent(model)),
        number,
        event,
        record.words(event),
        record.place(event.pc),
        "" if line_ is None else f"{line_.file}:{line_.line}",
        decoded(event),
        tuple(_others(number, event, record)),
        tuple(belonging(model, number, event)),
    )


def _others(number: int, event: Event, record: Record) -> Iterator[Linked]:
    cause = None if event.cause is None else record.event(event.cause)
    if cause is not None and event.cause is not None:
        yield Linked("←", event.cause, cause, record.words(cause))
    for other, what in record.brought_about(number, CONSEQUENCES):
        yield Linked("→", other, what, record.words(what))


def draw(shown: Slice | None, size: Size) -> Lines:
    if shown is None:
        return [line(Span("no event happened yet", Role.DIM))]
    event = shown.event
    role = family(event.kind)
    head = f"#{shown.number:,} {KINDS[event.kind].name.replace('_', ' ')}"
    source = f"  {shown.source}" if shown.source else ""
    return [
        *_between(shown, size.width),
        line(
            Span(head, Role.STRONG),
            Span(f"  step {event.step:,}", Role.STEP),
            Span(f"  CPL {event.flags >> 35 & 3}  "),
            Span(shown.place, Role.SYMBOL),
            Span(source, Role.SOURCE),
        ),
        *(line(Span(part, role)) for part in wrap(shown.words, max(8, size.width))),
        *_findings(shown.findings, size.width),
        *flags(shown.parts.images, size.width),
        *_fields(shown.parts.fields),
        *_links(shown.others),
        *(line(Span(part, Role.DIM)) for part in wrap(shown.parts.about, max(8, size.width))),
    ]


def _between(shown: Slice, width: int) -> Iterator[Line]:
    """Where one stands behind the event."""
    if shown.between is None:
        return
    yield line(Span(f"step {shown.between:,}", Role.STEP), Span("  no event", Role.DIM))
    yield from _findings(shown.silent, width)
    yield line(Span("the last event before it:", Role.DIM))


def _findings(findings: Sequence[Found], width: int) -> Iterator[Line]:
    for index, finding in findings:
        glyph, _, role = STANDING[finding.standing]
        for part in wrap(f"{glyph} {finding.text}", max(8, width)):
            yield linked(line(Span(part, role)), OpenFinding(index))


def _fields(fields: Sequence[Field]) -> Iterator[Line]:
    names = max((len(field.name) for field in fields), default=0)
    values = min(12, max((len(field.value) for field in fields), default=0))
    for field in fields:
        yield line(
            Span(f"{field.name:<{names}}  ", Role.REGISTER),
            Span(f"{field.value:<{values}}", Role.NUMBER),
            Span(f"  {field.meaning}" if field.meaning else ""),
        )


def _links(others: Sequence[Linked]) -> Iterator[Line]:
    for item in others:
        link = GoTo(item.event.step, item.number)
        text = line(
            Span(f"{item.sign} ", Role.KEY),
            Span(f"{item.event.step:,}  ", Role.STEP),
            Span(item.words, family(item.event.kind)),
        )
        yield linked(text, link)


# ---------------------------------------------------------------------------- flags, bit by bit

COLUMNS: Final = (
    ("ID", eflags.ID),
    ("VIP", eflags.VIP),
    ("VIF", eflags.VIF),
    ("AC", eflags.AC),
    ("VM", eflags.VM),
    ("RF", eflags.RF),
    ("NT", eflags.NT),
    ("IOPL", eflags.IOPL),
    ("OF", eflags.OF),
    ("DF", eflags.DF),
    ("IF", eflags.IF),
    ("TF", eflags.TF),
    ("SF", eflags.SF),
    ("ZF", eflags.ZF),
    ("AF", eflags.AF),
    ("PF", eflags.PF),
    ("CF", eflags.CF),
)
RARE: Final = frozenset({"ID", "VIP", "VIF", "AC", "RF"})
"""Left out where there is little room, unless they are set or differ."""


def flags(images: Sequence[Image], width: int) -> list[Line]:
    """A column for each flag, a row for each image; below, a mark where they are not all the same."""
    if not images:
        return []
    if len(images) == 1:
        return [line(Span("flags  ", Role.REGISTER), Span(_short(images[0].eflags), Role.DIM))]
    label = max(len(image.whose) for image in images) + 2
    shown = [item for item in COLUMNS if width >= 76 or item[0] not in RARE or any(i.eflags & item[1] for i in images)]
    if label + sum(len(name) + 1 for name, _ in shown) > width:
        return [line(Span(f"{image.whose:<{label}}", Role.DIM), Span(_short(image.eflags))) for image in images]
    differing = {name for name, bit in shown if len({image.eflags & bit for image in images}) > 1}
    lines = [line(Span(" " * label), *(Span(f"{name} ", Role.REGISTER) for name, _ in shown))]
    for image in images:
        cells = [_cell(image.eflags, name, bit, name in differing) for name, bit in shown]
        lines.append(line(Span(f"{image.whose:<{label}}", Role.DIM), *cells))
    if differing:
        marks = [Span(f"{'^' if name in differing else '':>{len(name)}} ", Role.CHANGED) for name, _ in shown]
        lines.append(line(Span(f"{'':<{label}}"), *marks))
    return lines


def _cell(image: int, name: str, bit: int, differs: bool) -> Span:
    value = eflags.iopl(image) if name == "IOPL" else int(bool(image & bit))
    text = f"{value if value or differs else '·'}"
    return Span(f"{text:>{len(name)}} ", Role.CHANGED if differs else Role.SET if value else Role.DIM)


def _short(image: int) -> str:
    return f"{image:08x} IF={int(bool(image & eflags.IF))} IOPL={eflags.iopl(image)} {eflags.letters(image)}"


def title(model: Model) -> str:
    del model
    return "detail"


PANE: Final = Pane("detail", "3", title, read, draw)
