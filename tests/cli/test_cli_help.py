"""Every command explains itself: in its help, with an example, in the table of commands, and in the README."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pvtrace.cli.main import COMMANDS, SECTIONS, cli

README = Path(__file__).parents[2] / "README.md"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that can be run, by its whole name."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", leaf) for inner, leaf in command.commands.items())
        else:
            yield name, command


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_help_has_an_example_of_the_command(name: str) -> None:
    result = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="pvtrace")
    assert result.exit_code == 0
    assert re.search(rf"Example.*:\n(.*\n)?.*\bpvtrace {name}\b", result.output), result.output


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    assert command.help.strip().splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_readme_shows_the_command(name: str) -> None:
    assert f"`pvtrace {name}" in README.read_text()


def test_help_is_grouped_and_fits_a_screen() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    assert all(f"\n{section}:\n" in output for section in SECTIONS)
    assert all(re.search(rf"^  {entry.name} +{re.escape(entry.summary)}$", output, re.M) for entry in COMMANDS.values())
    assert len(output.splitlines()) <= 40


def test_every_listing_offers_json() -> None:
    listings = ("info", "events", "demo", "rom inspect", "rom scan")
    found = {name: [flag for option in command.params for flag in option.opts] for name, command in commands()}
    assert all("--json" in found[name] for name in listings)


@pytest.mark.parametrize("option", ["--quiet", "--verbose"])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "rom"])
def test_every_command_can_be_quiet_and_verbose(name: str, option: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert any(option in parameter.opts for parameter in command.params)


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    program = (
        "import sys; from pvtrace.cli.main import main; main(['--help']);"
        "print([m for m in ('unicorn', 'sqlite3', 'capstone', 'elftools') if m in sys.modules], file=sys.stderr)"
    )
    took = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - start)
        assert done.stderr == "[]\n"
    assert min(took) < 1.0  # about 0.12 s on an idle machine


OF_OTHERS = (
    *("unicorn", "prompt_toolkit", "pygments", "sqlite_utils", "elftools", "email"),
    *("gdbstub.server", "pvtrace.gdb.serve", "pvtrace.divergence.judge", "pvtrace.session.twin", "pvtrace.tui"),
)
"""What only other commands, or options that are seldom given, need."""


@pytest.mark.parametrize("name", ["record", "replay"])
def test_a_command_loads_what_it_needs(name: str) -> None:
    program = (
        f"import sys; import pvtrace.cli.main, pvtrace.cli.{name};print([m for m in {OF_OTHERS!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pvtrace", "completion", shell], capture_output=True, text=True, check=True
    )
    assert "_PVTRACE_COMPLETE" in done.stdout


def test_completion_of_a_command_answers_with_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pvtrace"],
        env={"_PVTRACE_COMPLETE": "bash_complete", "COMP_WORDS": "pvtrace re", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,record", "plain,replay"]
