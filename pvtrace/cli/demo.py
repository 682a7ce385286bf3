"""`pvtrace demo`."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import click

from pvtrace.cli import symbols
from pvtrace.cli.arguments import shown
from pvtrace.cli.exit_codes import WELL
from pvtrace.cli.record import exit_code, perform, recorded
from pvtrace.cli.voice import quiet, voiced
from pvtrace.model.events import Event, Kind, Outcome
from pvtrace.report import divergences, sections
from pvtrace.report.table import HEADER, lines
from pvtrace.session.judging import judged
from pvtrace.session.options import RecordOptions
from pvtrace.store.listing import select
from pvtrace.store.reader import TraceReader
from rom.abi import call_numbers

QUESTIONS = call_numbers("GetRelocationInfo")


def of_kind(*kinds: Kind) -> Callable[[Event], bool]:
    """Whether an event is of one of these kinds."""
    return lambda event: event.kind in kinds


def meant_call(event: Event) -> bool:
    """A VMI call other than the questions where each call is, which come once at the start; and how it all ended."""
    if event.kind is Kind.HYPERCALL:
        return event.args[0] not in QUESTIONS
    return event.kind in (Kind.MODE, Kind.STOP)


def without_effect(event: Event) -> bool:
    """An attempt on IF or IOPL that did nothing, and that nobody was told of."""
    return event.kind is Kind.FLAG_ATTEMPT and event.args[5] in (Outcome.IGNORED, Outcome.SKIPPED)


class Demo(NamedTuple):
    """`interest` chooses the events worth reading, which `title` announces."""

    about: str
    title: str
    interest: Callable[[Event], bool]


DEMOS = {
    "hello": Demo(
        "find the VMI ROM, move to privilege level 1, print, shut down",
        "Every VMI call, and what came of it:",
        meant_call,
    ),
    "faults": Demo(
        "page faults, general protection, divide error, a fault within a fault",
        "Every fault, with the stack image's flags and the way back:",
        of_kind(Kind.EXCEPTION, Kind.RETURN),
    ),
    "irqs": Demo(
        "alarm interrupts, interrupt masks, halt",
        "Every interrupt, and how time passed between:",
        of_kind(Kind.INTERRUPT, Kind.ALARM, Kind.HALT, Kind.WAKE),
    ),
    "echo": Demo(
        "what you type comes back, with the time of day",
        "What came in and what went out:",
        of_kind(Kind.CONSOLE_IN, Kind.CONSOLE_OUT),
    ),
    "userland": Demo(
        "a program at privilege level 3 tries CLI, STI and POPF, with IOPL 0 and 3",
        "Every attempt on the interrupt flag that silently did nothing:",
        without_effect,
    ),
    "timing": Demo(
        "a program at privilege level 3 measures two loops between CLI and STI",
        "Every CLI and STI of the program, and every interrupt:",
        lambda event: without_effect(event) or event.kind is Kind.INTERRUPT,
    ),
}
"""By name; the guest is NAME.elf in pvtrace.demo, its source beside it."""


@click.command()
@click.argument("name", required=False, type=click.Choice(list(DEMOS)))
@click.option("--json", "as_json", is_flag=True, help="List the demos as JSON.")
@voiced
def demo(name: str | None, as_json: bool) -> int:
    """Record, replay and explain a small guest.

    Records NAME into the current folder, replays it in another process, and prints the events worth reading. Without
    NAME: lists the demos.

    \b
    Example:
      pvtrace demo userland
    """
    if name is None or as_json:
        click.echo(json.dumps({each: it.about for each, it in DEMOS.items()}, indent=2) if as_json else listing())
        return WELL
    return show(name)


def listing() -> str:
    """The demos, one on a line."""
    return "\n".join(f"{name:9} {it.about}" for name, it in DEMOS.items())


def show(name: str) -> int:
    """Record, replay and explain one of them; returns the exit code."""
    with resources.as_file(resources.files("pvtrace.demo").joinpath(f"{name}.elf")) as guest:
        say(f"$ pvtrace record {shlex.quote(str(guest))}")
        result = perform(RecordOptions(guest=guest))
    say(recorded(result))
    path = shlex.quote(shown(result.path))
    say(f"\n$ pvtrace replay {path}")
    sys.stdout.flush()
    replayed = subprocess.run([sys.executable, "-m", "pvtrace", "replay", shown(result.path)], check=False)
    say(f"\n{DEMOS[name].title}")
    click.echo("\n".join(interesting(name, result.path)))
    say(f"\nAll of them: pvtrace events {path}")
    say(f"\n$ pvtrace divergences {path} --summary")
    click.echo("\n".join(differences(result.path)))
    return replayed.returncode or exit_code(result)


def interesting(name: str, path: Path) -> list[str]:
    """The events worth reading, under the titles of their columns."""
    with TraceReader(path) as trace:
        events = (event for _, event in select(trace) if DEMOS[name].interest(event))
        return [HEADER, *lines(events, symbols.of_recording(trace))]


def differences(path: Path) -> list[str]:
    """Where native hardware would have done something else, counted by rule."""
    found = judged(path)
    with TraceReader(path) as trace:
        names = symbols.of_recording(trace)
        said = list(divergences.summary(found.findings, names))
        return [*said, *sections.text(found.findings, found.sections, names)] if found.sections else said


def say(text: str) -> None:
    if not quiet():
        click.echo(text)
