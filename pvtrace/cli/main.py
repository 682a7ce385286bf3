"""The command `pvtrace`: the table of commands, and what becomes of errors.

Nothing heavy is imported here: the module of a command is loaded by its name in the table, when the command is used,
so that help, completion and wrong usage answer at once.
"""

from __future__ import annotations  # this file must also load on a Python that is too old, to say so

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from pvtrace.cli.exit_codes import INTERRUPTED, WELL
from pvtrace.cli.host import unsuitable
from pvtrace.cli.voice import voiced
from pvtrace.model.errors import EngineError, PvtraceError


class Entry(NamedTuple):
    """A command: `module` holds a click command of the same name, whose help begins with `summary`."""

    name: str
    module: str
    summary: str


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Record and replay": (
        Entry("record", "pvtrace.cli.record", "Run a guest and record it."),
        Entry("replay", "pvtrace.cli.replay", "Run a recording again and compare everything."),
        Entry("gdb", "pvtrace.cli.gdb", "Debug a recording with gdb, forwards and backwards."),
    ),
    "Look": (
        Entry("info", "pvtrace.cli.info", "What a recording is and holds."),
        Entry("divergences", "pvtrace.cli.divergences", "Where native hardware would have done something else."),
        Entry("explain", "pvtrace.cli.explain", "Explain a difference between native hardware and VMI."),
        Entry("diff", "pvtrace.cli.diff", "Compare what the guests of two recordings did."),
        Entry("events", "pvtrace.cli.events", "List, filter or count what happened."),
        Entry("console", "pvtrace.cli.console", "Print what the guest said."),
        Entry("screen", "pvtrace.cli.screen", "Show the guest's text screen."),
    ),
    "Guests and ROMs": (
        Entry("demo", "pvtrace.cli.demo", "Record, replay and explain a small guest."),
        Entry("new", "pvtrace.cli.new", "Write a kit for a guest of your own."),
        Entry("calls", "pvtrace.cli.calls", "List the VMI calls: numbers, registers, meaning."),
        Entry("rom", "pvtrace.cli.rom", "Build, inspect and scan VMI ROM images."),
    ),
    "Shell": (Entry("completion", "pvtrace.cli.completion", "Print a completion script for your shell."),),
}

COMMANDS: dict[str, Entry] = {entry.name: entry for entries in SECTIONS.values() for entry in entries}


class Commands(click.Group):
    """A group that knows its commands from the table and loads the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        gc.disable()  # what modules hold is no garbage: looking for some in it costs a twelfth of the loading
        try:
            command = getattr(import_module(COMMANDS[cmd_name].module), cmd_name)
            gc.freeze()
        finally:
            gc.enable()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        for section, entries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(entry.name.ljust(11), entry.summary) for entry in entries])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [entry for entry in COMMANDS.values() if entry.name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(entry.name, help=entry.summary) for entry in names] + options

    def invoke(self, ctx: click.Context) -> Any:
        """A reader that went away (`pvtrace events | head`) is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return WELL
        return result


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(None, "--version", package_name="pvtrace", message="pvtrace %(version)s")
@voiced
def cli() -> None:
    """Record, replay and explain paravirtual (VMI) guests: 32-bit x86 kernels.

    \b
    Example:
      pvtrace demo userland
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code of the process (see exit_codes)."""
    atexit.register(gc.freeze)  # nobody needs what garbage is left at the end: the process ends 30 ms sooner
    try:
        complaint = unsuitable()
        if complaint is not None:
            raise EngineError(complaint)
        result = cli.main(arguments, prog_name="pvtrace", standalone_mode=False)
    except PvtraceError as error:
        print(f"pvtrace: {error}", file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return result if isinstance(result, int) else WELL
