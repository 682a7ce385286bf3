"""What was chosen is kept in the recording, and its replay is the same run; on the command line by its names."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pvtrace.cli.main import cli
from pvtrace.model.step import Step
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from pvtrace.session.replay import replay
from pvtrace.store.reader import TraceReader
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.vmi.steal import parse
from pvtrace.x86.latitude import ALL, HARSH, KIND, chosen, to_words
from tests.latitude.guests import COMMON, DEFER, FAULT_EIP, LAZY_CPU
from tests.machine.small import LIMIT, Walk, assemble, machine


@pytest.mark.parametrize("ends", [{ALL: HARSH}, {ALL: KIND, "defer": HARSH}])
@pytest.mark.parametrize("name", ["faults", "irqs"])
def test_a_recording_keeps_what_was_chosen(name: str, ends: dict[str, str], tmp_path: Path) -> None:
    with resources.as_file(resources.files("pvtrace.demo").joinpath(f"{name}.elf")) as guest:
        options = RecordOptions(
            guest=guest,
            output=tmp_path / "made.pvt",
            console="null",
            latitude=chosen(ends),
            user_if=True,
            steal=parse("1ms/3ms,20us-50us"),
            checkpoint_every=50_000,
        )
        made = record(options)
    assert made.stop.ended
    found = replay(made.path)
    assert found.complete
    assert (found.steps, found.events) == (made.steps, made.events)
    with TraceReader(made.path) as trace:
        settings = trace.meta.settings
    assert settings["latitude"] == to_words(chosen(ends))
    assert settings["user_if"] is True
    assert parse(str(settings["steal"])) == parse("1ms/3ms,20us-50us")
    json.dumps(settings)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--latitude", "flag=kind"], "no latitude"),
        (["--latitude", "flags"], "names no end"),
        (["--latitude", "flags=mild"], "can be kind or harsh"),
        (["--steal", "much"], "no schedule"),
        (["--steal", "2ms/1ms"], "leaves the guest no time"),
        (["--user-if", "maybe"], "maybe"),
    ],
)
def test_what_cannot_be_chosen(options: list[str], words: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["record", str(tmp_path / "none.elf"), *options])
    assert result.exit_code == 2
    assert words in result.output


def test_no_time_is_stolen_from_the_hosts_clock(tmp_path: Path) -> None:
    guest = tmp_path / "guest.elf"
    guest.write_bytes(b"")
    result = CliRunner().invoke(cli, ["record", str(guest), "--steal", "1ms/3ms", "--clock", "host"])
    assert result.exit_code != 0
    assert "--steal cannot go with --clock host" in str(result.exception)


@pytest.mark.parametrize(
    ("source", "profile", "how"),
    [
        (DEFER, "13.3", {"latitude": chosen({"defer": HARSH})}),
        (LAZY_CPU, "3.0", {"latitude": chosen({"defer": HARSH})}),
        (FAULT_EIP, "13.3", {"steal": parse("20ns/40ns")}),
    ],
)
def test_a_snapshot_holds_what_waits_and_what_was_stolen(source: str, profile: str, how: dict[str, Any]) -> None:
    """At every step of a guest's last part: a new machine goes on from there to the same end."""
    guest = assemble(COMMON + source)
    walk = Walk(machine(guest, ScriptedTape(()), profile, **how))
    end = machine(guest, ScriptedTape(()), profile, **how).run(LIMIT)
    seen = False
    for step in range(end.step - 30, end.step):
        walk.machine.run(Step(step))
        state, pages = walk.full()
        vmi = walk.machine.vmi
        seen |= bool(vmi.held or vmi.stolen)
        other = machine(guest, ScriptedTape(()), profile, **how)
        other.restore(state, pages)
        assert other.vmi == vmi
        assert Walk(other).snapshot().state == state
        assert other.run(LIMIT) == end
    assert seen
