"""`pvtrace replay`, `info` and `events`, on a real recording."""

import csv
import io
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Pvtrace


def rows(recording: Path, sql: str) -> list[tuple[int, ...]]:
    with sqlite3.connect(recording) as database:
        return database.execute(sql).fetchall()


def test_replay_says_identical_in_one_line(pvtrace: Pvtrace, recording: Path) -> None:
    done = pvtrace("replay", recording)
    (step, events) = rows(recording, "SELECT step, events FROM progress")[0]
    assert done.returncode == 0
    assert done.stdout == f"identical: {recording}, {step:,} steps, {events:,} events\n"
    assert done.stderr == ""


def test_without_a_name_the_newest_recording_here_is_taken(pvtrace: Pvtrace, recording: Path, tmp_path: Path) -> None:
    shutil.copy(recording, tmp_path / "new.pvt")
    (tmp_path / "old.pvt").write_text("not even a recording")
    os.utime(tmp_path / "old.pvt", (1, 1))
    assert pvtrace("replay").stdout.startswith("identical: new.pvt,")
    assert json.loads(pvtrace("info", "--json").stdout)["path"] == "new.pvt"
    assert pvtrace("events").returncode == 0
    assert (
        pvtrace("-v", "info").stderr
        == pvtrace("info", "-v").stderr
        == "pvtrace: the newest recording here is new.pvt\n"
    )


@pytest.mark.parametrize("command", ["replay", "info", "events"])
@pytest.mark.parametrize(
    ("name", "words"), [("missing.pvt", "missing.pvt"), ("text.pvt", "text.pvt"), (None, "no recording")]
)
def test_what_is_no_recording_is_exit_code_3(
    pvtrace: Pvtrace, tmp_path: Path, command: str, name: str | None, words: str
) -> None:
    if name:
        (tmp_path / "text.pvt").write_text("These are the times that try men's souls.\n")
    done = pvtrace(command, *([name] if name else []))
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("pvtrace: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_another_run_than_the_recorded_one_is_exit_code_3_or_4(
    pvtrace: Pvtrace, recording: Path, tmp_path: Path
) -> None:
    altered = tmp_path / "altered.pvt"
    shutil.copy(recording, altered)
    with sqlite3.connect(altered) as database:
        database.execute("UPDATE event SET pc = pc + 1 WHERE seq = 3")
    done = pvtrace("replay", altered)
    assert done.returncode in (3, 4)
    assert done.stderr.startswith("pvtrace: ")
    assert done.stdout == ""


def test_info_as_text_and_as_json(pvtrace: Pvtrace, recording: Path) -> None:
    found = json.loads(pvtrace("info", "--json", recording).stdout)
    assert (found["step"], found["events"]) == rows(recording, "SELECT step, events FROM progress")[0]
    text = pvtrace("info", recording).stdout
    assert found["digest"]["all"] in text
    assert "hello.elf" in text


def test_events_are_all_there_in_every_form(pvtrace: Pvtrace, recording: Path) -> None:
    count = rows(recording, "SELECT count(*) FROM event")[0][0]
    text = pvtrace("events", recording).stdout.splitlines()
    assert text[0].split()[0] == "step"
    assert len(text) == count + 1
    table = list(csv.DictReader(io.StringIO(pvtrace("events", recording, "--csv").stdout)))
    array = json.loads(pvtrace("events", recording, "--json").stdout)
    assert len(array) == count
    assert [row["step"] for row in table] == [str(item["step"]) for item in array]


def test_filters_choose_by_kind_step_and_address(pvtrace: Pvtrace, recording: Path) -> None:
    middle = rows(recording, "SELECT step FROM event WHERE seq = 20")[0][0]
    site = rows(recording, "SELECT pc FROM event WHERE kind = 1 LIMIT 1")[0][0]
    for arguments, condition in (
        (("--kind", "calls"), "kind = 1"),
        (("--kind", "mode,stop"), "kind IN (51, 71)"),
        (("--since", str(middle)), f"step >= {middle}"),
        (("--until", str(middle), "--kind", "ports"), f"step <= {middle} AND kind IN (30, 31, 32)"),
        (("--address", f"{site:#x}"), f"pc = {site}"),
        (("--address", f"{site:x}-{site + 64:x}"), f"pc BETWEEN {site} AND {site + 64}"),
    ):
        found = json.loads(pvtrace("events", recording, "--json", *arguments).stdout)
        wanted = rows(recording, f"SELECT seq FROM event WHERE {condition} ORDER BY seq")
        assert wanted
        assert [item["seq"] for item in found] == [seq for (seq,) in wanted]


def test_one_call_is_chosen_by_its_name(pvtrace: Pvtrace, recording: Path) -> None:
    found = json.loads(pvtrace("events", recording, "--json", "--call", "Shutdown").stdout)
    assert len(found) == 1
    assert "Shutdown" in found[0]["text"]
    assert json.loads(pvtrace("events", recording, "--json", "--call", "Shutdown", "--kind", "faults").stdout) == []


def test_the_summary_counts_everything(pvtrace: Pvtrace, recording: Path) -> None:
    found = json.loads(pvtrace("events", recording, "--summary", "--json").stdout)
    assert sum(line["times"] for line in found["kinds"]) == rows(recording, "SELECT count(*) FROM event")[0][0]
    assert sum(line["times"] for line in found["calls"]) == rows(recording, "SELECT count(*) FROM hypercall")[0][0]
    text = pvtrace("events", recording, "--summary").stdout
    assert all(line["name"] in text for line in found["kinds"] + found["calls"])


def test_a_summary_of_one_call_is_refused(pvtrace: Pvtrace, recording: Path) -> None:
    done = pvtrace("events", recording, "--summary", "--call", "Shutdown")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
