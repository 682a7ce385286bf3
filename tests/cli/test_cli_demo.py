"""`pvtrace demo`: what a newcomer sees first."""

import json
import sqlite3
from importlib import resources
from pathlib import Path

import pytest

from pvtrace.cli.demo import DEMOS
from tests.cli.conftest import Pvtrace


def test_the_list_names_every_guest_there_is(pvtrace: Pvtrace) -> None:
    built = {Path(item.name).stem for item in resources.files("pvtrace.demo").iterdir() if item.name.endswith(".elf")}
    assert set(json.loads(pvtrace("demo", "--json").stdout)) == built
    assert [line.split()[0] for line in pvtrace("demo").stdout.splitlines()] == list(DEMOS)


def test_userland_shows_each_ignored_popf(pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("demo", "userland")
    assert done.returncode == 0
    assert "\nidentical: userland.pvt," in done.stdout
    with sqlite3.connect(tmp_path / "userland.pvt") as database:
        sql = "SELECT step FROM flag_attempt WHERE instruction = 'POPF' AND outcome = 'silently ignored'"
        ignored = [f"{step:,}" for (step,) in database.execute(sql)]
    assert len(ignored) >= 3
    shown = [
        line.split()[0] for line in done.stdout.splitlines() if "POPF asked" in line and "silently ignored" in line
    ]
    assert shown == ignored


@pytest.mark.parametrize("name", [name for name in DEMOS if name != "userland"])
def test_every_demo_replays_and_has_something_to_show(pvtrace: Pvtrace, name: str) -> None:
    done = pvtrace("demo", name, stdin="hello\nquit\n")
    assert done.returncode == 0, done.stderr
    assert f"\nidentical: {name}.pvt," in done.stdout
    shown = done.stdout.partition(DEMOS[name].title)[2].partition("\nAll of them:")[0].strip().splitlines()
    assert shown[0].startswith("step")
    assert len(shown) > 2
