"""The real outside: pipes, a pseudo terminal, files, clocks."""

import os
import pty
import signal
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import NEVER, Step
from pvtrace.tape.live import POLL_STEPS, FileKeyboard, Live, NoKeyboard, typed_through

HZ = 1_000_000


@pytest.fixture
def pipe() -> Iterator[tuple[FileKeyboard, int]]:
    """A keyboard and the descriptor to type into."""
    read, write = os.pipe()
    yield FileKeyboard(read), write
    os.close(read)
    try:
        os.close(write)
    except OSError:
        return


def later(seconds: float, descriptor: int, data: bytes | None) -> threading.Thread:
    """Type after a while; None: close."""

    def act() -> None:
        time.sleep(seconds)
        if data is None:
            os.close(descriptor)
        else:
            os.write(descriptor, data)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_silent_world_never_stops_the_machine() -> None:
    live = Live(NoKeyboard())
    assert live.due(Step(5)) == NEVER
    assert live.take(Step(5)) == []
    assert live.idle(Step(5), 50, 100) is None
    assert live.idle(Step(5), 50, None) is None


def test_bytes_arrive_and_end(pipe: tuple[FileKeyboard, int]) -> None:
    keyboard, write = pipe
    live = Live(keyboard, monotonic=lambda: 0.0)
    assert live.take(Step(0)) == []
    assert live.due(Step(0)) == POLL_STEPS
    os.write(write, b"hello")
    assert live.take(Step(POLL_STEPS)) == [Input(Step(POLL_STEPS), InputKind.CONSOLE, data=b"hello")]
    os.write(write, b" world")
    os.close(write)
    data = b"".join(item.data for n in range(2, 5) for item in live.take(Step(n * POLL_STEPS)))
    assert data == b" world"
    live.take(Step(6 * POLL_STEPS))
    assert live.due(Step(6 * POLL_STEPS)) == NEVER


def test_it_also_looks_by_the_hosts_time(pipe: tuple[FileKeyboard, int]) -> None:
    """A guest that causes many exits makes few steps; bytes must not wait for a million of them."""
    keyboard, write = pipe
    now = [0.0]
    live = Live(keyboard, monotonic=lambda: now[0])
    live.take(Step(0))
    os.write(write, b"x")
    assert live.take(Step(10)) == ()
    assert live.due(Step(10)) == POLL_STEPS
    now[0] += 0.01
    assert live.due(Step(10)) == 11
    assert [item.data for item in live.take(Step(20))] == [b"x"]


def test_halted_until_bytes_come(pipe: tuple[FileKeyboard, int]) -> None:
    keyboard, write = pipe
    live = Live(keyboard)
    live.take(Step(7))
    thread = later(0.05, write, b"go")
    assert live.idle(Step(7), 70, None) == Input(Step(7), InputKind.WAKE, 70)
    thread.join()
    assert live.take(Step(7)) == [Input(Step(7), InputKind.CONSOLE, data=b"go")]


def test_halted_when_the_bytes_end(pipe: tuple[FileKeyboard, int]) -> None:
    keyboard, write = pipe
    thread = later(0.05, write, None)
    assert Live(keyboard).idle(Step(7), 70, None) is None
    thread.join()
    assert not keyboard.open


def test_virtual_time_jumps_to_the_alarm_unless_bytes_are_there(pipe: tuple[FileKeyboard, int]) -> None:
    keyboard, write = pipe
    live = Live(keyboard)
    start = time.monotonic()
    assert live.idle(Step(7), 70, 10**15) is None
    assert time.monotonic() - start < 5
    os.write(write, b"now")
    assert live.idle(Step(7), 70, 10**15) == Input(Step(7), InputKind.WAKE, 70)
    assert [item.data for item in live.take(Step(7))] == [b"now"]


def test_an_interrupt_ends_the_wait(pipe: tuple[FileKeyboard, int]) -> None:
    keyboard, _ = pipe
    timer = threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        Live(keyboard).idle(Step(7), 70, None)
    timer.join()
    assert keyboard.open


def test_the_hosts_clock_is_virtual_time() -> None:
    now = [100.0]
    live = Live(NoKeyboard(), hz=HZ, monotonic=lambda: now[0], wallclock=lambda: 12345)
    assert live.take(Step(0)) == []
    now[0] += 0.5
    assert live.take(Step(10)) == [Input(Step(10), InputKind.CLOCK, HZ // 2)]
    assert live.take(Step(11)) == ()
    assert live.take(Step(10**7)) == []  # no time has passed
    assert live.due(Step(10**7)) < NEVER
    assert live.read(Step(12), InputKind.WALLCLOCK) == Input(Step(12), InputKind.WALLCLOCK, 12345)
    with pytest.raises(ValueError, match="cannot ask for CONSOLE"):
        live.read(Step(12), InputKind.CONSOLE)


def test_halted_until_the_alarm_by_the_hosts_clock() -> None:
    live = Live(NoKeyboard(), hz=HZ)
    live.take(Step(0))
    start = time.monotonic()
    woken = live.idle(Step(5), 10, HZ // 20)
    assert time.monotonic() - start >= 0.04
    assert woken is not None
    assert woken.value is not None
    assert HZ // 20 <= woken.value < HZ * 5
    assert live.idle(Step(5), 10, None) is None


def test_halted_until_bytes_come_before_the_alarm(pipe: tuple[FileKeyboard, int]) -> None:
    keyboard, write = pipe
    live = Live(keyboard, hz=HZ)
    live.take(Step(0))
    thread = later(0.02, write, b"go")
    woken = live.idle(Step(5), 10, HZ * 1000)
    thread.join()
    assert woken is not None
    assert woken.value is not None
    assert HZ // 100 < woken.value < HZ * 100
    assert [item.kind for item in live.take(Step(5))][-1] is InputKind.CONSOLE


def test_bytes_that_end_do_not_end_a_halt(pipe: tuple[FileKeyboard, int]) -> None:
    keyboard, write = pipe
    os.close(write)
    live = Live(keyboard, hz=HZ)
    live.take(Step(0))
    woken = live.idle(Step(5), 10, HZ // 50)
    assert woken is not None
    assert woken.value is not None
    assert woken.value >= HZ // 50


def test_a_file_as_console(tmp_path: Path) -> None:
    path = tmp_path / "typed"
    path.write_bytes(b"a" * 300)
    with path.open("rb") as file:
        live = Live(FileKeyboard(file.fileno()))
        items = [item for n in range(5) for item in live.take(Step(n * POLL_STEPS))]
    assert b"".join(item.data for item in items) == b"a" * 300
    assert live.due(Step(5 * POLL_STEPS)) == NEVER


def test_a_terminal_gives_each_key_at_once_and_is_put_back() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with typed_through(slave):
        during = termios.tcgetattr(slave)
        assert not during[3] & (termios.ICANON | termios.ECHO)
        assert during[3] & termios.ISIG
        os.write(master, b"k")
        live = Live(FileKeyboard(slave))
        live.idle(Step(1), 0, None)
        assert [item.data for item in live.take(Step(1))] == [b"k"]
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_a_terminal_that_goes_away() -> None:
    master, slave = pty.openpty()
    keyboard = FileKeyboard(slave)
    os.close(master)
    assert Live(keyboard).idle(Step(1), 0, None) is None
    assert not keyboard.open
    os.close(slave)


def test_no_terminal_is_left_alone(pipe: tuple[FileKeyboard, int]) -> None:
    _, write = pipe
    with typed_through(write):
        os.write(write, b"x")
