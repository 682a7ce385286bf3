"""`pvtrace calls`."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from pvtrace.cli.voice import voiced
from pvtrace.model.errors import InputError
from rom.abi import CALLS, CallInfo, Family, Operand, Place


class Words(click.ParamType[str]):
    """Part of a call's name."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        return [CompletionItem(call.name) for call in CALLS if call.name.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, type=Words())
@click.option("--family", type=click.Choice([family.value for family in Family]), help="Only this family.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@voiced
def calls(name: str | None, family: str | None, as_json: bool) -> None:
    """List the VMI calls: numbers, registers, meaning.

    NAME is a call, or part of its name. A call alone is shown with its operands, what it may destroy, and the segment
    registers that must be flat. Numbers are those of 13.x and of 3.0; 3.0 reaches two calls by the jump slots 128 and
    136 instead.

    \b
    Example:
      pvtrace calls --family time
      pvtrace calls SetAlarm
    """
    chosen = matching(name, family)
    if not chosen:
        raise InputError(f"no VMI call is named {name!r}" + (f" in the family {family}" if family else ""))
    if as_json:
        click.echo(json.dumps([plain(call) for call in chosen], indent=2))
    elif len(chosen) == 1:
        click.echo("\n".join(details(chosen[0])))
    else:
        click.echo("\n".join(table(chosen)))


def matching(name: str | None, family: str | None) -> tuple[CallInfo, ...]:
    """The calls of a family whose names contain a word; the one of that very name alone, if there is one."""
    wanted = "" if name is None else name.removeprefix("VMI_").lower()
    members = tuple(call for call in CALLS if family in (None, call.family.value))
    exact = tuple(call for call in members if call.name.lower() == wanted)
    return exact or tuple(call for call in members if wanted in call.name.lower())


def table(chosen: Iterable[CallInfo]) -> Iterator[str]:
    """A line for each call, under the titles of the columns."""
    yield f"{'13.x':>4} {'3.0':>4}  {'family':<11}  {'call':<23}  meaning"
    for call in chosen:
        yield f"{_number(call.n13):>4} {_number(call.n3):>4}  {call.family.value:<11}  {call.name:<23}  {call.doc}"


def details(call: CallInfo) -> Iterator[str]:
    """All that is known of one call."""
    segments = "CS, SS, DS, ES" if call.segments == 4 else "CS, SS"
    yield f"{call.name}: {call.doc}"
    yield f"  number      {_number(call.n13)} in 13.x, {_number(call.n3)} in 3.0"
    yield f"  family      {call.family.value}"
    yield f"  arguments   {_operands(call.arguments)}"
    yield f"  results     {_operands(call.results)}"
    yield f"  may change  {', '.join(_clobbers(call)) or 'nothing'}"
    yield f"  flat        {segments}"


def plain(call: CallInfo) -> dict[str, Any]:
    """A call for JSON. Numbers are integers, null in a generation that has no such call."""
    return {
        "name": call.name,
        "number_13": call.n13,
        "number_3": call.n3,
        "family": call.family.value,
        "arguments": [{"place": operand.place.value, "name": operand.name} for operand in call.arguments],
        "results": [{"place": operand.place.value, "name": operand.name} for operand in call.results],
        "clobbers": _clobbers(call),
        "flat_segments": call.segments,
        "doc": call.doc,
    }


def _clobbers(call: CallInfo) -> list[str]:
    return [place.value for place in Place if place in call.clobbers]


def _operands(operands: tuple[Operand, ...]) -> str:
    return ", ".join(map(str, operands)) or "none"


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)
