"""`pvtrace gdb`: gdb in one command, with the guest's symbols and the commands that go beyond gdb's own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
