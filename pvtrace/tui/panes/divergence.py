"""One divergence, native hardware beside this machine: what differs first, why, what followed, the explanation."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pvtrace.divergence.catalogue import RULES, Rule
from pvtrace.model.findings import Finding, Shown
from pvtrace.tui import moves, panels
from pvtrace.tui.lines import EMPTY, Line, Lines, Size, Span, cut, line, linked
from pvtrace.tui.messages import OpenFinding
from pvtrace.tui.model import Model
from pvtrace.tui.moves import NOTHING, Outcome
from pvtrace.tui.panes.findings import telling
from pvtrace.tui.panes.pane import Act, Key, Pane
from pvtrace.tui.record import Record
from pvtrace.tui.roles import STANDING, Role
from pvtrace.x86 import eflags
from pvtrace.x86.disasm import text as disassembled

FOLLOWERS: Final = 5
"""How many of what followed are listed."""

LEAST: Final = 3
"""Lines of the explanation that are seen, whatever the size."""

NAMES: Final = 15
"""Cells for the name of a state."""

IMAGE: Final = "image."
"""What a finding about an image of EFLAGS in memory begins with."""

MARK: Final = "◀ differs"
KERNEL: Final = 1
"""The privilege level of a paravirtual kernel, which natively has 0."""


class Field(NamedTuple):
    """A piece of state, before the moment and after it on both machines; empty where it is not known."""

    name: str
    before: str
    native: str
    paravirtual: str


@dataclass(frozen=True, slots=True)
class Slice:
    """`cause`, `followers`: with their indices among the findings. `position`: of how many, counted from 1."""

    finding: Finding | None
    rule: Rule | None
    place: str
    source: str
    instruction: str
    fields: tuple[Field, ...]
    cause: tuple[int, Finding] | None
    followers: tuple[tuple[int, Finding], ...]
    more: int
    page: str
    scroll: int


_NONE: Final = Slice(None, None, "", "", "", (), None, (), 0, "", 0)


def read(model: Model, record: Record, size: Size) -> Slice:
    del size
    number = model.finding
    if number is None or number >= len(model.findings):
        return _NONE
    finding = model.findings[number]
    rule = RULES.get(finding.rule)
    followers = [(at, item) for at, item in enumerate(model.findings) if item.opened_by == number]
    source = record.source(finding.pc)
    opened = finding.opened_by
    return Slice(
        finding=finding,
        rule=rule,
        place=record.place(finding.pc),
        source="" if source is None or not source.line else f"{source.file}:{source.line}",
        instruction=disassembled(finding.code, finding.pc) if finding.code else "",
        fields=tuple(_fields(finding, record)),
        cause=None if opened is None else (opened, model.findings[opened]),
        followers=tuple(followers[:FOLLOWERS]),
        more=max(0, len(followers) - FOLLOWERS),
        page="" if rule is None else rule.page,
        scroll=model.scroll,
    )


def _fields(finding: Finding, record: Record) -> Iterator[Field]:
    """What differs, then what else there is to know of both machines at this moment."""
    name = finding.what.removeprefix("eflags.")
    if name.startswith(IMAGE):
        yield Field("pushed image", *map(_image, (finding.before, finding.native, finding.paravirtual)))
    else:
        yield Field(name, _value(finding.before), _value(finding.native), _value(finding.paravirtual))
    event = None if finding.event is None else record.event(finding.event)
    if event is None:
        return
    real = event.flags & 0xFFFFFFFF
    cpl = event.flags >> 35 & 3
    both = {"IF": (event.flags >> 32 & 1,) * 2, "IOPL": (event.flags >> 33 & 3,) * 2}
    if name in both and isinstance(finding.native, int) and isinstance(finding.paravirtual, int):
        both[name] = (finding.native, finding.paravirtual)
    yield from (Field(flag, "", str(native), str(here)) for flag, (native, here) in both.items() if flag != name)
    yield Field("CPL", "", str(0 if cpl == KERNEL else cpl), str(cpl))
    native, here = (_letters(real, interrupts) for interrupts in both["IF"])
    yield Field("flags", "", native, here)
    yield Field("hardware EFLAGS", "", "", f"{real:08x} {eflags.letters(real)}")


def _letters(real: int, interrupts: int) -> str:
    return eflags.letters(eflags.replace(real, eflags.IF if interrupts else 0, eflags.IF))


def _image(value: Shown) -> str:
    """Of EFLAGS: what differs in it comes first."""
    if not isinstance(value, int):
        return _value(value)
    return f"IF={int(bool(value & eflags.IF))} IOPL={eflags.iopl(value)} {value:08x}"


def _value(value: Shown) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:#x}" if value > 9 else str(value)
    return value


# ---------------------------------------------------------------------------- lines


def draw(shown: Slice, size: Size) -> Lines:
    """Both machines at the top, whatever the size; the explanation scrolls below."""
    if shown.finding is None or shown.rule is None:
        return [line(Span(" no divergence is chosen; e goes to the next one", Role.DIM))]
    top = [*_head(shown, shown.finding, shown.rule), EMPTY, *_split(shown, size.width), EMPTY, *_reason(shown, size)]
    linked_ = list(_links(shown))
    page = list(_page(shown.page, size.width))
    room = max(LEAST, size.height - len(top))
    rest = [*linked_, *([EMPTY] if linked_ else []), *page]
    start = min(shown.scroll, max(0, len(rest) - room))
    return [*top, *rest[start : start + room]]


def _head(shown: Slice, finding: Finding, rule: Rule) -> Iterator[Line]:
    glyph, word, role = STANDING[finding.standing]
    yield line(Span(f" {glyph} ", role), Span(rule.title, Role.STRONG), Span(f"  {word}, {rule.severity.value}", role))
    where = [Span(" at step "), Span(f"{finding.step:,}", Role.STEP), Span(" in "), Span(shown.place, Role.SYMBOL)]
    if shown.source:
        where.append(Span(f" ({shown.source})", Role.SOURCE))
    if shown.instruction:
        where += [Span(": "), Span(shown.instruction, Role.MNEMONIC)]
    yield tuple(where)


def _split(shown: Slice, width: int) -> Iterator[Line]:
    side = max(10, min(34, (width - NAMES - 24) // 2))
    yield line(
        Span(f" {'':<{NAMES}} {'before':<9} "),
        Span(f"{'native hardware':<{side}}", Role.NATIVE),
        Span("│ ", Role.BORDER),
        Span(f"{'this machine (VMI)':<{side}}", Role.PARAVIRTUAL),
    )
    for index, field in enumerate(shown.fields):
        first = index == 0
        differ = field.native != field.paravirtual and bool(field.native)
        yield line(
            Span(f" {cut(field.name, NAMES):<{NAMES}} ", Role.STRONG if first else Role.DIM),
            Span(f"{cut(field.before, 9):<9} ", Role.DIM),
            Span(f"{cut(field.native, side):<{side}}", Role.NATIVE if differ else Role.PLAIN),
            Span("│ ", Role.BORDER),
            Span(f"{cut(field.paravirtual, side):<{side}}", Role.PARAVIRTUAL if differ else Role.PLAIN),
            Span(f" {MARK}" if first and differ else "", Role.DIVERGENCE),
        )


def _reason(shown: Slice, size: Size) -> Iterator[Line]:
    assert shown.finding is not None
    text = shown.finding.text[0].upper() + shown.finding.text[1:] + "."
    for row in textwrap.wrap(text, max(20, size.width - 2)):
        yield line(Span(f" {row}"))
    if shown.finding.setting:
        yield line(Span(f" Brought about by --latitude {shown.finding.setting}.", Role.DIM))
    yield EMPTY


def _links(shown: Slice) -> Iterator[Line]:
    """What it follows from, and what followed."""
    if shown.cause is not None:
        yield _linked(" follows from ", *shown.cause)
    for index, item in enumerate(shown.followers):
        yield _linked(" what followed: " if index == 0 else "                ", *item)
    if shown.more:
        yield line(Span(f"                and {shown.more:,} more", Role.DIM))


def _linked(before: str, number: int, finding: Finding) -> Line:
    spans = (Span(before, Role.DIM), Span(f"{finding.step:,} ", Role.STEP), Span(finding.rule, Role.DIVERGENCE))
    return linked((*spans, Span(f": {finding.text}")), OpenFinding(number))


def _page(page: str, width: int) -> Iterator[Line]:
    """The explanation, without its title, which stands at the top already."""
    for paragraph in page.strip().split("\n\n")[1:]:
        if paragraph.startswith("    "):
            yield from (line(Span(f" {row}", Role.SOURCE)) for row in paragraph.splitlines())
        else:
            yield from _paragraph(paragraph, width)
        yield EMPTY


def _paragraph(text: str, width: int) -> Iterator[Line]:
    """Its first words may be in **bold**."""
    words = " ".join(text.split())
    bold = ""
    if words.startswith("**"):
        bold, _, words = words[2:].partition("**")
    rows: Sequence[str] = textwrap.wrap(f"{bold}{words}", max(20, width - 2)) or [""]
    for index, row in enumerate(rows):
        if index == 0 and bold and row.startswith(bold):
            yield line(Span(f" {bold}", Role.STRONG), Span(row[len(bold) :].replace("`", "")))
        else:
            yield line(Span(f" {row.replace('`', '')}"))


# ---------------------------------------------------------------------------- keys


def _scroll(lines: int) -> Act:
    """No further than the explanation goes, whatever stands above it."""

    def act(model: Model) -> Outcome:
        rule = None if model.finding is None else RULES.get(model.findings[model.finding].rule)
        page = [] if rule is None else list(_page(rule.page, model.width))
        return panels.scrolled(model, lines, len(page) + FOLLOWERS - LEAST)

    return act


def _neighbour(way: int) -> Act:
    """The next finding, with the view still open."""

    def act(model: Model) -> Outcome:
        listed = telling(model)
        after = [number for number in listed if (number - (model.finding or 0)) * way > 0]
        if not after:
            return moves.said(model, "there is no further divergence that way")
        moved, effects = moves.open_finding(model, min(after) if way > 0 else max(after))
        return replace(moved, scroll=0, note=None), effects

    return act


def _cause(model: Model) -> Outcome:
    opened = None if model.finding is None else model.findings[model.finding].opened_by
    if opened is None:
        return moves.said(model, "it follows from no other divergence")
    return _open(model, opened)


def _consequence(model: Model) -> Outcome:
    at = next((n for n, item in enumerate(model.findings) if item.opened_by == model.finding), None)
    return moves.said(model, "nothing that was found follows from it") if at is None else _open(model, at)


def _open(model: Model, number: int) -> Outcome:
    moved, effects = moves.open_finding(model, number)
    return replace(moved, scroll=0, note=None), effects


def _shut(model: Model) -> Outcome:
    return replace(model, over=None, scroll=0), NOTHING


KEYS: Final = (
    Key(("j", "down"), "read on", _scroll(1), "j/k read", "Divergence"),
    Key(("k", "up"), "read back", _scroll(-1), "", "Divergence"),
    Key(("pagedown", "space"), "a page on", _scroll(8), "", "Divergence"),
    Key(("pageup", "b"), "a page back", _scroll(-8), "", "Divergence"),
    Key(("e", "n", "] d"), "next divergence", _neighbour(1), "e/E next, previous", "Divergence"),
    Key(("E", "N", "[ d"), "previous divergence", _neighbour(-1), "", "Divergence"),
    Key(("h", "left"), "what it follows from", _cause, "h cause", "Divergence"),
    Key(("l", "right"), "the first thing that followed", _consequence, "l what followed", "Divergence"),
    Key(("enter",), "look at the machine there", _shut, "Enter machine", "Divergence"),
)


def title(model: Model) -> str:
    if model.finding is None:
        return "divergence"
    return f"divergence {model.finding + 1:,} of {len(model.findings):,}: {model.findings[model.finding].rule}"


PANE: Final = Pane("divergence", "", title, read, draw, KEYS)
