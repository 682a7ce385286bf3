"""Real processes, and guests of a few bytes."""

import struct
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

Run = subprocess.CompletedProcess[str]
Pvtrace = Callable[..., Run]

LOAD_AT = 0x100000
HEADERS = 52 + 32


def elf(code: bytes) -> bytes:
    """A 32-bit ELF executable of one segment at 1 MiB, which begins with these instructions."""
    header = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, LOAD_AT + HEADERS, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    size = HEADERS + len(code)
    segment = struct.pack("<8I", 1, 0, LOAD_AT, LOAD_AT, size, size, 5, 0x1000)
    return b"\x7fELF\x01\x01\x01" + bytes(9) + header + segment + code


@pytest.fixture
def guest(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes guest.elf from instructions."""

    def write(code: bytes) -> Path:
        path = tmp_path / "guest.elf"
        path.write_bytes(elf(code))
        return path

    return write


def run(folder: Path, *arguments: str | Path, stdin: str = "") -> Run:
    """`pvtrace ARGUMENTS` in a folder, with no terminal anywhere."""
    command = [sys.executable, "-m", "pvtrace", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def pvtrace(tmp_path: Path) -> Pvtrace:
    """Runs pvtrace in the test's own folder."""
    return lambda *arguments, stdin="": run(tmp_path, *arguments, stdin=stdin)


@pytest.fixture(scope="session")
def hello() -> Path:
    """The ELF file of the demo guest hello."""
    path = resources.files("pvtrace.demo").joinpath("hello.elf")
    assert isinstance(path, Path)
    return path


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory, hello: Path) -> Path:
    """A recording of it."""
    folder = tmp_path_factory.mktemp("hello")
    done = run(folder, "record", hello)
    assert done.returncode == 0, done.stderr
    return folder / "hello.pvt"
