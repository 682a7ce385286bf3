"""Findings that somebody has looked at and accepts, each with a reason. Pure; the file is read by whoever has one.

A line is RULE PLACE -- REASON: the rule's id or *, then the function (with * and ?) or address that the finding is in.
Blank lines and lines that begin with # mean nothing.
"""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pvtrace.divergence.catalogue import RULES
from pvtrace.model.errors import InputError
from pvtrace.model.findings import Finding

_DASHES: Final = " -- "
ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Suppression:
    """`line`: its number in the file, from 1."""

    rule: str
    place: str
    reason: str
    line: int

    def covers(self, finding: Finding, place: str) -> bool:
        """`place`: 'main+0x12', or the address in hexadecimal."""
        function = place.partition("+")[0]
        names = (place, function, f"{finding.pc:08x}")
        return self.rule in (ANY, finding.rule) and any(fnmatch.fnmatchcase(name, self.place) for name in names)


def parse(text: str, name: str) -> tuple[Suppression, ...]:
    """The suppressions of a file called `name`. Raises InputError for a line that is none."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        what, dashes, reason = line.partition(_DASHES)
        words = what.split()
        if not dashes or not reason.strip() or len(words) != 2:
            raise InputError(
                f"{name}, line {number}: write RULE PLACE -- REASON, as in: pushf save_flags -- only printed"
            )
        rule, place = words
        if rule != ANY and rule not in RULES:
            raise InputError(f"{name}, line {number}: {rule!r} is no rule; pvtrace explain lists them")
        found.append(Suppression(rule, place, reason.strip(), number))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Sifted:
    """`kept`: indices of the findings that stay; `suppressed`: how many each suppression took, in their order."""

    kept: tuple[int, ...]
    suppressed: tuple[int, ...]


def sift(findings: Sequence[Finding], suppressions: Sequence[Suppression], place: Callable[[int], str]) -> Sifted:
    """The first suppression that covers a finding takes it. Many findings are of one rule at one place."""
    kept, taken = [], [0] * len(suppressions)
    known: dict[tuple[str, int], int | None] = {}

    def covering(finding: Finding) -> int | None:
        about = finding.rule, finding.pc
        if about not in known:
            where = place(finding.pc)
            known[about] = next((n for n, each in enumerate(suppressions) if each.covers(finding, where)), None)
        return known[about]

    for index, finding in enumerate(findings):
        by = covering(finding) if suppressions else None
        if by is None:
            kept.append(index)
        else:
            taken[by] += 1
    return Sifted(tuple(kept), tuple(taken))
