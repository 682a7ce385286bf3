"""The I/O port space.

The bus knows which device answers which port, splits accesses that are wider than a device, and gathers the devices'
state and timers. What a register means is the device's affair; what an access means to the guest is the machine's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from pvtrace.machine.devices.device import Device, State, Timer

PORTS: Final = 0x10000
UNKNOWN: Final = "unknown_ports"
"""Key of the bus's own part of the saved state; no device may have this name."""


class Region(NamedTuple):
    """`size` ports from `port` on are the registers of `device` from `offset` on."""

    port: int
    size: int
    device: str
    offset: int = 0


class Answer(NamedTuple):
    """`first_unknown`: no device answers this port, and this is the first time that it was used."""

    value: int
    first_unknown: bool


class PortBus:
    """Devices by name and the regions where they answer. Raises ValueError for regions that overlap."""

    def __init__(self, devices: Mapping[str, Device], regions: Sequence[Region], timers: Sequence[Timer] = ()) -> None:
        if UNKNOWN in devices:
            raise ValueError(f"a device may not be named {UNKNOWN}")
        self._devices = dict(devices)
        self._timers = tuple(timers)
        self._places: dict[int, Region] = {}
        self._unknown: set[int] = set()
        self._claim(regions)

    def add(self, name: str, device: Device, regions: Sequence[Region]) -> None:
        """One more device. Raises ValueError as the constructor does."""
        self._devices[name] = device
        self._claim(regions)

    def _claim(self, regions: Sequence[Region]) -> None:
        for region in regions:
            for port in range(region.port, region.port + region.size):
                if port not in range(PORTS):
                    raise ValueError(f"port {port:#x} of {region.device} is outside the port space")
                if port in self._places:
                    raise ValueError(f"port {port:#x} is claimed by {self._places[port].device} and {region.device}")
                self._places[port] = region
        for region in regions:
            if region.device not in self._devices:
                raise ValueError(f"there is no device {region.device}")

    def read(self, port: int, width: int, now: int) -> Answer:
        """`width` is 1, 2 or 4 bytes. Ports without a device read all ones; a wide access may meet several devices."""
        place = self._place(port, width)
        if place is not None:
            device, offset = place
            return Answer(device.read(offset, width, now), first_unknown=False)
        if self._is_unknown(port, width):
            return Answer((1 << 8 * width) - 1, self._first_use(port))
        half = width // 2
        low = self.read(port, half, now)
        high = self.read(port + half & PORTS - 1, half, now)
        return Answer(low.value | high.value << 8 * half, low.first_unknown or high.first_unknown)

    def write(self, port: int, width: int, value: int, now: int) -> bool:
        """Store the low `width` bytes of `value`. Returns Answer.first_unknown."""
        value &= (1 << 8 * width) - 1
        place = self._place(port, width)
        if place is not None:
            device, offset = place
            device.write(offset, width, value, now)
            return False
        if self._is_unknown(port, width):
            return self._first_use(port)
        half = width // 2
        low = self.write(port, half, value, now)
        high = self.write(port + half & PORTS - 1, half, value >> 8 * half, now)
        return low or high

    def next_event(self, now: int) -> int | None:
        """The earliest time in ticks at which a timer has something to do; None for never."""
        earliest: int | None = None
        for timer in self._timers:  # a loop: this is asked at every access
            due = timer.next_event(now)
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        return earliest

    def advance(self, now: int) -> None:
        """Let the timers do all that is due."""
        for timer in self._timers:
            timer.advance(now)

    def save(self) -> dict[str, Any]:
        """Plain data, canonical: equal states of the bus and all its devices give equal data."""
        return {UNKNOWN: sorted(self._unknown), **{name: device.save() for name, device in self._devices.items()}}

    def load(self, state: State) -> None:
        self._unknown = set(state[UNKNOWN])
        for name, device in self._devices.items():
            device.load(state[name])

    def _is_unknown(self, port: int, width: int) -> bool:
        return all(port + byte & PORTS - 1 not in self._places for byte in range(width))

    def _first_use(self, port: int) -> bool:
        first = port not in self._unknown
        self._unknown.add(port)
        return first

    def _place(self, port: int, width: int) -> tuple[Device, int] | None:
        """The device that takes this access whole, and the offset in it."""
        region = self._places.get(port)
        if region is None or port + width > region.port + region.size:
            return None
        device = self._devices[region.device]
        return (device, region.offset + port - region.port) if width <= device.width else None
