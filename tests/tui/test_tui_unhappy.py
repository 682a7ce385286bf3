"""What can be wrong with a recording or a terminal: a clear sentence, and nothing broken."""

import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tui.conftest import Open
from tests.tui.terminal import PATIENCE, clean
from tests.tui.test_tui_terminal import ready

Recording = Callable[[str], Path]

PROGRAM = [sys.executable, "-m", "pvtrace", "replay"]


def on_a_terminal(words: list[str], folder: Path, **environment: str) -> tuple[int, str]:
    """Exit code and all output of a program that has a terminal of its own and leaves by itself."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env={**clean(folder), **environment},
        start_new_session=True,
    ) as process:
        os.close(slave)
        output = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            output += piece
        process.wait(PATIENCE)
    os.close(master)
    return process.returncode, output.decode()


def test_a_pipe_is_no_terminal(recording: Recording, tmp_path: Path) -> None:
    recording("hello")
    done = subprocess.run(
        [*PROGRAM, "hello.pvt", "--tui"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--tui needs a terminal" in done.stderr
    assert done.stdout == ""


def test_at_goes_with_the_screen_alone(recording: Recording, tmp_path: Path) -> None:
    recording("hello")
    done = subprocess.run(
        [*PROGRAM, "hello.pvt", "--at", "5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert "--at STEP goes with --tui" in done.stderr


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:70_000])


def _no_trace(path: Path) -> None:
    path.write_text("hello\n" * 2000)


def _no_checkpoint(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM checkpoint")


@pytest.mark.parametrize("harm", [_empty, _cut, _no_trace, _no_checkpoint])
def test_a_trace_that_cannot_be_opened(recording: Recording, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    harm(recording("hello"))
    code, output = on_a_terminal(["hello.pvt", "--tui", "--no-gdb"], tmp_path)
    assert code == 3
    assert output.count("\n") == 1, output
    assert "hello.pvt" in output
    assert "\x1b[?1049" not in output


def test_a_step_that_is_not_there(recording: Recording, tmp_path: Path) -> None:
    recording("hello")
    code, output = on_a_terminal(["hello.pvt", "--tui", "--no-gdb", "--at", "99999999"], tmp_path)
    assert code == 2
    assert "goes from step 4 to step 36,774" in output


def test_a_terminal_that_cannot_move_its_cursor(recording: Recording, tmp_path: Path) -> None:
    recording("hello")
    code, output = on_a_terminal(["hello.pvt", "--tui"], tmp_path, TERM="dumb")
    assert (code, "TERM is dumb" in output) == (2, True)


@pytest.mark.slow
def test_a_machine_that_cannot_be_built_leaves_the_events_to_be_read(opened: Open, recording: Recording) -> None:
    with sqlite3.connect(recording("userland")) as connection:
        state = connection.execute("SELECT state FROM checkpoint ORDER BY step LIMIT 1").fetchone()[0]
        connection.execute("UPDATE blob SET bytes = zeroblob(length(bytes)) WHERE hash = ?", (state,))
    terminal = opened("userland", 80, 24)
    terminal.wait_for("is damaged", "console_init")
    terminal.press("j")
    terminal.wait_for("2:events 2 of 1,582")
    terminal.press("q")
    terminal.wait_for("left with 0")


@pytest.mark.slow
def test_a_small_terminal_says_so_and_grows(opened: Open) -> None:
    terminal = opened("hello", 20, 5)
    terminal.wait_for("pvtrace needs 40x10;")
    terminal.resize(80, 24)
    terminal.wait(ready, "the whole screen")
    terminal.resize(20, 5)
    terminal.wait_for("20x5")
    terminal.press("q")
    terminal.wait_for("left with 0")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_the_terminal_is_put_back_when_the_program_is_ended(opened: Open, number: signal.Signals) -> None:
    terminal = opened("hello", 80, 24)
    terminal.wait(ready, "the whole screen")
    shell = terminal.tmux("display-message", "-p", "#{pane_pid}").strip()
    children = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(children[0]), number)
    terminal.wait_for("left with")
    assert terminal.tmux("display-message", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}").split() == [
        "0",
        "0",
        "1",
    ]


@pytest.mark.slow
def test_a_terminal_that_goes_away_ends_the_program(opened: Open) -> None:
    terminal = opened("hello", 80, 24)
    terminal.wait(ready, "the whole screen")
    shell = terminal.tmux("display-message", "-p", "#{pane_pid}").strip()
    child = int(subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True).stdout.split()[0])
    terminal.close()
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split(")")[1][:3]:
        assert time.monotonic() < end, "it runs on without a terminal"
        time.sleep(0.02)


@pytest.mark.slow
def test_no_colour_is_no_colour(opened: Open) -> None:
    terminal = opened("userland", 80, 24, NO_COLOR="1")
    terminal.wait(ready, "the whole screen")
    shown = terminal.colours()
    cursor = next(row for row in shown.splitlines() if "▸" in row)
    assert re.search(r"\x1b\[[\d;]*7m", cursor)  # it is seen all the same
    for code in (*range(30, 38), *range(90, 98), 48):
        assert f"\x1b[{code}" not in shown
        assert f";{code}m" not in shown


@pytest.mark.slow
def test_a_recording_that_cannot_be_judged_says_why(opened: Open, recording: Recording) -> None:
    with sqlite3.connect(recording("hello")) as connection:
        where = "step = (SELECT max(step) FROM checkpoint)"
        connection.execute(f"UPDATE checkpoint SET ram_digest = zeroblob(length(ram_digest)) WHERE {where}")
    terminal = opened("hello", 100, 30)
    terminal.wait_for("divergences cannot be told: diverged at step 36774")
    terminal.press("0")
    terminal.wait_for("divergences: not known")
    terminal.press("q")
    terminal.wait_for("left with 0")
