"""`pvtrace divergences` and `pvtrace explain`, on a real recording."""

import json
import shutil
import sqlite3
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from pvtrace.divergence.catalogue import RULES
from tests.cli.conftest import Pvtrace, run

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of the demo guest userland, not judged."""
    folder = tmp_path_factory.mktemp("userland")
    guest = resources.files("pvtrace.demo").joinpath("userland.elf")
    done = run(folder, "record", str(guest))
    assert done.returncode == 0, done.stderr
    return folder / "userland.pvt"


@pytest.fixture
def userland(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(recorded, tmp_path / "userland.pvt"))


def found(pvtrace: Pvtrace, *arguments: str | Path) -> Found:
    done = pvtrace("divergences", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert isinstance(rows, list)
    return rows


def attempts(recording: Path, where: str) -> list[int]:
    with sqlite3.connect(recording) as database:
        return [step for (step,) in database.execute(f"SELECT step FROM flag_attempt WHERE cpl = 3 AND {where}")]


def test_each_user_attempt_on_if_is_reported_once_with_both_outcomes(pvtrace: Pvtrace, userland: Path) -> None:
    rows = [row for row in found(pvtrace, userland) if row["rule"] == "user-iopl"]
    clis = attempts(userland, "instruction = 'CLI' AND iopl_before = 3")
    popfs = attempts(userland, "instruction = 'POPF' AND iopl_before = 3 AND asked_if = 0")
    hazards = attempts(userland, "instruction = 'POPF' AND iopl_before = 0 AND asked_if = 0")
    assert len(clis) >= 4
    assert len(popfs) == len(hazards) == 1
    steps = [row["step"] for row in rows]
    assert len(set(steps)) == len(steps)
    assert {*clis, *popfs, *hazards} <= set(steps)
    by_step = {row["step"]: row for row in rows}
    for step in (*clis, *popfs):
        row = by_step[step]
        assert (row["status"], row["what"], row["native"], row["paravirtual"]) == ("proven", "eflags.IF", 0, 1)
        assert row["instruction"] in ("cli", "popfd")
    assert [by_step[step]["status"] for step in hazards] == ["hazard"]


def test_findings_name_the_event_that_shows_them(pvtrace: Pvtrace, userland: Path) -> None:
    rows = found(pvtrace, userland)
    with sqlite3.connect(userland) as database:
        steps = dict(database.execute("SELECT seq, step FROM event"))
    assert rows
    unseen = {row["rule"] for row in rows if row["event"] is None}
    assert unseen <= {"mov-sreg", "push-sreg"}, "the CPU runs these itself, and nothing is logged"
    for row in rows:
        if row["event"] is not None:
            assert steps[row["event"]] == row["step"]


def test_they_are_kept_in_the_recording_which_replays_as_before(pvtrace: Pvtrace, userland: Path) -> None:
    first = found(pvtrace, userland)
    with sqlite3.connect(userland) as database:
        kept = database.execute("SELECT step, rule, status FROM divergence ORDER BY id").fetchall()
    assert [(row["step"], row["rule"], row["status"]) for row in first] == [
        row for row in kept if row[2] != "potential"
    ]
    assert found(pvtrace, userland) == first
    assert pvtrace("replay", userland).returncode == 0


def test_a_recording_of_older_rules_is_judged_anew(pvtrace: Pvtrace, userland: Path) -> None:
    first = found(pvtrace, userland)
    with sqlite3.connect(userland) as database:
        database.execute("UPDATE judgement SET rules = 'older'")
        database.execute("DELETE FROM finding")
    assert found(pvtrace, userland) == first


def test_one_that_cannot_be_written_to_is_judged_each_time(pvtrace: Pvtrace, userland: Path) -> None:
    expected = found(pvtrace, userland)
    with sqlite3.connect(userland) as database:
        database.execute("DELETE FROM judgement")
        database.commit()
        database.execute("BEGIN IMMEDIATE")  # as long as somebody else writes, nobody can
        done = pvtrace("divergences", "--json", userland)
    assert done.returncode == 0
    assert json.loads(done.stdout) == expected
    assert "the findings cannot be kept" in done.stderr


def test_the_list_the_summary_and_the_evidence_agree(pvtrace: Pvtrace, userland: Path) -> None:
    rows = found(pvtrace, userland)
    listed = pvtrace("divergences", userland).stdout.splitlines()
    assert len(listed) == len(rows) + 1
    proven = sum(row["status"] == "proven" for row in rows)
    assert f"\n{proven:,} proven differences" in pvtrace("divergences", userland, "--summary").stdout
    counts = json.loads(pvtrace("divergences", userland, "--summary", "--json").stdout)
    assert sum(count["proven"] for count in counts) == proven
    evidence = pvtrace("divergences", userland, "--rule", "user-iopl", "--evidence").stdout
    assert evidence.count("user-iopl: IOPL 3 gives user code ports, not IF") == sum(
        r["rule"] == "user-iopl" for r in rows
    )


def test_fail_on_is_for_scripts(pvtrace: Pvtrace, userland: Path) -> None:
    assert pvtrace("divergences", userland, "--fail-on", "proven").returncode == 1
    assert pvtrace("divergences", userland, "--rule", "lar", "--fail-on", "potential").returncode == 0
    assert pvtrace("divergences", userland).returncode == 0


def test_suppressions_need_a_rule_a_place_and_a_reason(pvtrace: Pvtrace, userland: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_text(
        "# what we live with\n\npushf try_* -- only printed\n* user_main -- the demo's own\nlar * -- none\n"
    )
    done = pvtrace("divergences", userland, "--suppress", known)
    assert done.returncode == 0
    left = done.stdout.splitlines()[1:]
    assert left
    assert not any("pushf" in line for line in left)
    assert "line 5 suppresses nothing" in done.stderr
    for text, words in (
        ("pushf try_*", "line 1"),
        ("pushf -- why", "line 1"),
        ("\nfoo * -- x", "'foo' is no rule"),
        ("pushf * -- ", "line 1"),
    ):
        known.write_text(text)
        refused = pvtrace("divergences", userland, "--suppress", known)
        assert refused.returncode == 3
        assert words in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_record_stops_at_the_first_proven_difference(pvtrace: Pvtrace, userland: Path, tmp_path: Path) -> None:
    first = next(row for row in found(pvtrace, userland) if row["status"] == "proven")
    guest = resources.files("pvtrace.demo").joinpath("userland.elf")
    done = pvtrace("record", str(guest), "--break-on", "divergence", "-o", tmp_path / "until.pvt")
    assert done.returncode == 0
    assert f"{first['step']:,} steps" in done.stderr
    assert f"--break-on divergence: {first['rule']}" in done.stderr
    assert pvtrace("replay", tmp_path / "until.pvt").returncode == 0


def test_explain_has_a_page_for_every_rule(pvtrace: Pvtrace) -> None:
    listed = [line.split()[0] for line in pvtrace("explain").stdout.splitlines()[1:]]
    assert listed == list(RULES)
    for rule in RULES.values():
        page = rule.page
        assert page.startswith(f"# {rule.title[0].upper()}{rule.title[1:]}\n"), rule.id
        for heading in ("**What happens.**", "**Natively.**", "**Why.**", "**In the guest.**", "**Example.**"):
            assert heading in page, (rule.id, heading)
    assert RULES["user-iopl"].page.splitlines()[0] in pvtrace("explain", "user-iopl").stdout
    refused = pvtrace("explain", "nothing")
    assert refused.returncode == 2
    assert "'nothing' is no rule" in refused.stderr


@pytest.mark.parametrize("name", ["missing.pvt", "text.pvt"])
def test_what_is_no_recording_is_refused_in_one_sentence(pvtrace: Pvtrace, tmp_path: Path, name: str) -> None:
    (tmp_path / "text.pvt").write_text("no recording")
    done = pvtrace("divergences", name)
    assert done.returncode == 3
    assert done.stderr.startswith("pvtrace: ")
    assert done.stderr.count("\n") == 1
