"""`pvtrace replay`."""

import re
import sys
from pathlib import Path

import click

from pvtrace.cli.arguments import chosen, recording_argument, shown
from pvtrace.cli.progress import Progress
from pvtrace.cli.voice import quiet, voiced
from pvtrace.cli.watching import Watching
from pvtrace.gdb.serve import HOST, PORT, serve
from pvtrace.report.describe import describe
from pvtrace.session.replay import ReplayResult
from pvtrace.session.replay import replay as run


@click.command()
@recording_argument
@click.option("--gdb", is_flag=False, flag_value="", help="Serve it to gdb, at [HOST:]PORT or 127.0.0.1:1234.")
@voiced
def replay(file: Path | None, gdb: str | None) -> None:
    """Run a recording again and compare everything.

    Every event and every digest of the machine must be what was recorded; the first difference is named, with its
    step and place. FILE is the newest recording of the current folder unless you name one.

    With --gdb it is opened at once and stands at its first instruction; every stretch that gdb has executed is held
    against the recording.

    \b
    Example:
      pvtrace replay kernel.pvt
      pvtrace replay kernel.pvt --gdb
    """
    if gdb is not None:
        host, port, named = listening(gdb)
        serve(chosen(file or named), host, port, _say, describe)
        return
    watching = Watching(Progress("replaying", sys.stderr, wanted=not quiet()), notes=sys.stderr, describe=describe)
    try:
        result = run(chosen(file), watching, describe)
    finally:
        watching.progress_line.clear()
    if not quiet():
        click.echo(identical(result))


ADDRESS = re.compile(r"(?:([\w.-]+|\[[0-9a-fA-F:]+\]):)?(\d+)")


def listening(word: str) -> tuple[str, int, Path | None]:
    """Host, port, and the recording: a word behind --gdb that is no address is the FILE."""
    address = ADDRESS.fullmatch(word)
    if address is None:
        return HOST, PORT, Path(word) if word else None
    return address[1] or HOST, int(address[2]), None


def _say(text: str) -> None:
    print(text, flush=True)


def identical(result: ReplayResult) -> str:
    """One line about a replay that did what was recorded."""
    rest = "" if result.complete else " (the recording was cut short; this is all that it holds)"
    return f"identical: {shown(result.path)}, {result.steps:,} steps, {result.events:,} events{rest}"
