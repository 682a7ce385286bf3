"""What judging a recording costs beside recording it: guests that do little but cause events, and a boot's mix of them.

Judging replays the recording under the eyes of the rules; nothing is recorded for it. What counts is the difference of
two lengths, so that starting and ending cancel.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import events
from events import BIG, KINDS, SMALL, Kind
from measure import PVTRACE, Spent, compile_with_kit, spent

WHICH: Final = (
    "section",
    "set_pxe",
    "write_gdt_entry",
    "in",
    "cli_sti",
    "pushf_popf",
    "page_fault",
    "software_interrupt",
)
"""Of events.KINDS, by what they do."""


def lines(rounds: int, folder: Path) -> Iterator[str]:
    """A row for each kind; the mean over a boot's calls, by their shares (events.KINDS), and over all kinds alike."""
    yield f"{'us per event, wall':44}{'record':>10}{'judge':>10}{'judge / record':>16}"
    costs = {}
    for kind in KINDS:
        if kind.what in WHICH:
            costs[kind] = tuple(each.wall for each in measure(kind, rounds, folder))
            yield row(kind.name, *costs[kind])
    yield row("mean over the calls of a boot", *mean({kind: kind.share for kind in costs}, costs))
    yield row("mean over all kinds", *mean(dict.fromkeys(costs, 1), costs))


def mean(weights: dict[Kind, int], costs: dict[Kind, tuple[float, ...]]) -> Iterator[float]:
    """Recording and judging."""
    total = sum(weights.values())
    for column in zip(*costs.values(), strict=True):
        yield sum(weight * cost for weight, cost in zip(weights.values(), column, strict=True)) / total


def row(name: str, record: float, judge: float) -> str:
    return f"{name:44}{record:10.1f}{judge:10.1f}{judge / record:16.2f}"


def measure(kind: Kind, rounds: int, folder: Path) -> tuple[Spent, Spent]:
    """Of one event: recording it, and judging it."""
    times: list[list[list[Spent]]] = [[[], []], [[], []]]  # recorded and judged, each in both lengths
    elves = []
    for count in (SMALL, BIG):
        elves.append(folder / f"{kind.what}-{count}.elf")
        compile_with_kit(elves[-1], {"EVENT": kind.what, "ROUNDS": str(count)}, "events.c")
    for _ in range(rounds):
        for index, elf in enumerate(elves):
            trace = str(elf.with_suffix(".pvt"))
            times[0][index].append(spent((*PVTRACE, "record", str(elf), "-o", trace, "--force", "--console", "null")))
            times[1][index].append(spent((*PVTRACE, "divergences", trace, "--summary")))
    count = (BIG - SMALL) * kind.times
    recorded, judged = (events.difference(each, count) for each in times)
    return recorded, judged
