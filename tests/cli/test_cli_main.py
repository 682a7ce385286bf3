"""What becomes of errors, and of hosts that cannot run pvtrace."""

import os
import subprocess
import sys

import pytest

from pvtrace.cli.host import NEEDS, unsuitable
from pvtrace.cli.main import main


def pvtrace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pvtrace", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("system", "machine", "version"),
    [
        ("darwin", "arm64", (3, 12)),
        ("linux", "aarch64", (3, 12)),
        ("win32", "AMD64", (3, 11)),
        ("linux", "x86_64", (3, 10)),
    ],
)
def test_other_hosts_are_told_in_one_sentence(system: str, machine: str, version: tuple[int, int]) -> None:
    sentence = unsuitable(system, machine, version)
    assert sentence is not None
    assert sentence.startswith(NEEDS)
    assert system in sentence
    assert machine in sentence


@pytest.mark.parametrize("version", [(3, 11), (3, 14), (4, 0)])
def test_this_kind_of_host_is_fine(version: tuple[int, int]) -> None:
    assert unsuitable("linux", "x86_64", version) is None


@pytest.mark.parametrize(
    "arguments",
    [("frobnicate",), ("--frobnicate",), ("completion", "tcsh"), ("events", "--kind", "nonsense"), ("record",)],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = pvtrace(*arguments)
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pvtrace", "completion", "bash"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_main_returns_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "Record and replay:" in capsys.readouterr().out
