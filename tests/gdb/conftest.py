"""Recordings served to the real gdb."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pytest

from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record

TIMEOUT = 120.0
"""Seconds for one session of gdb, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Served:
    """A recording that a process of its own serves."""

    recording: Path
    port: int
    server: "subprocess.Popen[str]"
    gdb: Path

    def script(self, *commands: str, attach: bool = True) -> str:
        """What gdb prints for these commands."""
        first = [f"target remote 127.0.0.1:{self.port}"] if attach else []
        settings = ["set pagination off", "set confirm off", "set width 0"]
        arguments = [part for command in (*settings, *first, *commands) for part in ("-ex", command)]
        command = [str(self.gdb), "-nx", "-q", "-batch", *arguments]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False
        )
        return done.stdout


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A demo guest by name, recorded once."""
    folder = tmp_path_factory.mktemp("gdb")

    def find(name: str) -> Path:
        path = folder / f"{name}.pvt"
        if not path.exists():
            guest = resources.files("pvtrace.demo").joinpath(f"{name}.elf")
            assert isinstance(guest, Path)
            record(RecordOptions(guest, path, console="null"))
        return path

    return find


@pytest.fixture
def served(require_tool: Callable[[str], Path]) -> Iterator[Callable[[Path], Served]]:
    """`served(path)` serves a recording at a free port."""
    gdb, servers = require_tool("gdb"), []

    def start(path: Path) -> Served:
        command = [sys.executable, "-m", "pvtrace", "replay", str(path), "--gdb", "127.0.0.1:0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout is not None
        said = server.stdout.readline()
        server.stdout.readline()
        port = int(said.rpartition("127.0.0.1:")[2].split(";")[0])
        return Served(path, port, server, gdb)

    yield start
    for server in servers:
        server.kill()
        server.communicate()


@pytest.fixture
def serve(recorded: Callable[[str], Path], served: Callable[[Path], Served]) -> Callable[[str], Served]:
    """`serve(name)` serves a demo guest at a free port."""
    return lambda name: served(recorded(name))
