"""Critical sections for people: how many were interrupted, how long each was, and what to think of a time measured in
one. Pure.

Sections are grouped by the place that opened them: the same code, run several times, should take the same time.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

from pvtrace.model.findings import Finding, Section
from pvtrace.report.describe import Symbols, place
from pvtrace.report.table import columns

MOST: Final = 12
"""Sections of one place that are listed; of more, the longest."""

ADVICE: Final = (
    "What is measured by the TSC in a section includes the handlers, whatever ran before the return, and stolen time:",
    "one iteration never gives an accurate timing, and the shortest of several does if it was left alone.",
)

_TITLES: Final = ("began at step", "TSC ticks", "own", "handlers", "stolen", "interrupts", "faults", "rescheduled", "")
_RIGHT: Final = frozenset(range(8))


def headline(findings: Sequence[Finding], sections: Sequence[Section], symbols: Symbols) -> str:
    """'5 critical sections, 1 of them interrupted, first at step 163,519 in user_main+0x7a'."""
    if not sections:
        return "no critical sections"
    count = f"{len(sections):,} critical section{'s' if len(sections) != 1 else ''}"
    hit = [section for section in sections if section.interrupts]
    if not hit:
        return f"{count}, none of them interrupted"
    known = {section.opened_by for section in hit}
    first = next(each for each in findings if each.rule == "interrupted" and each.opened_by in known)
    where = f"first at step {first.step:,} in {place(first.pc, symbols)}"
    return f"{count}, {len(hit):,} of them interrupted, {where}"


def by_place(findings: Sequence[Finding], sections: Sequence[Section]) -> dict[int, list[Section]]:
    """By linear address of the instruction that opened them, in the order of the first of each."""
    groups: dict[int, list[Section]] = defaultdict(list)
    for section in sections:
        groups[findings[section.opened_by].pc].append(section)
    return groups


def text(findings: Sequence[Finding], sections: Sequence[Section], symbols: Symbols) -> Iterator[str]:
    """The headline, and a table for each place; a note on timing if any of it was disturbed."""
    yield headline(findings, sections, symbols)
    for pc, group in by_place(findings, sections).items():
        yield ""
        yield from _group(place(pc, symbols), group)
    if any(section.handlers or section.stolen for section in sections):
        yield ""
        yield from ADVICE


def _group(where: str, group: Sequence[Section]) -> Iterator[str]:
    hit = sum(1 for section in group if section.interrupts)
    times = "once" if len(group) == 1 else f"{len(group):,} times"
    yield f"opened at {where}, {times}; interrupted: {hit:,}"
    shown = sorted(sorted(group, key=lambda each: -each.length)[:MOST], key=lambda each: each.start)
    yield from (f"  {line}" for line in columns([_TITLES, *(_row(section) for section in shown)], _RIGHT))
    if len(group) > len(shown):
        yield f"  and {len(group) - len(shown):,} shorter ones"
    yield from (f"  {line}" for line in _spread([section for section in group if section.ended]))


def _row(section: Section) -> tuple[str, ...]:
    counts = (section.interrupts, section.faults, section.reschedules)
    return (
        f"{section.start:,}",
        f"{section.length:,}",
        f"{section.own:,}",
        share(section.handlers, section.length),
        share(section.stolen, section.length),
        *(f"{count:,}" for count in counts),
        "" if section.ended else "never ended",
    )


def share(part: int, whole: int) -> str:
    """'12.5 %' of the ticks of a section."""
    return f"{100 * part / whole:.1f} %" if part and whole else "0 %"


def _spread(ended: Sequence[Section]) -> Iterator[str]:
    """The shortest and the longest of those that ended."""
    if len(ended) < 2:
        return
    shortest, longest = min(each.length for each in ended), max(each.length for each in ended)
    if shortest == longest:
        yield f"all of {shortest:,} ticks"
    else:
        ratio = f", {longest / shortest:,.1f} times as long" if shortest else ""
        yield f"shortest {shortest:,} ticks, longest {longest:,}{ratio}"
    if all(each.handlers or each.stolen for each in ended):
        yield f"none of them was left alone; the code itself takes {min(each.own for each in ended):,} ticks"


def as_json(findings: Sequence[Finding], sections: Sequence[Section], symbols: Symbols) -> str:
    """One list of objects: the section, its length, and where it was opened."""
    rows = [
        {
            "place": symbols(findings[section.opened_by].pc),
            "pc": findings[section.opened_by].pc,
            **asdict(section),
            "length": section.length,
            "own": section.own,
        }
        for section in sections
    ]
    return json.dumps(rows, indent=2)
