"""What was recorded is replayed identically: in a new process, fifty times over, and with the clock of the host."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from pvtrace.model.inputs import InputKind
from pvtrace.store.reader import TraceReader
from tests.acceptance.conftest import DEMOS, PATIENCE, Run, command, demo, digest_of, identical

Pvtrace = Callable[..., Run]

RECORDINGS: Final = 50
PROCESSES: Final = 5
LIVE: Final = 20

RECORD_MANY: Final = """
import sys
from pathlib import Path
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
for name in sys.argv[2:]:
    record(RecordOptions(Path(sys.argv[1]), Path(name), console="null"))
"""


@pytest.mark.parametrize("name", DEMOS)
def test_each_demo_in_a_new_process(name: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    recorded = pvtrace("record", demo(name))
    assert recorded.returncode == 0, recorded.stderr
    replayed = pvtrace("replay")
    assert replayed.returncode == 0, replayed.stderr
    with TraceReader(tmp_path / f"{name}.pvt") as trace:
        steps, events = trace.last(), trace.progress().mark.events
    assert replayed.stdout == f"identical: {name}.pvt, {steps:,} steps, {events:,} events\n"


@pytest.mark.slow
def test_fifty_recordings_are_equal(tmp_path: Path) -> None:
    names = [f"{number}.pvt" for number in range(RECORDINGS)]
    share = RECORDINGS // PROCESSES
    for first in range(0, RECORDINGS, share):
        done = subprocess.run(
            [sys.executable, "-c", RECORD_MANY, demo("userland"), *names[first : first + share]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": str(first)},
            timeout=PATIENCE,
            check=False,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
    assert len({digest_of(tmp_path / name) for name in names}) == 1
    identical(tmp_path / names[-1])


def type_slowly(process: subprocess.Popen[bytes], chosen: random.Random) -> None:
    """Waits until the guest listens, and a random time before each word."""
    assert process.stdin is not None
    assert process.stdout is not None
    while b"UTC" not in process.stdout.readline():
        assert process.poll() is None
    for word in (b"one", b" two\n", b"three\n", b"quit\n"):
        time.sleep(chosen.uniform(0.0, 0.12))
        process.stdin.write(word)
        process.stdin.flush()


def record_live(folder: Path, name: str, number: int) -> Path:
    """A recording by the host's clock, with what is typed coming at random moments."""
    path = folder / f"{name}-{number}.pvt"
    options = ("--clock", "host", "--timeout", str(PATIENCE), "-o", path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command("-q", "record", demo(name), *options), **pipes) as process:  # type: ignore[call-overload]
        if name == "echo":
            type_slowly(process, random.Random(number))
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors.decode()
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("name", ["echo", "irqs"])
def test_with_the_clock_of_the_host(name: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda number: record_live(tmp_path, name, number), range(LIVE)))
    assert len({digest_of(path) for path in paths}) == LIVE
    for path in paths:
        identical(path)
        with TraceReader(path) as trace:
            kinds = {item.kind for item in trace.inputs()}
        assert kinds & {InputKind.CLOCK, InputKind.WAKE}
        if name == "echo":
            assert {InputKind.CONSOLE, InputKind.WALLCLOCK} <= kinds


def test_a_silent_guest_has_an_empty_input_log(pvtrace: Pvtrace) -> None:
    assert pvtrace("record", demo("userland")).returncode == 0
    assert "a silent guest" in pvtrace("info").stdout


@pytest.mark.parametrize("profile", ["both", "3.0", "13.3", "none"])
def test_each_profile(profile: str, pvtrace: Pvtrace) -> None:
    recorded = pvtrace("record", demo("userland"), "--vmi", profile)
    assert recorded.returncode == 0, recorded.stderr
    assert ("userland: paravirtual" in recorded.stdout) == (profile != "none")
    assert pvtrace("replay").returncode == 0


@pytest.mark.parametrize("every", ["1", "997", "100k"])
def test_any_distance_of_checkpoints(every: str, pvtrace: Pvtrace) -> None:
    assert pvtrace("record", demo("hello"), "--checkpoint-every", every, "--until", "3000").returncode == 0
    done = pvtrace("replay")
    assert done.returncode == 0, done.stderr
    assert "3,000 steps" in done.stdout


@pytest.mark.parametrize("hz", ["1", "1000000", "4000000000"])
def test_any_speed_of_time(hz: str, pvtrace: Pvtrace) -> None:
    recorded = pvtrace("record", demo("echo"), "--hz", hz, stdin=b"hello\nquit\n")
    assert recorded.returncode == 0, recorded.stderr
    assert pvtrace("replay").returncode == 0
