"""How often each kind of event and each VMI call came, as strace -c counts system calls."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pvtrace.model.events import KINDS, Kind
from pvtrace.report.table import columns
from pvtrace.store.listing import Count
from rom.abi import by_number, from_unified


class Line(NamedTuple):
    """`share`: percent of all of its table; `first`, `last`: steps."""

    name: str
    times: int
    share: float
    first: int
    last: int


_RIGHT: Final = frozenset({0, 1, 2, 3})


class Summary(NamedTuple):
    """Both by frequency, the most frequent first."""

    kinds: tuple[Line, ...]
    calls: tuple[Line, ...]


def summary(kinds: Sequence[Count], calls: Sequence[Count]) -> Summary:
    """From the counts of store.listing."""
    return Summary(
        _lines([(KINDS[Kind(count.what)].name, count) for count in kinds]),
        _lines([(call_name(count.what), count) for count in calls]),
    )


def call_name(number: int) -> str:
    """'SetPxE (3.0)', from generation << 8 | number."""
    try:
        generation, _ = found = from_unified(number)
    except ValueError:
        return f"call {number:#x}"
    call = by_number(*found)
    name = call.name if call else f"call {number & 0xFF}"
    return f"{name} ({generation.value}.x)"


def _lines(counts: Sequence[tuple[str, Count]]) -> tuple[Line, ...]:
    total = sum(count.times for _, count in counts)
    ordered = sorted(counts, key=lambda item: (-item[1].times, item[0]))
    return tuple(Line(name, count.times, 100 * count.times / total, count.first, count.last) for name, count in ordered)


def text(found: Summary) -> Iterator[str]:
    """Two tables; the second one only if there were calls."""
    yield from _table("event", found.kinds)
    if found.calls:
        yield ""
        yield from _table("VMI call", found.calls)


def _table(title: str, table: Sequence[Line]) -> Iterator[str]:
    rows = [("% of all", "times", "first step", "last step", title)]
    rows += [
        (f"{share:.2f}", f"{times:,}", f"{first:,}", f"{last:,}", name) for name, times, share, first, last in table
    ]
    total = sum(line.times for line in table)
    yield from columns([*rows, ("", f"{total:,}", "", "", "total")], _RIGHT)


def plain(found: Summary) -> Mapping[str, object]:
    """For JSON."""
    return {"kinds": [line._asdict() for line in found.kinds], "calls": [line._asdict() for line in found.calls]}
