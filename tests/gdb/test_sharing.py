"""gdb and a terminal UI in one walk: they take turns, and each is told when the other has moved."""

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gdbstub import server
from gdbstub.packet import encode
from pvtrace.gdb.sharing import Shared
from pvtrace.model.errors import UsageError
from pvtrace.session.commands import Commands
from pvtrace.session.explore import Walk, exploring
from tests.gdb.conftest import TIMEOUT
from tests.gdb.test_gdb_sessions import ask, numbers, receive

SAID = "that was it"
"""What gdb says behind each answer."""

Record = Callable[[str], Path]


@contextmanager
def shared(path: Path) -> Iterator[tuple[Shared, Walk, int, list[int]]]:
    """With the port, and the places to which gdb has moved."""
    moves: list[int] = []
    with exploring(path) as walk:
        both = Shared(walk, Commands(walk), lambda: moves.append(walk.timeline.here))
        words = both.listen("127.0.0.1", 0)
        yield both, walk, int(words.rpartition(":")[2].rstrip("'")), moves
        both.close()


def await_(holds: Callable[[], bool]) -> None:
    """Until it does; gdb's thread may have to come to it first."""
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_is_told_when_the_other_moved(recorded: Record) -> None:
    with (
        shared(recorded("irqs")) as (both, walk, port, moves),
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as gdb,
    ):
        assert ask(gdb, b"QStartNoAckMode") == b"OK"
        assert ask(gdb, b"s").startswith(b"T05")
        await_(lambda: moves == [walk.timeline.first + 1])
        with both.turn() as free:
            assert free
            walk.timeline.seek(5000)
        stopped = ask(gdb, b"s")
        assert stopped.startswith(b"T05")
        with both.turn():
            assert walk.timeline.here == 5000
        assert ask(gdb, b"s").startswith(b"T05")
        with both.turn():
            assert walk.timeline.here == 5001
        await_(lambda: moves[-1] == 5001)
        with both.turn():
            walk.timeline.seek(6000)
        assert len(ask(gdb, b"g")) > 100  # it has looked, and knows where it is
        assert ask(gdb, b"s").startswith(b"T05")
        await_(lambda: moves[-1] == 6001)


def test_whoever_comes_later_is_not_told_of_moves_before(recorded: Record) -> None:
    with shared(recorded("irqs")) as (both, walk, port, moves):
        with both.turn():
            walk.timeline.seek(5000)
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as gdb:
            assert ask(gdb, b"QStartNoAckMode") == b"OK"
            assert ask(gdb, b"?").startswith(b"T05")
            assert ask(gdb, b"s").startswith(b"T05")
            await_(lambda: moves == [5001])


def said_to(gdb: "subprocess.Popen[str]", command: str) -> str:
    """What the real gdb answers."""
    assert gdb.stdin is not None
    assert gdb.stdout is not None
    gdb.stdin.write(f"{command}\necho \\n{SAID}\\n\n")
    gdb.stdin.flush()
    lines: list[str] = []
    for line in gdb.stdout:
        if line.rstrip() == SAID:
            break
        lines.append(line)
    return "".join(lines)


def test_the_real_gdb_is_told_that_somebody_moved(recorded: Record, require_tool: Callable[[str], Path]) -> None:
    """A reverse-stepi is the opposite of a stepi, or a stop that says why not."""
    with shared(recorded("irqs")) as (both, walk, port, _):
        words = [str(require_tool("gdb")), "-nx", "-q", "-ex", "set confirm off", "-ex", f"target remote :{port}"]
        gdb = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said_to(gdb, "set prompt")
        for number in range(6):
            before = numbers(said_to(gdb, "print $step"))
            said_to(gdb, "stepi")
            moved = bool(number % 2)
            if moved:
                with both.turn():
                    walk.timeline.seek(2000 + 17 * number)
            told = said_to(gdb, "reverse-stepi")
            assert ("somebody else moved: step 2," in told) is moved
            assert (numbers(said_to(gdb, "print $step")) == before) is not moved
        gdb.communicate("quit\n", TIMEOUT)
        assert gdb.returncode == 0


def test_the_real_gdb_beside_somebody_who_moves_at_any_time(
    recorded: Record, require_tool: Callable[[str], Path]
) -> None:
    """Wherever the other one goes, and whenever."""
    program = require_tool("gdb")
    with shared(recorded("irqs")) as (both, walk, port, _):
        commands = ["stepi", "print $step", "reverse-stepi", "print $step"] * 40
        arguments = [part for command in [f"target remote :{port}", *commands] for part in ("-ex", command)]
        words = [str(program), "-nx", "-q", "-batch", *arguments]
        gdb = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        number = 0
        while gdb.poll() is None:
            number += 1
            with both.turn():
                walk.timeline.seek(2000 + 17 * (number % 50))
            time.sleep(0.02)
        said = gdb.communicate()[0]
    assert len(numbers(said)) == 80
    assert "Traceback" not in said


def test_a_run_of_gdb_can_be_interrupted_from_the_other_side(recorded: Record) -> None:
    with shared(recorded("irqs")) as (both, walk, port, _):
        hold = threading.Event()
        told: list[int] = []

        def slowly(step: int) -> None:
            told.append(step)
            hold.wait(0.02)

        walk.timeline.progress(slowly)
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as gdb:
            assert ask(gdb, b"QStartNoAckMode") == b"OK"
            gdb.sendall(encode(b"c"))
            await_(lambda: both.running and bool(told))
            with both.turn(wait=False) as free:
                assert not free
            both.interrupt()
            assert receive(gdb).startswith(b"T02")
            hold.set()
            with both.turn():
                assert walk.timeline.here < walk.timeline.last


def test_a_busy_port_is_named(recorded: Record) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, exploring(recorded("irqs")) as walk:
        port = busy.getsockname()[1]
        both = Shared(walk, Commands(walk), lambda: None)
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}: Address already in use"):
            both.listen("127.0.0.1", port)
        both.close()


def test_closing_ends_a_conversation(recorded: Record) -> None:
    with shared(recorded("irqs")) as (both, _, port, _):
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as gdb:
            assert ask(gdb, b"QStartNoAckMode") == b"OK"
            both.close()
            assert gdb.recv(100) == b""
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)


def test_whoever_waits_is_told_how_far_it_is(recorded: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """As console output of gdb, at every look here instead of every second."""
    monkeypatch.setattr(server, "PATIENCE", 0.0)
    with (
        shared(recorded("irqs")) as (_, walk, port, _),
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as gdb,
    ):
        assert ask(gdb, b"QStartNoAckMode") == b"OK"
        gdb.sendall(encode(b"c"))
        data = b""
        while b"replaylog:end" not in data:
            data += gdb.recv(4096)
    told = [bytes.fromhex(packet.decode()).decode() for packet in re.findall(rb"\$O([0-9a-f]+)#", data)]
    assert told.pop().startswith("the guest has ended: ")
    assert told
    assert all(re.fullmatch(r"at step [\d,]+; verified up to step [\d,]+\n", text) for text in told)
    assert walk.timeline.verified == walk.timeline.last
