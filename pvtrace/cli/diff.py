"""`pvtrace diff`."""

import json
import sys
from pathlib import Path

import click

from pvtrace.cli import symbols
from pvtrace.cli.arguments import shown
from pvtrace.cli.exit_codes import FOUND, WELL
from pvtrace.cli.progress import Progress
from pvtrace.cli.voice import quiet, voiced
from pvtrace.cli.watching import Watching
from pvtrace.divergence.twin.comparison import Comparison
from pvtrace.report import diff as report
from pvtrace.report.describe import describe
from pvtrace.session.twin import compared
from pvtrace.store.reader import TraceReader


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Show all intervals, and all differences in each.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@voiced
def diff(*, a: Path, b: Path, everything: bool, as_json: bool) -> int:
    """Compare what the guests of two recordings did.

    A and B may be the same guest with VMI ROMs and without, or a kernel before and after a change. They are aligned by
    what the guest did, not by steps: console lines, device accesses, exceptions, system calls and returns, attempts on
    flags, registers of the system. A call and the instruction that it stands for are the same. The first difference is
    shown, then all intervals that differ, each with the rule that explains it.

    Exit status: 0 if nothing differs but what rules explain, and time; 1 if something else does.

    \b
    Example:
      pvtrace record kernel.elf --twin
      pvtrace diff kernel.pvt kernel.native.pvt
    """
    found = comparison(a, b)
    with TraceReader(a) as ours, TraceReader(b) as theirs:
        sources = report.Sources(source(ours), source(theirs))
        if as_json:
            click.echo(json.dumps(report.plain(found, sources), indent=2))
        else:
            sys.stdout.writelines(f"{line}\n" for line in report.text(found, sources, everything=everything))
    return exit_code(found)


def comparison(a: Path, b: Path) -> Comparison:
    """Compare two recordings, with progress on the terminal."""
    watching = Watching(Progress("comparing", sys.stderr, wanted=not quiet()), notes=sys.stderr, describe=describe)
    try:
        return compared(a, b, watching)
    finally:
        watching.progress_line.clear()


def exit_code(found: Comparison) -> int:
    """As diff(1) ends, but for what is explained."""
    return WELL if found.explained else FOUND


def source(trace: TraceReader) -> report.Source:
    """A recording, ready to be shown."""
    progress = trace.progress()
    return report.Source(
        name=shown(trace.path),
        vmi=trace.meta.vmi,
        steps=progress.step,
        events=progress.mark.events,
        symbols=symbols.of_recording(trace),
        event=lambda number: next(trace.events(number, number + 1)),
    )
