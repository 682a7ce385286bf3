"""`pvtrace events`."""

import json
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import click

from pvtrace.cli import symbols
from pvtrace.cli.arguments import AddressRange, Call, Count, Kinds, chosen, recording_argument
from pvtrace.cli.voice import voiced
from pvtrace.model.errors import UsageError
from pvtrace.model.events import Event, Kind
from pvtrace.model.step import NEVER, RESET, Step
from pvtrace.report import export, summary, table
from pvtrace.store.listing import Selection, count_calls, count_kinds, select
from pvtrace.store.reader import TraceReader

CALL = frozenset({Kind.HYPERCALL})


class Form(Enum):
    """How events are shown, other than as lines of text."""

    JSON = "json"
    CSV = "csv"


@click.command()
@recording_argument
@click.option("--kind", "kinds", type=Kinds(), help="Kinds or families, as in --kind calls,faults.")
@click.option("--since", type=Count(), default=RESET, help="First step.")
@click.option("--until", type=Count(), default=NEVER, help="Last step.")
@click.option("--address", type=AddressRange(), help="Only at this address, or in LOW-HIGH; hexadecimal.")
@click.option("--call", type=Call(), help="Only this VMI call, as in --call SetPxE.")
@click.option("--json", "form", flag_value=Form.JSON, type=Form, help="Print JSON.")
@click.option("--csv", "form", flag_value=Form.CSV, type=Form, help="Print CSV.")
@click.option("--lines", "sourced", is_flag=True, help="Name source lines, where the recording knows them.")
@click.option("--summary", "counted", is_flag=True, help="Count by kind and call instead.")
@voiced
def events(
    *,
    file: Path | None,
    kinds: frozenset[Kind] | None,
    since: int,
    until: int,
    address: tuple[int, int] | None,
    call: frozenset[int] | None,
    form: Form | None,
    sourced: bool,
    counted: bool,
) -> None:
    """List, filter or count what happened.

    Each line: the step, the privilege level, the guest's own IF and IOPL, the place, and the event. FILE is the newest
    recording of the current folder unless you name one.

    \b
    Example:
      pvtrace events kernel.pvt --kind faults,flags --since 1M
      pvtrace events kernel.pvt --summary
    """
    if counted and (call is not None or form is Form.CSV):
        raise UsageError("--summary counts all calls by name, as text or --json: use it without --call and --csv")
    if call is not None:
        kinds = CALL if kinds is None else CALL & kinds
    low, high = address or (0, 0xFFFFFFFF)
    selection = Selection(kinds, Step(since), Step(until), low, high)
    with TraceReader(chosen(file)) as trace:
        pieces = summed(trace, selection, form) if counted else listed(trace, selection, call, form, sourced)
        sys.stdout.writelines(pieces)


def listed(
    trace: TraceReader, selection: Selection, call: frozenset[int] | None, form: Form | None, sourced: bool
) -> Iterator[str]:
    """The chosen events, in pieces of text."""
    found = select(trace, selection)
    if call is not None:
        found = ((number, event) for number, event in found if is_call(event, call))
    names = symbols.of_recording(trace)
    if sourced:
        names = symbols.with_lines(trace, names)
    match form:
        case Form.JSON:
            yield from export.json_events(found, names)
        case Form.CSV:
            yield from export.csv_events(found, names)
        case None:
            yield f"{table.HEADER}\n"
            yield from (f"{line}\n" for line in table.lines((event for _, event in found), names))


def is_call(event: Event, numbers: frozenset[int]) -> bool:
    """Whether this is a VMI call with one of these unified numbers."""
    return event.kind is Kind.HYPERCALL and event.args[0] in numbers


def summed(trace: TraceReader, selection: Selection, form: Form | None) -> Iterator[str]:
    """The counts of the chosen events, in pieces of text."""
    found = summary.summary(count_kinds(trace, selection), count_calls(trace, selection))
    if form is Form.JSON:
        yield json.dumps(summary.plain(found), indent=2) + "\n"
    else:
        yield from (f"{line}\n" for line in summary.text(found))
