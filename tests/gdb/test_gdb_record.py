"""`pvtrace record --gdb`: live under the real gdb, with everything that ran behind it to go back to."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest

from pvtrace.session.replay import replay
from pvtrace.store.reader import TraceReader
from tests.gdb.conftest import TIMEOUT, Served
from tests.gdb.test_gdb_sessions import NO_MORE, numbers

Start = Callable[..., Served]


@pytest.fixture
def start(tmp_path: Path, require_tool: Callable[[str], Path]) -> Iterator[Start]:
    """`start(name)` records a demo guest under gdb, at a free port."""
    gdb, servers = require_tool("gdb"), []

    def begin(name: str, *options: str) -> Served:
        path = tmp_path / f"{name}.pvt"
        guest = str(resources.files("pvtrace.demo").joinpath(f"{name}.elf"))
        command = [sys.executable, "-m", "pvtrace", "record", guest, "-o", str(path), "--gdb", "127.0.0.1:0", *options]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        servers.append(server)
        assert server.stderr is not None
        said = ""
        while "waiting for gdb" not in said:
            said = server.stderr.readline()
            assert said, "it did not come up"
        server.stderr.readline()
        port = int(said.rpartition("127.0.0.1:")[2].split(";")[0])
        return Served(path, port, server, gdb)

    yield begin
    for server in servers:
        server.kill()
        server.communicate()


def test_it_stands_at_the_first_instruction(start: Start) -> None:
    said = start("irqs").script("x/i $pc", "print $step", "reverse-stepi", "monitor info")
    assert "; it is being recorded\n" in said
    assert "<_start>" in said
    assert NO_MORE in said


def test_live_back_and_live_again(start: Start, recorded: Callable[[str], Path]) -> None:
    served = start("irqs")
    first = ("break on_timer", "continue", "print $step", "continue", "print $step")
    back = ("reverse-continue", "print $step", "reverse-stepi 5", "print $step")
    again = ("continue", "print $step", "continue", "print $step", "continue", "print $step")
    one, two, one_again, before, one_more, two_more, three = numbers(served.script(*first, *back, *again))
    assert before < one_again == one == one_more < two == two_more < three
    ended = served.script("delete", "continue", "print $step", "reverse-stepi 100", "kill")
    assert NO_MORE in ended
    assert "the guest has ended: " in ended
    assert served.server.wait(TIMEOUT) == 0
    assert replay(served.recording).complete
    with TraceReader(served.recording) as here, TraceReader(recorded("irqs")) as wanted:
        assert list(here.events()) == list(wanted.events())


def test_what_ran_is_kept_whenever_it_is_killed(start: Start) -> None:
    served = start("userland")
    (step,) = numbers(served.script("break try_popf", "continue", "print $step", "reverse-stepi 1000", "kill"))
    assert served.server.wait(TIMEOUT) == 0
    result = replay(served.recording)
    assert result.complete
    assert result.steps == step


def test_what_if_at_the_live_edge(start: Start, recorded: Callable[[str], Path]) -> None:
    served = start("irqs")
    said = served.script(
        *("break on_timer", "continue", "print ticks", "print ticks = 5"),
        *("monitor what-if on", "print ticks = 50", "continue", "print ticks > 50"),
        *("monitor what-if off", "maintenance flush register-cache", "print ticks", "continue", "print ticks"),
    )
    assert numbers(said) == [0, 50, 1, 0, 1]
    served.script("delete", "continue", "kill")
    assert served.server.wait(TIMEOUT) == 0
    with TraceReader(served.recording) as here, TraceReader(recorded("irqs")) as wanted:
        assert list(here.events()) == list(wanted.events())


def test_a_busy_port_is_named_and_nothing_is_recorded(tmp_path: Path) -> None:
    guest = str(resources.files("pvtrace.demo").joinpath("hello.elf"))
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "pvtrace", "record", guest, "--gdb", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert f"cannot listen at 127.0.0.1:{port}: Address already in use" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--gdb", "--no-gdb"), "opposite"),
        (("missing.elf", "--gdb", "127.0.0.1:0"), "missing.elf"),
        (("hello.elf", "--gdb", "other.elf"), "no address"),
        (("--gdb", "0", "hello.elf", "--until", "5"), "--until"),
        ((), "GUEST"),
    ],
)
def test_words_that_cannot_be(words: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "hello.elf").write_bytes(resources.files("pvtrace.demo").joinpath("hello.elf").read_bytes())
    command = [sys.executable, "-m", "pvtrace", "record", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False, cwd=tmp_path)
    assert done.returncode in (2, 3)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.pvt"))
