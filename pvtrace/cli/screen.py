"""`pvtrace screen`."""

import json
import sys
from pathlib import Path

import click

from pvtrace.cli.arguments import Count, chosen, recording_argument
from pvtrace.cli.voice import voiced
from pvtrace.model.step import Step
from pvtrace.report import screen as report
from pvtrace.session.visit import machine_at
from pvtrace.store.reader import TraceReader


@click.command()
@recording_argument
@click.option("--at", type=Count(), metavar="STEP", help="At this step.  [default: the last]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@voiced
def screen(file: Path | None, at: int | None, as_json: bool) -> None:
    """Show the guest's text screen.

    The 80 by 25 characters of the VGA's text memory, at any step: the recording is replayed to there. In colours on a
    terminal. FILE is the newest recording of the current folder unless you name one.

    \b
    Example:
      pvtrace screen kernel.pvt --at 5M
    """
    with TraceReader(chosen(file)) as trace:
        step = trace.last() if at is None else Step(at)
        memory = machine_at(trace, step).cpu.read_physical(report.ADDRESS, report.SIZE)
    lines = report.rows(memory)
    if as_json:
        click.echo(json.dumps({"step": step, "rows": lines}, indent=2))
        return
    if sys.stdout.isatty():
        lines = report.coloured(memory)
    click.echo("\n".join(lines))
