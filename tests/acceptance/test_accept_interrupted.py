"""However a recording ends, what ran until then is a valid trace, and the shell is told how it was."""

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from pvtrace.model.stops import Why
from pvtrace.store.reader import TraceReader
from tests.acceptance.conftest import Run, Start, demo, end_of, identical, one_sentence, run, steps_in, until
from tests.machine.small import assemble, elf

Pvtrace = Callable[..., Run]

WELL, FAILED, BAD_INPUT, TIMED_OUT, INTERRUPTED = 0, 1, 3, 124, 130
KILLS: Final = 50

EVENTFUL: Final = """
start:
    INIT
    mov ebx, MEMORY
.again:
    call V_GETMASK
    mov eax, [ebx]
    inc dword [ebx]
    add ebx, 4096
    and ebx, 0x1FFFFF
    or ebx, MEMORY & 0xFFFF0000
    mov ecx, 200
    loop $
    jmp .again
"""
"""Makes a call every 200 steps, and changes memory, for ever."""

FOR_EVER: Final = elf(b"\xeb\xfe")
WAITING: Final = demo("echo")


@pytest.fixture
def eventful(tmp_path: Path) -> Path:
    path = tmp_path / "eventful.elf"
    path.write_bytes(assemble(EVENTFUL))
    return path


@pytest.fixture
def for_ever(tmp_path: Path) -> Path:
    path = tmp_path / "ever.elf"
    path.write_bytes(FOR_EVER)
    return path


def ending(path: Path) -> tuple[int, Why] | None:
    with TraceReader(path) as trace:
        found = trace.ending()
        return None if found is None else (found.step, found.why)


# ------------------------------------------------------------------------------------------------------------ kill -9


def begun(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


RECORDERS: Final = """
import os, sys
from pathlib import Path
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        output = Path(line.strip())
        record(RecordOptions(Path(sys.argv[1]), output, vmi="13.3", console="null", checkpoint_every=5000))
    print(child, flush=True)
    os.waitpid(child, 0)
"""
"""A process that starts a recorder, without the time that Python takes to start, for each name that it is given."""


@pytest.mark.slow
def test_kill_at_fifty_random_moments(eventful: Path, tmp_path: Path) -> None:
    """Killed, with -9, the recording is a prefix that can be replayed."""
    chosen = random.Random(2006)
    reached = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", RECORDERS, eventful], text=True, **pipes) as nursery:  # type: ignore[call-overload]
        for number in range(KILLS):
            path = tmp_path / f"{number}.pvt"
            print(path, file=nursery.stdin, flush=True)
            recorder = int(nursery.stdout.readline())
            until(partial(begun, path))
            time.sleep(chosen.uniform(0, 0.5))
            os.kill(recorder, signal.SIGKILL)
            until(partial(gone, recorder))
            assert ending(path) is None
            result = identical(path, ended=False)
            assert result.stop is None
            reached.append(result.steps)
    assert len(set(reached)) > KILLS // 4
    assert sum(steps > 5000 for steps in reached) > KILLS // 2


def test_a_kill_in_the_middle_of_a_change_of_journals(tmp_path: Path) -> None:
    """What SQLite calls a hot journal: the next who opens the file must take the change back."""
    done = run(tmp_path, "record", demo("hello"))
    assert done.returncode == WELL, done.stderr
    path, killed = tmp_path / "hello.pvt", tmp_path / "killed.pvt"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript("PRAGMA cache_size = 1; BEGIN; UPDATE event SET flags = 0; UPDATE blob SET size = 0")
        for suffix in ("", "-journal"):
            shutil.copy(tmp_path / f"hello.pvt{suffix}", tmp_path / f"killed.pvt{suffix}")
        database.rollback()
    assert killed.read_bytes() != path.read_bytes()
    identical(killed)
    assert killed.read_bytes() == path.read_bytes()


def test_a_prefix_is_said_to_be_one(eventful: Path, tmp_path: Path, start: Start, pvtrace: Pvtrace) -> None:
    process = start("-q", "record", eventful, "--console", "null", "--checkpoint-every", "100k")
    path = tmp_path / "eventful.pvt"
    until(lambda: steps_in(path) > 200_000)
    process.kill()
    process.wait()
    replayed = pvtrace("replay")
    assert replayed.returncode == WELL, replayed.stderr
    assert "cut short" in replayed.stdout
    assert pvtrace("events", "--kind", "calls", "--until", "10000").stdout.count("GetInterruptMask") > 10
    assert pvtrace("info").returncode == WELL


def test_a_recording_that_grows_can_be_read_and_replayed(eventful: Path, tmp_path: Path, start: Start) -> None:
    process = start("-q", "record", eventful, "--console", "null", "--checkpoint-every", "100k", "--until", "3M")
    path = tmp_path / "eventful.pvt"
    until(lambda: steps_in(path) > 100_000)
    done = run(tmp_path, "replay")
    assert done.returncode == WELL, done.stderr
    process.send_signal(signal.SIGINT)
    end_of(process)


# ------------------------------------------------------------------------------------------------- Ctrl-C and --timeout


def interrupt_when(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> tuple[int, str]:
    until(ready)
    process.send_signal(signal.SIGINT)
    return end_of(process)


def test_ctrl_c_while_it_runs(eventful: Path, tmp_path: Path, start: Start) -> None:
    process = start("record", eventful, "--checkpoint-every", "100k")
    path = tmp_path / "eventful.pvt"
    code, errors = interrupt_when(lambda: steps_in(path) > 200_000, process)
    assert code == INTERRUPTED
    assert "stopped by Ctrl-C" in errors
    result = identical(path)
    assert ending(path) == (result.steps, Why.ARRIVED)


def test_ctrl_c_while_nothing_happens(for_ever: Path, tmp_path: Path, start: Start) -> None:
    process = start("record", for_ever, "--checkpoint-every", "1M")
    path = tmp_path / "ever.pvt"
    code, _ = interrupt_when(lambda: steps_in(path) > 0, process)
    assert code == INTERRUPTED
    identical(path)


def test_ctrl_c_while_it_waits_for_input(tmp_path: Path, start: Start) -> None:
    process = start("record", WAITING)
    path = tmp_path / "echo.pvt"
    until(path.exists)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"one\n")
    process.stdin.flush()
    while b"ONE" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(0.2)  # it halts now
    process.send_signal(signal.SIGINT)
    code, errors = end_of(process)
    assert code == INTERRUPTED
    assert "stopped by Ctrl-C" in errors
    result = identical(path)
    assert result.stop is not None
    assert result.stop.why is Why.ARRIVED
    assert "ONE" in "".join(str(row) for row in console(path))


def console(path: Path) -> list[object]:
    with TraceReader(path) as trace:
        return trace.rows("SELECT text FROM console WHERE direction = 'out'")


def test_ctrl_c_again_and_again_does_no_harm(eventful: Path, tmp_path: Path, start: Start) -> None:
    """Impatient people press it more than once."""
    path = tmp_path / "eventful.pvt"
    process = start("record", eventful, "--checkpoint-every", "100k")
    until(lambda: steps_in(path) > 200_000)
    for _ in range(20):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        time.sleep(0.005)
    code, errors = end_of(process)
    assert code in (INTERRUPTED, -signal.SIGINT), errors
    replayed = run(tmp_path, "replay")
    assert replayed.returncode == WELL, replayed.stderr


def test_ctrl_c_at_the_very_beginning(tmp_path: Path, start: Start, for_ever: Path) -> None:
    """As soon as there is a file: no traceback, and no half of a trace that cannot be read."""
    for number, delay in enumerate((0.0, 0.005, 0.02, 0.05)):
        path = tmp_path / f"{number}.pvt"
        process = start("record", for_ever, "-o", path)
        until(path.exists)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        code, _ = end_of(process)
        assert code == INTERRUPTED
        if path.stat().st_size:
            identical(path, ended=ending(path) is not None)


def test_timeout(eventful: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", eventful, "--timeout", "0.5")
    assert done.returncode == TIMED_OUT
    assert "stopped by --timeout" in done.stderr
    identical(tmp_path / "eventful.pvt")


def test_timeout_while_it_waits_for_input(tmp_path: Path, start: Start) -> None:
    """A guest that waits for a key that nobody presses does not outlive its time."""
    process = start("record", WAITING, "--timeout", "1")
    code, errors = end_of(process)
    assert code == TIMED_OUT, errors
    identical(tmp_path / "echo.pvt")


# --------------------------------------------------------------------------------------------------------------- until


@pytest.mark.parametrize(("goal", "steps"), [("1", 1), ("4", 4), ("12345", 12345), ("0.001s", 100_000)])
def test_until(goal: str, steps: int, eventful: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", eventful, "--until", goal)
    assert done.returncode == WELL, done.stderr
    path = tmp_path / "eventful.pvt"
    assert identical(path).steps == max(steps, 4)  # the ROMs' initialisation takes 4
    assert ending(path) == (max(steps, 4), Why.ARRIVED)


def test_until_a_symbol(pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", demo("userland"), "--until", "try_popf")
    assert done.returncode == WELL, done.stderr
    path = tmp_path / "userland.pvt"
    result = identical(path)
    assert ending(path) == (result.steps, Why.BREAKPOINT)
    assert "try_popf" not in pvtrace("events", "--kind", "flag_attempt").stdout
    assert "try_cli" in pvtrace("events", "--kind", "flag_attempt").stdout


def test_until_further_than_the_guest_goes(pvtrace: Pvtrace) -> None:
    for goal in ("1G", "100s"):
        done = pvtrace("record", demo("hello"), "--until", goal)
        assert done.returncode == WELL
        assert "shutdown" in done.stderr


@pytest.mark.parametrize("goal", ["no_such_function", "-1", "1.5", "s", "", "1e6", "20 s"])
def test_until_what_cannot_be_reached(goal: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", demo("hello"), "--until", goal)
    assert done.returncode == 2
    assert not list(tmp_path.glob("*.pvt"))


def test_until_virtual_time_that_a_halt_jumps_over(pvtrace: Pvtrace, tmp_path: Path) -> None:
    """20 seconds of virtual time are 20 seconds, although nearly all of them are slept through."""
    path = tmp_path / "sleepy.elf"
    path.write_bytes(
        assemble(
            "start:\n INIT\n LOAD_IDT\n GATE 0x20, t\n PIC 0xFE\n PIT 0xFFFF\n s: sti\n hlt\n jmp s\nt: EOI\n RETURN"
        )
    )
    done = pvtrace("record", path, "--until", "20s", "--vmi", "13.3")
    assert done.returncode == WELL, done.stderr
    result = identical(tmp_path / "sleepy.pvt")
    with TraceReader(tmp_path / "sleepy.pvt") as trace:
        halts = trace.rows("SELECT count(*) FROM event WHERE kind = 60")[0][0]
        (reached,) = trace.rows("SELECT max(a) FROM event WHERE kind = 61")[0]
    assert 364 <= halts <= 365  # 18.2 in a second
    assert 2_000_000_000 <= reached < 2_006_000_000
    assert result.steps < 10_000


# ------------------------------------------------------------------------------------------------------ a lack of space


@pytest.mark.parametrize("size", ["300k", "1M", "2M"])
def test_max_size(size: str, eventful: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", eventful, "--max-size", size, "--checkpoint-every", "100k")
    assert done.returncode == WELL, done.stderr
    assert "largest size" in done.stderr
    path = tmp_path / "eventful.pvt"
    identical(path)
    limit = {"300k": 300 << 10, "1M": 1 << 20, "2M": 2 << 20}[size]
    # what is noticed is a batch too late at most
    assert path.stat().st_size < limit + (1 << 20)


def limited(size: int) -> Callable[[], None]:
    """Files of this process can be no larger: writing more fails, as on a full disk."""

    def before_it_starts() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return before_it_starts


@pytest.mark.parametrize("size", [400 << 10, 1 << 20, 3 << 20])
def test_a_file_that_cannot_grow(size: int, eventful: Path, start: Start, tmp_path: Path) -> None:
    """The run ends with a sentence, and what was written replays."""
    process = start("-q", "record", eventful, "--checkpoint-every", "100k", preexec_fn=limited(size))
    code, errors = end_of(process)
    assert code == FAILED, errors
    assert errors.count("\n") == 1
    assert errors.startswith("pvtrace: cannot write eventful.pvt: ") or "cannot write" in errors
    path = tmp_path / "eventful.pvt"
    assert identical(path, ended=False).steps > 10_000


def test_no_room_for_any_file(eventful: Path, start: Start, tmp_path: Path) -> None:
    process = start("-q", "record", eventful, preexec_fn=limited(8192))
    code, errors = end_of(process)
    assert code in (FAILED, BAD_INPUT)
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.stat().st_size and path != eventful] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("only root can make a small disk")
    return folder


def test_a_full_disk(eventful: Path, small_disk: Path, tmp_path: Path) -> None:
    try:
        path = small_disk / "eventful.pvt"
        done = run(tmp_path, "-q", "record", eventful, "-o", path, "--checkpoint-every", "100k")
        assert done.returncode == FAILED
        assert one_sentence(done) == f"cannot write {path}: the disk is full"
        assert identical(path, ended=False).steps > 10_000
    finally:
        subprocess.run(["umount", small_disk], check=True)


def test_the_folder_disappears(eventful: Path, tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    path = folder / "eventful.pvt"
    process = start("-q", "record", eventful, "-o", path, "--until", "2M", "--checkpoint-every", "100k")
    until(lambda: steps_in(path) > 100_000)
    shutil.rmtree(folder)
    code, errors = end_of(process)
    assert code in (WELL, FAILED)
    assert "Traceback" not in errors


def test_standard_input_that_is_closed(tmp_path: Path, start: Start) -> None:
    process = start("-q", "record", WAITING, stdin=None, preexec_fn=lambda: os.close(0))
    code, errors = end_of(process)
    assert code == WELL, errors
    identical(tmp_path / "echo.pvt")
