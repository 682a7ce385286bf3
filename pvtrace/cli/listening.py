"""The options --gdb and --no-gdb: whether gdb is served, and where."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from pvtrace.gdb.address import HOST, PORT
from pvtrace.model.errors import UsageError

ADDRESS = re.compile(r"(?:([\w.-]+|\[[0-9a-fA-F:]+\]):)?(\d+)")


class Where(NamedTuple):
    """`asked`: whether the person named it, and so wants it to be there."""

    host: str
    port: int
    asked: bool


def gdb_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `gdb` (None, "" for the usual place, or a word) and `no_gdb`; see `where`."""
    command = click.option("--no-gdb", is_flag=True, help="Do not serve gdb.")(command)
    return click.option(
        "--gdb",
        is_flag=False,
        flag_value="",
        metavar="[HOST:]PORT",
        help=f"Serve it to gdb.  [default: {HOST}:{PORT}]",
    )(command)


def where(word: str | None, no_gdb: bool, always: bool = False) -> tuple[Where | None, Path | None]:
    """Where gdb is to be served, and the file: a word behind --gdb that is no address is the FILE.

    `always`: also without --gdb. Raises UsageError.
    """
    if word is not None and no_gdb:
        raise UsageError("--gdb and --no-gdb say opposite things: give one of them")
    if no_gdb or (word is None and not always):
        return None, None
    address = ADDRESS.fullmatch(word or "")
    if address is not None:
        return Where(address[1] or HOST, int(address[2]), asked=True), None
    return Where(HOST, PORT, asked=word is not None), Path(word) if word else None


def one_file(argument: Path | None, behind_gdb: Path | None) -> Path | None:
    """The file that was named, in one of two places. Raises UsageError."""
    if argument is not None and behind_gdb is not None:
        raise UsageError(f"--gdb {behind_gdb}: this is no address, and {argument} is the file already")
    return argument or behind_gdb
