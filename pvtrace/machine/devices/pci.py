"""PCI configuration space by mechanism 1, and the functions on bus 0: a host bridge and the VMI device.

Registers by offset: 0-3 address (whole doublewords only; byte 1 is the reset control register), 4-7 data. Functions
that do not exist read all ones. Neither function has a base address register or an interrupt. Sources: PCI local bus
specification 2.1, 3.7.4 and 6.1; 82371SB (PIIX3) data sheet for the reset control register.
"""

import struct
from collections.abc import Mapping
from typing import Final

from pvtrace.machine.devices.device import EndRun, State
from pvtrace.model.stops import Why

ENABLE: Final = 1 << 31
ADDRESS_BITS: Final = 0x80FFFFFC
RESET_CPU: Final = 0x04
RESET_OFFSET: Final = 1
DATA: Final = 4

COMMAND, CACHE_LINE, INTERRUPT_LINE = 0x04, 0x0C, 0x3C
WRITABLE: Final[Mapping[int, int]] = {
    COMMAND: 0x07,
    COMMAND + 1: 0x01,
    CACHE_LINE: 0xFF,
    CACHE_LINE + 1: 0xF8,
    INTERRUPT_LINE: 0xFF,
}
"""Bits of the bytes that can be written; everything else is fixed."""

VMI_VENDOR, VMI_DEVICE = 0x15AD, 0x0801


def header(vendor: int, device: int, class_code: int, revision: int = 0) -> bytes:
    """The 256 bytes of a function of header type 0. `class_code`: base class, subclass and interface in 24 bits."""
    start = struct.pack("<HHHHI", vendor, device, 0, 0, class_code << 8 | revision)
    return start.ljust(256, b"\0")


FUNCTIONS: Final[Mapping[int, bytes]] = {
    0 << 3: header(0x8086, 0x1237, 0x060000, revision=2),
    15 << 3: header(VMI_VENDOR, VMI_DEVICE, 0x088000),
}
"""By device << 3 | function."""


class Pci:
    width = 4

    def __init__(self, end: EndRun) -> None:
        self._end = end
        self._address = 0
        self._functions = {place: bytearray(space) for place, space in FUNCTIONS.items()}

    def read(self, offset: int, width: int, _now: int) -> int:
        if offset < DATA:
            return self._address >> 8 * offset & (1 << 8 * width) - 1
        function = self._selected()
        if function is None:
            return (1 << 8 * width) - 1
        at = (self._address & 0xFC) + offset - DATA
        return int.from_bytes(function[at : at + width], "little")

    def write(self, offset: int, width: int, value: int, _now: int) -> None:
        if offset >= DATA:
            self._write_data(offset - DATA, value.to_bytes(width, "little"))
        elif width == 4:
            self._address = value & ADDRESS_BITS
        elif offset == RESET_OFFSET and width == 1 and value & RESET_CPU:
            self._end(Why.REBOOT, 0)

    def save(self) -> State:
        return {
            "address": self._address,
            "functions": {str(place): space.hex() for place, space in self._functions.items()},
        }

    def load(self, state: State) -> None:
        self._address = state["address"]
        self._functions = {int(place): bytearray.fromhex(space) for place, space in state["functions"].items()}

    def _selected(self) -> bytearray | None:
        """The function that the address names; None if there is none."""
        if not self._address & ENABLE or self._address >> 16 & 0xFF:
            return None
        return self._functions.get(self._address >> 8 & 0xFF)

    def _write_data(self, offset: int, data: bytes) -> None:
        function = self._selected()
        if function is None:
            return
        for at, byte in enumerate(data, (self._address & 0xFC) + offset):
            mask = WRITABLE.get(at, 0)
            function[at] = function[at] & ~mask | byte & mask
