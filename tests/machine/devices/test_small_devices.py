"""The devices with a register or two: exit port, debug console, delay and port 61h."""

from itertools import pairwise

import pytest

from pvtrace.machine.devices.debug_console import DebugConsole, DelayPort
from pvtrace.machine.devices.exit_port import DebugExit
from pvtrace.machine.devices.pit import PIT_HZ, Pit
from pvtrace.machine.devices.port61 import Port61
from pvtrace.model.stops import Why


class Ends:
    """What devices asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Why, int]] = []

    def __call__(self, why: Why, code: int) -> None:
        self.asked.append((why, code))


@pytest.mark.parametrize(("width", "value"), [(1, 0), (1, 3), (2, 0x1234), (4, 0xDEADBEEF)])
def test_debug_exit(width: int, value: int) -> None:
    ends = Ends()
    device = DebugExit(ends)
    assert device.read(0, width, 0) == 0
    device.write(1, 1, 7, 0)
    device.write(0, width, value, 0)
    assert ends.asked == [(Why.EXIT, value)]
    device.load(device.save())


def test_debug_console() -> None:
    out = bytearray()
    device = DebugConsole(out.append)
    assert device.read(0, 1, 0) == 0xE9
    for byte in b"hi":
        device.write(0, 1, byte, 0)
    assert out == b"hi"
    device.load(device.save())


def test_delay_port() -> None:
    device, copy = DelayPort(), DelayPort()
    device.write(0, 1, 0x42, 0)
    copy.load(device.save())
    assert copy.read(0, 1, 0) == 0x42


def test_port_61_gates_and_shows_counter_2() -> None:
    """As kernels calibrate: gate off, mode 0, count, gate on, wait for bit 5."""
    pit = Pit(PIT_HZ, lambda _level: None)
    port, copy = Port61(pit), Port61(pit)
    port.write(0, 1, 0, 0)
    pit.write(3, 1, 0xB0, 0)
    pit.write(2, 1, 100, 0)
    pit.write(2, 1, 0, 0)
    assert not port.read(0, 1, 5000) & 0x20
    port.write(0, 1, 0xF1, 5000)
    assert port.read(0, 1, 5000) & 0x2F == 0x01
    assert not port.read(0, 1, 5099) & 0x20
    assert port.read(0, 1, 5101) & 0x20
    copy.load(port.save())
    assert copy.read(0, 1, 5101) == port.read(0, 1, 5101)


def test_port_61_shows_the_refresh_of_memory() -> None:
    port = Port61(Pit(PIT_HZ, lambda _level: None))
    levels = [port.read(0, 1, now) >> 4 & 1 for now in range(0, 180, 6)]
    assert sum(a != b for a, b in pairwise(levels)) == 9
