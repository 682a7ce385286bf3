"""`pvtrace explain`."""

import click

from pvtrace.cli.divergences import RuleId
from pvtrace.cli.voice import voiced
from pvtrace.divergence.catalogue import RULES
from pvtrace.report.table import columns


@click.command()
@click.argument("rule", required=False, type=RuleId())
@voiced
def explain(rule: str | None) -> None:
    """Explain a difference between native hardware and VMI.

    What happens, what native hardware does, why the designers did it, and how to fix a guest. Without RULE: lists them.

    \b
    Example:
      pvtrace explain popf
    """
    if rule is None:
        rows = [(each.id, each.severity.value, each.title, each.source) for each in RULES.values()]
        click.echo("\n".join(columns([("rule", "shows", "difference", "source"), *rows])))
        return
    found = RULES[rule]
    click.echo(found.page.rstrip())
    click.echo(f"\nSource: VMI proposal or manual, {found.source}. It shows: {found.severity.value}.")
    if not found.modelled:
        click.echo("Not modelled: it takes a second processor, and this machine has one.")
