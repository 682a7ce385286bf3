"""`pvtrace gdb`: gdb in one command, with the guest's symbols and the commands that go beyond gdb's own."""

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from tests.gdb.conftest import TIMEOUT

SCRIPT = "info symbol $pc\npvtrace goto 70000\nprint $step\npvtrace when\nquit\n"


def test_it_starts_gdb_attached(recorded: Callable[[str], Path], require_tool: Callable[[str], Path]) -> None:
    require_tool("gdb")
    done = subprocess.run(
        [sys.executable, "-m", "pvtrace", "gdb", str(recorded("userland"))],
        input=SCRIPT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "_start in section .boot" in done.stdout
    assert "$1 = 70000" in done.stdout
    assert "step 70,000," in done.stdout


def test_a_recording_that_is_none_is_named(tmp_path: Path, require_tool: Callable[[str], Path]) -> None:
    require_tool("gdb")
    (tmp_path / "bad.pvt").write_bytes(b"x" * 1000)
    command = [sys.executable, "-m", "pvtrace", "gdb", str(tmp_path / "bad.pvt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode != 0
    assert "bad.pvt is not a trace" in done.stderr
    assert "Traceback" not in done.stderr


ENDLESS = """
volatile unsigned counter, beside;

void _start(void)
{
    for (;;)
        counter++;
}
"""


IN_THE_TERMINAL = 'exec "$@" <>"$0" >&0 2>&0'
"""The first terminal that the first process of a session opens is the one whose Ctrl-C it gets."""


@dataclass
class Terminal:
    """`pvtrace gdb` in a terminal of its own."""

    process: "subprocess.Popen[bytes]"
    descriptor: int
    said: str = ""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def wait_for(self, text: str) -> None:
        """Until it says this behind what was waited for last."""
        end = time.monotonic() + TIMEOUT
        before = len(self.said)
        while text not in self.said[before:]:
            assert time.monotonic() < end, f"{text!r} does not come: {self.said}"
            if select.select([self.descriptor], [], [], 0.1)[0]:
                self.said += os.read(self.descriptor, 65536).decode()
            else:
                assert self.process.poll() is None, self.said


@pytest.fixture
def terminal(tmp_path: Path, require_tool: Callable[[str], Path]) -> Iterator[Terminal]:
    """On a recording whose end is far away for whoever watches the word beside its counter."""
    require_tool("gdb")
    source, guest, trace = tmp_path / "endless.c", tmp_path / "endless.elf", tmp_path / "endless.pvt"
    source.write_text(ENDLESS)
    flags = ("-m32", "-O1", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-Wl,-Ttext=0x100000,--build-id=none")
    subprocess.run([str(require_tool("gcc")), *flags, "-o", str(guest), str(source)], check=True)
    record(RecordOptions(guest, trace, console="null", until="1G"))
    descriptor, inside = pty.openpty()
    command = [sys.executable, "-m", "pvtrace", "gdb", str(trace)]
    process = subprocess.Popen(
        ["sh", "-c", IN_THE_TERMINAL, os.ttyname(inside), *command],
        env={**os.environ, "TERM": "dumb"},
        start_new_session=True,
    )
    yield Terminal(process, descriptor)
    process.terminate()
    process.wait(TIMEOUT)
    os.close(inside)
    os.close(descriptor)


def test_ctrl_c_stops_the_run_again_and_again(terminal: Terminal) -> None:
    terminal.wait_for("(gdb) ")
    terminal.type("watch *(int *)&beside\n")
    for _ in range(2):
        terminal.type("continue\n")
        terminal.wait_for("at step ")
        terminal.type("\x03")
        terminal.wait_for("SIGINT")
    terminal.type("quit\n")
    terminal.wait_for("(y or n) ")
    terminal.type("y\n")
    terminal.wait_for("detached]")
    assert terminal.process.wait(TIMEOUT) == 0


def test_a_terminal_that_is_closed_leaves_nobody_serving(terminal: Terminal) -> None:
    terminal.wait_for("(gdb) ")
    port = int(terminal.said.partition("127.0.0.1:")[2].split()[0])
    terminal.process.send_signal(signal.SIGHUP)
    assert terminal.process.wait(TIMEOUT) == 128 + signal.SIGHUP
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
