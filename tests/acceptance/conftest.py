"""pvtrace as its users run it: real processes, real files, real signals."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import IO, Any, Final

import pytest

from pvtrace.session.replay import ReplayResult, replay
from pvtrace.store.reader import TraceReader

DEMOS: Final = ("hello", "faults", "irqs", "echo", "userland", "timing")
PATIENCE: Final = 120.0
"""Seconds after which a process that should have ended counts as hung."""

Run = subprocess.CompletedProcess[str]


def demo(name: str) -> Path:
    """The ELF file of a demo guest."""
    path = resources.files("pvtrace.demo").joinpath(f"{name}.elf")
    assert isinstance(path, Path)
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pvtrace", *map(str, arguments)]


def run(folder: Path, *arguments: str | Path, stdin: bytes | Path = b"") -> Run:
    """`pvtrace ARGUMENTS` in a folder, to its end; `stdin` comes through a pipe, or is a file. Whatever pvtrace does,
    it shows no traceback."""
    with contextlib.ExitStack() as stack:
        given: dict[str, Any] = {"input": stdin}
        if isinstance(stdin, Path):
            given = {"stdin": stack.enter_context(stdin.open("rb"))}
        done = subprocess.run(
            command(*arguments), cwd=folder, capture_output=True, timeout=PATIENCE, check=False, **given
        )
    text = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )
    assert "Traceback" not in text.stderr, text.stderr
    return text


@pytest.fixture
def pvtrace(tmp_path: Path) -> Callable[..., Run]:
    """Runs pvtrace in the test's own folder."""
    return lambda *arguments, stdin=b"": run(tmp_path, *arguments, stdin=stdin)


def identical(path: Path, ended: bool = True) -> ReplayResult:
    """Replays a recording in this process, which is never the one that recorded it."""
    result = replay(path)
    assert result.complete == ended
    with TraceReader(path) as trace:
        assert result.steps == trace.last()
        assert result.events == trace.progress().mark.events
    return result


def digest_of(path: Path) -> bytes:
    """The digest of everything: memory, CPU, devices, VMI state, inputs and events."""
    with TraceReader(path) as trace:
        ending = trace.ending()
    assert ending is not None
    assert ending.digest is not None
    return ending.digest


def one_sentence(done: Run) -> str:
    """What was said about an error: one line for people."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("pvtrace: ")
    return lines[0].removeprefix("pvtrace: ")


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts pvtrace with pipes; what still runs at the end of the test is killed."""
    running: list[subprocess.Popen[bytes]] = []
    opened: list[IO[bytes] | None] = []

    def begin(*arguments: str | Path, **options: object) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command(*arguments),
            cwd=tmp_path,
            **{**pipes, **options},  # type: ignore[call-overload]
        )
        running.append(process)
        opened.extend((process.stdin, process.stdout, process.stderr))
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()
    for pipe in opened:
        if pipe is not None:
            pipe.close()


def end_of(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit code and standard error of a process that ends by itself. Its input stays open until the test ends."""
    process.stdin = None
    _, errors = process.communicate(timeout=PATIENCE)
    text = errors.decode()
    assert "Traceback" not in text, text
    return process.returncode, text


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def steps_in(path: Path) -> int:
    """How far a recording that grows has got; -1 before there is one."""
    try:
        with TraceReader(path) as trace:
            return trace.last()
    except Exception:
        return -1


@pytest.fixture
def busy() -> Iterator[None]:
    """Every core is busy with something else."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    yield
    for spinner in spinners:
        spinner.send_signal(signal.SIGKILL)
        spinner.wait()
