"""`pvtrace replay`."""

import sys
from pathlib import Path

import click

from pvtrace.cli.arguments import chosen, recording_argument, shown
from pvtrace.cli.progress import Progress
from pvtrace.cli.voice import quiet, voiced
from pvtrace.cli.watching import Watching
from pvtrace.report.describe import describe
from pvtrace.session.replay import ReplayResult
from pvtrace.session.replay import replay as run


@click.command()
@recording_argument
@voiced
def replay(file: Path | None) -> None:
    """Run a recording again and compare everything.

    Every event and every digest of the machine must be what was recorded; the first difference is named, with its
    step and place. FILE is the newest recording of the current folder unless you name one.

    \b
    Example:
      pvtrace replay kernel.pvt
    """
    watching = Watching(Progress("replaying", sys.stderr, wanted=not quiet()), notes=sys.stderr, describe=describe)
    try:
        result = run(chosen(file), watching, describe)
    finally:
        watching.progress_line.clear()
    if not quiet():
        click.echo(identical(result))


def identical(result: ReplayResult) -> str:
    """One line about a replay that did what was recorded."""
    rest = "" if result.complete else " (the recording was cut short; this is all that it holds)"
    return f"identical: {shown(result.path)}, {result.steps:,} steps, {result.events:,} events{rest}"
