"""`pvtrace replay`."""

import sys
from importlib import import_module
from pathlib import Path

import click

from pvtrace.cli.arguments import Count, chosen, recording_argument, shown
from pvtrace.cli.listening import Where, gdb_options, one_file, where
from pvtrace.cli.progress import Progress
from pvtrace.cli.voice import quiet, voiced
from pvtrace.cli.watching import Watching
from pvtrace.model.errors import UsageError
from pvtrace.report.describe import describe
from pvtrace.session.replay import ReplayResult
from pvtrace.session.replay import replay as run


@click.command()
@recording_argument
@gdb_options
@click.option("--tui", is_flag=True, help="Look at it on a full screen, and walk in it.")
@click.option("--at", type=Count(), metavar="STEP", help="With --tui: open it at this step.")
@voiced
def replay(file: Path | None, gdb: str | None, no_gdb: bool, tui: bool, at: int | None) -> None:
    """Run a recording again and compare everything.

    Every event and every digest of the machine must be what was recorded; the first difference is named, with its
    step and place. FILE is the newest recording of the current folder unless you name one.

    With --gdb it is opened at once and stands at its first instruction; every stretch that gdb has executed is held
    against the recording.

    With --tui it opens on a full screen: time, events, code, registers, memory; press ? there for all keys.

    \b
    Example:
      pvtrace replay kernel.pvt
      pvtrace replay kernel.pvt --tui
      pvtrace replay kernel.pvt --gdb
    """
    if at is not None and not tui:
        raise UsageError("--at STEP goes with --tui")
    served_at, named = where(gdb, no_gdb, always=tui)
    if tui:
        on_screen(chosen(one_file(file, named)), at, served_at)
        return
    if served_at is not None:
        serve = import_module("pvtrace.gdb.serve").serve
        serve(chosen(one_file(file, named)), served_at.host, served_at.port, say, describe)
        return
    watching = Watching(Progress("replaying", sys.stderr, wanted=not quiet()), notes=sys.stderr, describe=describe)
    try:
        result = run(chosen(file), watching, describe)
    finally:
        watching.progress_line.clear()
    if not quiet():
        click.echo(identical(result))


def on_screen(path: Path, at: int | None, served_at: Where | None) -> None:
    """What draws on a terminal is loaded when it is needed: everything else starts the sooner."""
    import_module("pvtrace.cli.full_screen").full_screen(path, at, served_at)


def say(text: str) -> None:
    """A line for the person who is to start gdb, at once."""
    print(text, flush=True)


def identical(result: ReplayResult) -> str:
    """One line about a replay that did what was recorded."""
    rest = "" if result.complete else " (the recording was cut short; this is all that it holds)"
    return f"identical: {shown(result.path)}, {result.steps:,} steps, {result.events:,} events{rest}"
