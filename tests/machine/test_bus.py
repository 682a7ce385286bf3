import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.bus import UNKNOWN, PortBus, Region
from pvtrace.machine.devices.debug_console import DelayPort
from pvtrace.machine.devices.device import State
from pvtrace.machine.pc import PC_REGIONS, Platform, pc_platform
from pvtrace.model.stops import Why

HZ = 100_000_000


class Memory:
    """Registers that remember: a device as wide as asked."""

    def __init__(self, size: int, width: int) -> None:
        self.width = width
        self.bytes = bytearray(size)
        self.accesses: list[tuple[int, int]] = []

    def read(self, offset: int, width: int, _now: int) -> int:
        self.accesses.append((offset, width))
        return int.from_bytes(self.bytes[offset : offset + width], "little")

    def write(self, offset: int, width: int, value: int, _now: int) -> None:
        self.accesses.append((offset, width))
        self.bytes[offset : offset + width] = value.to_bytes(width, "little")

    def save(self) -> State:
        return {"bytes": list(self.bytes)}

    def load(self, state: State) -> None:
        self.bytes = bytearray(state["bytes"])


class World:
    """A PC and what it does to the outside."""

    def __init__(self, ram_size: int = 64 << 20) -> None:
        self.out = bytearray()
        self.ends: list[tuple[Why, int]] = []
        self.pc: Platform = pc_platform(
            hz=HZ,
            ram_size=ram_size,
            wallclock=lambda now: now * 1_000_000_000 // HZ,
            transmitted=self.out.append,
            end=lambda why, code: self.ends.append((why, code)),
        )


@pytest.mark.parametrize(
    "regions",
    [
        [Region(0x10, 4, "a"), Region(0x13, 1, "a")],
        [Region(0xFFFF, 2, "a")],
        [Region(0x10, 1, "b")],
    ],
)
def test_a_bad_port_map_is_refused(regions: list[Region]) -> None:
    with pytest.raises(ValueError, match=r"claimed|outside|no device"):
        PortBus({"a": DelayPort()}, regions)
    with pytest.raises(ValueError, match="named"):
        PortBus({UNKNOWN: DelayPort()}, [])


def test_a_device_sees_offsets_and_its_own_width() -> None:
    device = Memory(8, width=2)
    bus = PortBus({"m": device}, [Region(0x100, 4, "m", 4), Region(0x200, 4, "m", 0)])
    assert not bus.write(0x100, 4, 0x44332211, 0)
    assert device.accesses == [(4, 2), (6, 2)]
    assert bus.read(0x101, 2, 0).value == 0x3322
    assert bus.read(0x103, 1, 0).value == 0x44
    bus.write(0x200, 1, 0x1FF, 0)
    assert bytes(device.bytes) == b"\xff\0\0\0\x11\x22\x33\x44"


def test_a_wide_access_may_meet_several_devices_and_holes() -> None:
    low, high = Memory(1, 1), Memory(1, 1)
    bus = PortBus({"low": low, "high": high}, [Region(0xFFFF, 1, "low"), Region(0x0001, 1, "high")])
    assert bus.write(0xFFFF, 4, 0x44332211, 0)  # FFFFh, then 0, 1 and 2: ports wrap
    assert low.bytes + high.bytes == b"\x11\x33"
    assert bus.read(0xFFFF, 4, 0) == (0xFF33FF11, False)


def test_unknown_ports_read_ones_and_are_told_once() -> None:
    bus = PortBus({}, [])
    assert bus.read(0x300, 2, 0) == (0xFFFF, True)
    assert bus.read(0x300, 1, 0) == (0xFF, False)
    assert not bus.write(0x300, 4, 0, 0)
    assert bus.write(0xCF8, 4, 0x80000000, 0)
    assert bus.read(0xCF8, 4, 0) == (0xFFFFFFFF, False)
    copy = PortBus({}, [])
    copy.load(json.loads(json.dumps(bus.save())))
    assert not copy.write(0xCF8, 4, 0, 0)
    assert copy.write(0xCFC, 4, 0, 0)


@given(st.integers(0, 15), st.sampled_from([1, 2, 4]), st.integers(0, (1 << 32) - 1), st.sampled_from([1, 2, 4]))
def test_width_never_matters_to_plain_registers(at: int, width: int, value: int, device_width: int) -> None:
    device = Memory(20, device_width)
    bus = PortBus({"m": device}, [Region(0x40, 20, "m")])
    bus.write(0x40 + at, width, value, 0)
    expected = bytearray(20)
    expected[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    assert device.bytes == expected
    assert bus.read(0x40 + at, width, 0).value == value & (1 << 8 * width) - 1


def test_no_two_devices_of_the_pc_share_a_port() -> None:
    ports = [port for region in PC_REGIONS for port in range(region.port, region.port + region.size)]
    assert len(ports) == len(set(ports))


def test_the_pc_as_its_bios_leaves_it() -> None:
    bus = World().pc.bus
    assert (bus.read(0x21, 1, 0).value, bus.read(0xA1, 1, 0).value) == (0xB8, 0x8E)
    assert bus.read(0x4D0, 2, 0).value == 0
    assert bus.read(0x64, 1, 0).value == 0x14
    assert bus.read(0xE9, 1, 0).value == 0xE9
    assert bus.read(0x3FD, 1, 0).value == 0x60
    assert bus.next_event(0) == -(-65_537 * HZ // 1_193_182)


def test_the_timer_reaches_the_cpu_as_vector_8() -> None:
    pc = World().pc
    due = pc.bus.next_event(0)
    assert due is not None
    assert pc.next_wake(0) == due
    pc.bus.advance(due - 1)
    assert not pc.pic.pending()
    pc.bus.advance(due)
    assert pc.pic.acknowledge() == 8
    assert pc.next_wake(due) is None  # it is in service: no further tick gets through
    pc.bus.write(0x20, 1, 0x20, due)
    following = pc.next_wake(due)
    assert following is not None
    assert following > due
    pc.bus.write(0x21, 1, 0xFF, due)
    assert pc.next_wake(due) is None


def test_console_bytes_in_and_out() -> None:
    world = World()
    bus = world.pc.bus
    for byte in b"ok":
        bus.write(0x3F8, 1, byte, 0)
    bus.write(0xE9, 1, ord("!"), 0)
    assert world.out == b"ok!"
    bus.write(0x21, 1, 0xEF, 0)
    bus.write(0x3F9, 1, 1, 0)
    world.pc.uart.receive(b"x")
    assert world.pc.pic.acknowledge() == 0x0C
    assert bus.read(0x3F8, 1, 0).value == ord("x")


@pytest.mark.parametrize(
    ("port", "width", "value", "asked"),
    [
        (0xF4, 1, 0, (Why.EXIT, 0)),
        (0xF4, 4, 5, (Why.EXIT, 5)),
        (0x604, 2, 0x2000, (Why.SHUTDOWN, 0)),
        (0x64, 1, 0xFE, (Why.REBOOT, 0)),
    ],
)
def test_ways_to_end(port: int, width: int, value: int, asked: tuple[Why, int]) -> None:
    world = World()
    world.pc.bus.write(port, width, value, 0)
    assert world.ends == [asked]


def test_time_and_memory_size_come_from_outside() -> None:
    bus = World(ram_size=32 << 20).pc.bus
    bus.write(0x70, 1, 0x00, 0)
    assert bus.read(0x71, 1, 42 * HZ).value == 0x42
    bus.write(0x70, 1, 0x35, 0)
    assert bus.read(0x71, 1, 0).value == 1


ports = st.sampled_from([p for r in PC_REGIONS for p in range(r.port, r.port + r.size)] + [0x300, 0x1CE])
accesses = st.lists(
    st.tuples(ports, st.sampled_from([1, 2, 4]), st.none() | st.integers(0, 0xFFFFFFFF), st.integers(0, 1 << 22)),
    max_size=40,
)


def drive(world: World, script: list[tuple[int, int, int | None, int]], now: int) -> tuple[list[Any], int]:
    seen: list[Any] = []
    bus = world.pc.bus
    for port, width, value, delay in script:
        now += delay
        bus.advance(now)
        seen.append(bus.read(port, width, now) if value is None else bus.write(port, width, value, now))
        seen.append((world.pc.pic.pending(), bus.next_event(now)))
    return seen, now


@given(accesses, accesses)
def test_a_saved_pc_goes_on_as_the_original(
    before: list[tuple[int, int, int | None, int]], after: list[tuple[int, int, int | None, int]]
) -> None:
    world, copy = World(), World()
    _, now = drive(world, before, 0)
    state = world.pc.bus.save()
    text = json.dumps(state, sort_keys=True)
    copy.pc.bus.load(json.loads(text))
    assert json.dumps(copy.pc.bus.save(), sort_keys=True) == text
    assert drive(world, after, now) == drive(copy, after, now)
    assert json.dumps(world.pc.bus.save(), sort_keys=True) == json.dumps(copy.pc.bus.save(), sort_keys=True)
    assert json.dumps(state, sort_keys=True) == text
