"""`pvtrace gdb`."""

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import click

from pvtrace.cli.arguments import chosen, recording_argument
from pvtrace.cli.voice import voiced
from pvtrace.gdb.address import HOST, PORT
from pvtrace.gdb.serve import SCRIPT
from pvtrace.model.errors import EngineError

LISTENING = re.compile(re.escape(HOST) + r":(\d+);")
"""In what a server says when it is ready (see gdb.serve)."""


@click.command()
@recording_argument
@voiced
def gdb(file: Path | None) -> int:
    """Debug a recording with gdb, forwards and backwards.

    Starts gdb with the guest's symbols: attached to the pvtrace that serves at 127.0.0.1:1234 if there is one and no
    FILE is named, else to FILE, or to the newest recording of the current folder. In gdb, `help pvtrace` lists the
    commands that go beyond gdb's own.

    \b
    Example:
      pvtrace gdb kernel.pvt
    """
    program = shutil.which("gdb")
    if program is None:
        raise EngineError("gdb is not installed (Debian: apt install gdb)")
    if file is None and answers(PORT):
        return run(program, PORT)
    with served(chosen(file)) as port:
        return run(program, port)


def run(program: str, port: int) -> int:
    """gdb in the terminal, until the person leaves it; its exit code."""
    attach: Sequence[str] = ("-ex", f"target remote {HOST}:{port}")
    with in_the_background():
        return subprocess.run([program, "-q", "-x", str(SCRIPT), *attach], check=False).returncode


@contextlib.contextmanager
def in_the_background() -> Iterator[None]:
    """While this lasts, Ctrl-C in the terminal is for gdb alone; a terminal that is closed, and kill, end it in order.

    SIGINT is caught, not ignored: what is ignored here would be ignored by gdb as well.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGHUP, signal.SIGTERM)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def served(path: Path) -> Iterator[int]:
    """A process that serves a recording at a port of its own; Ctrl-C in the terminal is not for it, but for gdb."""
    command = [sys.executable, "-m", "pvtrace", "replay", str(path), "--gdb", f"{HOST}:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        port = _port(server)
        threading.Thread(target=_drain, args=(server,), daemon=True).start()
        yield port
    finally:
        server.terminate()
        server.wait()


def _port(server: "subprocess.Popen[str]") -> int:
    """From what the server says when it is ready. What is wrong it has said itself."""
    assert server.stdout is not None
    for line in server.stdout:
        found = LISTENING.search(line)
        if found is not None:
            return int(found[1])
    raise EngineError("the recording could not be served to gdb")


def _drain(server: "subprocess.Popen[str]") -> None:
    """What it says from now on, gdb has said as well; but somebody has to read it, or it would have to wait."""
    assert server.stdout is not None
    deque(server.stdout, maxlen=0)
