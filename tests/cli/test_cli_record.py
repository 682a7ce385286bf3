"""`pvtrace record`: names of files, exit codes, what is printed where. Real guests in real processes."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Pvtrace

EXIT_0 = b"\x30\xc0\xe6\xf4"  # xor al, al; out 0xf4, al
EXIT_5 = b"\xb0\x05\xe6\xf4"  # mov al, 5; out 0xf4, al
FOR_EVER = b"\xeb\xfe"  # jmp $
NOWHERE = b"\x0f\x01\x1d\x00\x00\x00\x00\x0f\x0b"  # lidt [0] (all ones in the vectors are no gates); ud2
"""With no way to deliver #UD, #DF comes, and after it the triple fault."""

Guest = Callable[[bytes], Path]


def steps(trace: Path) -> int:
    with sqlite3.connect(trace) as database:
        return int(database.execute("SELECT step FROM progress").fetchone()[0])


def test_a_guest_that_ends_well(pvtrace: Pvtrace, guest: Guest, tmp_path: Path) -> None:
    done = pvtrace("record", guest(EXIT_0), "--vmi", "none")
    assert done.returncode == 0
    assert done.stdout == ""
    assert "recorded guest.pvt: 2 steps" in done.stderr
    for command in ("pvtrace replay guest.pvt --tui", "pvtrace events guest.pvt --summary", "sqlite3 guest.pvt"):
        assert f"\n  {command}" in done.stderr
    assert steps(tmp_path / "guest.pvt") == 2


def test_the_next_commands_work_when_pasted(pvtrace: Pvtrace, guest: Guest, tmp_path: Path) -> None:
    done = pvtrace("record", guest(EXIT_0), "-o", "a b.pvt")
    commands = [line.strip() for line in done.stderr.splitlines() if line.startswith("  ")]
    assert len(commands) == 4
    for command in commands:
        pasted = command.replace("pvtrace ", f"{sys.executable} -m pvtrace ", 1)
        shown = subprocess.run(pasted, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
        if command.endswith("--tui"):  # which wants a terminal, and this is none
            assert "terminal" in shown.stderr
        else:
            assert shown.returncode == 0


def test_each_recording_has_its_own_name(pvtrace: Pvtrace, guest: Guest, tmp_path: Path) -> None:
    for _ in range(3):
        assert pvtrace("record", guest(EXIT_0)).returncode == 0
    assert {path.name for path in tmp_path.glob("*.pvt")} == {"guest.pvt", "guest-2.pvt", "guest-3.pvt"}


def test_only_force_overwrites(pvtrace: Pvtrace, guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "kept.pvt").write_text("kept")
    refused = pvtrace("record", guest(EXIT_0), "-o", "kept.pvt")
    assert refused.returncode == 2
    assert refused.stderr.startswith("pvtrace: kept.pvt exists")
    assert (tmp_path / "kept.pvt").read_text() == "kept"
    assert pvtrace("record", guest(EXIT_0), "-o", "kept.pvt", "--force", "--vmi", "none").returncode == 0
    assert steps(tmp_path / "kept.pvt") == 2


@pytest.mark.parametrize(("code", "words"), [(EXIT_5, "exit with code 5"), (NOWHERE, "triple fault")])
def test_a_guest_that_fails_is_recorded(
    pvtrace: Pvtrace, guest: Guest, tmp_path: Path, code: bytes, words: str
) -> None:
    done = pvtrace("-q", "record", guest(code), "--vmi", "none")
    assert done.returncode == 1
    assert done.stderr.startswith("pvtrace: the guest failed at step 2: " + words)
    assert done.stderr.count("\n") == 1
    assert pvtrace("replay").returncode == 0
    assert steps(tmp_path / "guest.pvt") == 2


def test_until_a_step_ends_well(pvtrace: Pvtrace, guest: Guest, tmp_path: Path) -> None:
    assert pvtrace("record", guest(FOR_EVER), "--until", "12345").returncode == 0
    assert steps(tmp_path / "guest.pvt") == 12345


def test_a_time_out_is_exit_code_124(pvtrace: Pvtrace, guest: Guest) -> None:
    done = pvtrace("record", guest(FOR_EVER), "--timeout", "0.2", "--console", "null")
    assert done.returncode == 124
    assert "stopped by --timeout" in done.stderr
    assert pvtrace("replay").returncode == 0


def test_ctrl_c_is_exit_code_130_and_keeps_what_ran(guest: Guest, pvtrace: Pvtrace, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pvtrace", "record", str(guest(FOR_EVER)), "--console", "null"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    trace = tmp_path / "guest.pvt"
    while not trace.exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped by Ctrl-C" in errors
    assert steps(trace) > 0
    assert pvtrace("replay").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("missing.elf",), "missing.elf"),
        (("text.elf",), "text.elf"),
        (("guest.elf", "--module", "missing.bin"), "missing.bin"),
        (("guest.elf", "-o", "nowhere/x.pvt"), "nowhere/x.pvt"),
        (("guest.elf", "--console", "nowhere/x.txt"), "nowhere/x.txt"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_3(
    pvtrace: Pvtrace, guest: Guest, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    guest(EXIT_0)
    (tmp_path / "text.elf").write_text("this is no guest\n")
    done = pvtrace("record", *arguments)
    assert done.returncode == 3
    assert done.stderr.startswith("pvtrace: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_console_is_on_standard_output_or_in_a_file(pvtrace: Pvtrace, hello: Path, tmp_path: Path) -> None:
    shown = pvtrace("-q", "record", hello)
    assert shown.stdout.endswith("goodbye\n")
    assert shown.stderr == ""
    hidden = pvtrace("-q", "record", hello, "--console", "null")
    assert hidden.stdout == ""
    filed = pvtrace("-q", "record", hello, "--console", "out.txt")
    assert filed.stdout == ""
    assert (tmp_path / "out.txt").read_text() == shown.stdout


def test_events_are_printed_as_they_happen(pvtrace: Pvtrace, hello: Path) -> None:
    done = pvtrace("-q", "record", hello, "--print", "calls")
    lines = done.stderr.splitlines()
    assert len(lines) > 5
    assert all(" VMI " in line for line in lines)
    assert "VMI Shutdown()" in lines[-1]
