"""Findings for people: a line each, all their evidence, a summary by rule, and JSON. Pure."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pvtrace.divergence.catalogue import RULES
from pvtrace.model.findings import Finding, Shown, Standing
from pvtrace.report.describe import Symbols, place
from pvtrace.report.table import columns
from pvtrace.x86.disasm import text as disassembled

_STEP: Final = 14
_PLACE: Final = 24
_RULE: Final = 18
_STATUS: Final = 9

HEADER: Final = f"{'step':>{_STEP}}  {'place':<{_PLACE}}  {'rule':<{_RULE}}  {'status':<{_STATUS}}  what differs"


def number(value: Shown) -> str:
    """A value of the evidence: hexadecimal from 10 on."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:#x}" if value > 9 else str(value)
    return value


def line(finding: Finding, symbols: Symbols) -> str:
    """One finding under HEADER."""
    where = place(finding.pc, symbols)
    often = f" ({finding.times:,} times)" if finding.times > 1 else ""
    before = f"{finding.step:>{_STEP},}  {where:<{_PLACE}}  {finding.rule:<{_RULE}}"
    return f"{before}  {finding.standing.word:<{_STATUS}}  {finding.text}{often}"


def evidence(findings: Sequence[Finding], index: int, followers: Sequence[int], symbols: Symbols) -> Iterator[str]:
    """All that is known of one finding. `followers`: indices of those that follow from it."""
    finding = findings[index]
    rule = RULES[finding.rule]
    instruction = disassembled(finding.code, finding.pc) if finding.code else ""
    yield f"#{index} {finding.rule}: {rule.title} ({rule.source}; {rule.severity.value})"
    yield f"  {finding.standing.word} at step {finding.step:,} in {place(finding.pc, symbols)}" + (
        f": {instruction}" if instruction else ""
    )
    yield f"  {finding.text}"
    values = (finding.before, finding.native, finding.paravirtual)
    before, native, paravirtual = map(number, values)
    was = "" if finding.before is None else f"was {before}, "
    yield f"  {finding.what}: {was}native {native}, paravirtual {paravirtual}"
    if finding.setting:
        yield f"  brought about by --latitude {finding.setting}"
    if finding.event is not None:
        yield f"  event {finding.event:,}"
    if finding.opened_by is not None:
        cause = findings[finding.opened_by]
        yield f"  follows from #{finding.opened_by} {cause.rule} at step {cause.step:,}"
    if followers:
        counts = Counter(findings[each].rule for each in followers)
        first = findings[followers[0]].step
        words = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        yield f"  what followed: {words}; the first at step {first:,}"
    if finding.times > 1:
        yield f"  seen {finding.times:,} times here; this is the first"


def followers_of(findings: Sequence[Finding]) -> dict[int, list[int]]:
    """By index of a finding: indices of those that it opened."""
    found: dict[int, list[int]] = defaultdict(list)
    for index, finding in enumerate(findings):
        if finding.opened_by is not None:
            found[finding.opened_by].append(index)
    return found


@dataclass(frozen=True, slots=True)
class RuleCount:
    """`first`: the first finding of the rule that counts most."""

    rule: str
    proven: int
    hazards: int
    potential: int
    places: int
    first: Finding


def counted(findings: Sequence[Finding]) -> tuple[RuleCount, ...]:
    """By rule, those with most proven findings first."""
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_rule[finding.rule].append(finding)
    rows = []
    for rule, those in by_rule.items():
        standing = Counter[Standing]()
        for finding in those:
            standing[finding.standing] += finding.times
        order = (Standing.PROVEN, Standing.HAZARD, Standing.POTENTIAL)
        first = next(each for kind in order for each in those if each.standing is kind)
        rows.append(
            RuleCount(
                rule,
                standing[Standing.PROVEN],
                standing[Standing.HAZARD],
                standing[Standing.POTENTIAL],
                len({finding.pc for finding in those}),
                first,
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.proven, -row.hazards, -row.potential, row.rule)))


def summary(findings: Sequence[Finding], symbols: Symbols) -> Iterator[str]:
    """A line for each rule that found something, and one for all."""
    rows = counted(findings)
    if not rows:
        yield "no differences from native hardware"
        return
    titles = ("proven", "hazard", "potential", "places", "rule", "first at step", "in", "")
    table = [
        (
            f"{row.proven:,}",
            f"{row.hazards:,}",
            f"{row.potential:,}",
            f"{row.places:,}",
            row.rule,
            f"{row.first.step:,}",
            place(row.first.pc, symbols),
            RULES[row.rule].title,
        )
        for row in rows
    ]
    yield from columns([titles, *table], right=frozenset({0, 1, 2, 3, 5}))
    proven = sum(row.proven for row in rows)
    kinds = sum(1 for row in rows if row.proven)
    yield f"{proven:,} proven differences by {kinds:,} rules; pvtrace explain RULE says more"


def as_json(findings: Sequence[Finding], kept: Sequence[int], symbols: Symbols) -> Iterator[str]:
    """A JSON list, piece by piece."""
    yield "["
    for position, index in enumerate(kept):
        yield (",\n " if position else "") + json.dumps(_plain(index, findings[index], symbols))
    yield "]\n"


def _plain(index: int, finding: Finding, symbols: Callable[[int], str | None]) -> dict[str, Any]:
    return {
        "id": index,
        "rule": finding.rule,
        "title": RULES[finding.rule].title,
        "severity": RULES[finding.rule].severity.value,
        "status": finding.standing.word,
        "step": finding.step,
        "pc": finding.pc,
        "place": symbols(finding.pc),
        "instruction": disassembled(finding.code, finding.pc) if finding.code else None,
        "what": finding.what,
        "before": finding.before,
        "native": finding.native,
        "paravirtual": finding.paravirtual,
        "text": finding.text,
        "event": finding.event,
        "setting": finding.setting or None,
        "opened_by": finding.opened_by,
        "times": finding.times,
    }


def summary_json(findings: Sequence[Finding]) -> str:
    """The counts of `summary` as JSON."""
    return json.dumps(
        [
            {
                "rule": row.rule,
                "title": RULES[row.rule].title,
                "proven": row.proven,
                "hazard": row.hazards,
                "potential": row.potential,
                "places": row.places,
                "first_step": row.first.step,
            }
            for row in counted(findings)
        ],
        indent=2,
    )
