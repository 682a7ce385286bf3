"""`pvtrace console`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from pvtrace.cli.arguments import chosen, recording_argument
from pvtrace.cli.voice import voiced
from pvtrace.model.events import Event, Kind
from pvtrace.report.describe import quoted
from pvtrace.store.listing import Selection, select
from pvtrace.store.reader import TraceReader

SHOWN = frozenset({Kind.CONSOLE_OUT, Kind.CONSOLE_IN})


@click.command()
@recording_argument
@click.option("--steps", is_flag=True, help="A line for each piece, with its step, and what was typed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with what was typed.")
@voiced
def console(file: Path | None, steps: bool, as_json: bool) -> None:
    """Print what the guest said.

    The bytes that it wrote to its serial console, just as they were. FILE is the newest recording of the current folder
    unless you name one.

    \b
    Example:
      pvtrace console kernel.pvt --steps
    """
    with TraceReader(chosen(file)) as trace:
        found = (event for _, event in select(trace, Selection(SHOWN)))
        if as_json:
            click.echo(json.dumps([plain(event) for event in found], indent=2))
        elif steps:
            sys.stdout.writelines(lines(found))
        else:
            for event in found:
                if event.kind is Kind.CONSOLE_OUT:
                    sys.stdout.buffer.write(data(event))
            sys.stdout.buffer.flush()


def data(event: Event) -> bytes:
    """The bytes of a console event."""
    content = event.args[0]
    assert isinstance(content, bytes)
    return content


def lines(events: Iterator[Event]) -> Iterator[str]:
    """The step, the direction (< for what was typed), the text."""
    for event in events:
        yield f"{event.step:>14,}  {'<' if event.kind is Kind.CONSOLE_IN else '>'} {quoted(data(event))}\n"


def plain(event: Event) -> dict[str, int | str]:
    """An event for JSON."""
    direction = "in" if event.kind is Kind.CONSOLE_IN else "out"
    return {"step": event.step, "direction": direction, "text": data(event).decode("utf-8", "backslashreplace")}
