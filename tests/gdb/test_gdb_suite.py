"""GNU gdb's own test files, run by the real gdb against recordings of gdb's own test programs (see suite/README.md)."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SUITE = Path(__file__).parent / "suite"
SOURCES = Path("/usr/src/gdb.tar.xz")
TIMEOUT = 1800.0
"""Seconds for one file, on a busy machine."""

TESTS = [line for line in (SUITE / "tests.txt").read_text().splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="session")
def suite(
    tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], Path]
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs one file of the testsuite. The sources are unpacked once for all workers."""
    for tool in ("gdb", "runtest", "gcc"):
        require_tool(tool)
    if not SOURCES.exists():
        reason = f"{SOURCES} is not there (Debian: apt install gdb-source)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    work = tmp_path_factory.mktemp("gdb-suite")

    def run(test: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        variables = {**os.environ, "PYTHON": sys.executable, "WORK": str(work), **environment}
        command = [str(SUITE / "run"), str(SUITE / "stub"), test]
        return subprocess.run(
            command,
            env=variables,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


Suite = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.slow
@pytest.mark.parametrize("test", TESTS)
def test_file(suite: Suite, test: str) -> None:
    done = suite(test)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_functions_of_the_guest_can_be_called_behind_what_if(suite: Suite) -> None:
    """The tests of break.exp that a recording must refuse, and all its others."""
    done = suite("gdb.base/break", STUB_FIRST="monitor what-if on")
    assert done.returncode == 0, done.stdout + done.stderr
