"""`pvtrace completion`: the script that click generates for a shell."""

import click
from click.shell_completion import get_completion_class

from pvtrace.cli.voice import voiced
from pvtrace.model.errors import UsageError

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@voiced
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a completion script for your shell.

    \b
    Example (once, or in ~/.bashrc):
      eval "$(pvtrace completion bash)"
    """
    generator = get_completion_class(shell)
    if generator is None:
        raise UsageError(f"there is no completion for {shell}")
    click.echo(generator(ctx.find_root().command, {}, "pvtrace", "_PVTRACE_COMPLETE").source())
