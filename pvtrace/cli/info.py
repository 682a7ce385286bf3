"""`pvtrace info`."""

import json
from pathlib import Path

import click

from pvtrace.cli.arguments import chosen, recording_argument
from pvtrace.cli.voice import voiced
from pvtrace.report import info as report
from pvtrace.store.reader import TraceReader


@click.command()
@recording_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@voiced
def info(file: Path | None, as_json: bool) -> None:
    """What a recording is and holds.

    Where it is from, how it ended, how much came from outside, and the digests of memory, CPU, devices, VMI state and
    events: two runs are the same if their digests are. FILE is the newest recording of the current folder unless you
    name one.

    \b
    Example:
      pvtrace info kernel.pvt
    """
    with TraceReader(chosen(file)) as trace:
        found = report.info(trace)
    click.echo(json.dumps(report.plain(found), indent=2) if as_json else "\n".join(report.text(found)))
