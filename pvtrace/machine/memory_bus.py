"""The physical addresses at which devices, not memory, answer.

As the port bus: it knows who answers where, and what a register means is the device's affair. Where nobody answers,
loads give all ones and stores are dropped.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pvtrace.machine.devices.device import Device, State
from pvtrace.model.snapshot import PAGE

REMEMBERED: Final = 256
"""Pages without a device whose first use is told; what a guest touches beyond as many is not."""

APIC_BASE: Final = 0xFEE00000
IO_APIC_BASE: Final = 0xFEC00000


class Loaded(NamedTuple):
    """`first_unknown`: nobody answers in this page, and this is its first use."""

    value: int
    first_unknown: bool


class MemoryBus:
    """Devices by name, and the page-aligned address where the page of each begins; the first named wins a page."""

    def __init__(self, devices: Mapping[str, Device], bases: Mapping[str, int]) -> None:
        self._devices = dict(devices)
        self._bases: dict[str, int | None] = dict(bases)
        self._unknown: set[int] = set()

    def move(self, device: str, base: int | None) -> None:
        """Put a device elsewhere; None: it answers nowhere. Where memory is, memory answers."""
        self._bases[device] = base

    def read(self, address: int, width: int, now: int) -> Loaded:
        """`width`: bytes. A load that is wider than the device is made of several."""
        device = self._device(address)
        if device is None:
            return Loaded((1 << 8 * width) - 1, self._first_use(address))
        value = 0
        for at in range(0, width, device.width):
            part = min(device.width, width - at)
            value |= device.read(address % PAGE + at, part, now) << 8 * at
        return Loaded(value, first_unknown=False)

    def write(self, address: int, width: int, value: int, now: int) -> bool:
        """Returns Loaded.first_unknown."""
        device = self._device(address)
        if device is None:
            return self._first_use(address)
        for at in range(0, width, device.width):
            part = min(device.width, width - at)
            device.write(address % PAGE + at, part, value >> 8 * at & (1 << 8 * part) - 1, now)
        return False

    def save(self) -> dict[str, Any]:
        """Which pages were used; the devices are saved by their names."""
        return {"unknown": sorted(self._unknown)}

    def load(self, state: State) -> None:
        self._unknown = set(state["unknown"])

    def _device(self, address: int) -> Device | None:
        page = address - address % PAGE
        for name, base in self._bases.items():
            if base == page:
                return self._devices[name]
        return None

    def _first_use(self, address: int) -> bool:
        page = address // PAGE
        if page in self._unknown or len(self._unknown) >= REMEMBERED:
            return False
        self._unknown.add(page)
        return True
