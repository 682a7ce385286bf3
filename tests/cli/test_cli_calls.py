"""`pvtrace calls` shows the one table of calls, whole or in part."""

import json

import pytest
from click.testing import CliRunner, Result

from pvtrace.cli.main import cli
from rom.abi import CALLS, Family, Generation, by_name, calls


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["calls", *arguments], prog_name="pvtrace")


def test_every_call_has_a_line() -> None:
    lines = run().output.splitlines()
    assert [line.split()[3] for line in lines[1:]] == [call.name for call in CALLS]


def test_json_has_both_numbers_as_integers() -> None:
    found = json.loads(run("--json").output)
    for generation, key in ((Generation.V13, "number_13"), (Generation.V3, "number_3")):
        numbers = {row[key]: row["name"] for row in found if row[key] is not None}
        assert numbers == {number: call.name for number, call in calls(generation).items()}
        assert all(type(number) is int for number in numbers)


@pytest.mark.parametrize("family", list(Family))
def test_a_family(family: Family) -> None:
    found = json.loads(run("--family", family.value, "--json").output)
    assert [row["name"] for row in found] == [call.name for call in CALLS if call.family is family]


def test_part_of_a_name() -> None:
    found = json.loads(run("alarm", "--json").output)
    assert [row["name"] for row in found] == ["SetAlarm", "CancelAlarm"]


def test_one_call_is_shown_with_its_registers() -> None:
    output = run("VMI_SetPxE").output
    for operand in by_name("SetPxE").arguments:
        assert str(operand) in output
    assert "86 in 13.x, 38 in 3.0" in output
    assert "eax, ecx, edx, flags" in output


def test_no_such_call() -> None:
    result = run("Frobnicate")
    assert result.exit_code != 0
    assert "no VMI call is named 'Frobnicate'" in str(result.exception)
