"""How much pvtrace says: -q and -v, accepted before and after the name of the command."""

from __future__ import annotations  # see main

import logging
from collections.abc import Callable
from typing import Any

import click

QUIET = "pvtrace.quiet"


def _quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[QUIET] = True


def _verbose(_: click.Context, __: click.Parameter, value: int) -> None:
    if value:
        logging.basicConfig(level=logging.INFO if value == 1 else logging.DEBUG, format="pvtrace: %(message)s")


def voiced(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options -q and -v."""
    command = click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_verbose, help="Say more; twice: much more."
    )(command)
    return click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_quiet, help="Say nothing but listings and errors."
    )(command)


def quiet() -> bool:
    """Whether the person asked for silence; only within a running command."""
    return bool(click.get_current_context().meta.get(QUIET))
