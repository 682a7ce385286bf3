"""PCI configuration space by mechanism 1, and the functions on bus 0: a host bridge and the VMI device; with a disk
also an ISA bridge and its IDE controller.

Registers by offset: 0-3 address (whole doublewords only; byte 1 is the reset control register), 4-7 data. Functions
that do not exist read all ones. None has a base address register or an interrupt of its own: the IDE controller is in
compatibility mode, without bus mastering. Sources: PCI local bus specification 2.1, 3.7.4 and 6.1; 82371SB (PIIX3) data
sheet for the reset control register and the IDE timing registers; PCI IDE controller specification 1.0.
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


MULTIFUNCTION: Final = 0x80
IDE_TIMING: Final = 0x40
DECODES: Final = 1 << 15  # of a channel's timing register: its ports answer


def header(vendor: int, device: int, class_code: int, revision: int = 0, *, more: bool = False) -> bytes:
    """The 256 bytes of a function of header type 0. `class_code`: base class, subclass and interface in 24 bits;
    `more`: the device has other functions."""
    start = struct.pack("<HHHHIBBB", vendor, device, 0, 0, class_code << 8 | revision, 0, 0, MULTIFUNCTION * more)
    return start.ljust(256, b"\0")


def ide_controller() -> bytes:
    """As a BIOS leaves it: the first channel answers at its ISA ports."""
    space = bytearray(header(0x8086, 0x7010, 0x010180))
    struct.pack_into("<H", space, COMMAND, 1)
    struct.pack_into("<H", space, IDE_TIMING, DECODES)
    return bytes(space)


FUNCTIONS: Final[Mapping[int, bytes]] = {
    0 << 3: header(0x8086, 0x1237, 0x060000, revision=2),
    15 << 3: header(VMI_VENDOR, VMI_DEVICE, 0x088000),
}
"""By device << 3 | function."""

DISK_FUNCTIONS: Final[Mapping[int, bytes]] = {
    1 << 3: header(0x8086, 0x7000, 0x060100, more=True),
    1 << 3 | 1: ide_controller(),
}
"""What is there besides if the machine has a disk."""


class Pci:
    width = 4

    def __init__(self, end: EndRun) -> None:
        self._end = end
        self._address = 0
        self._functions = {place: bytearray(space) for place, space in FUNCTIONS.items()}

    def add(self, functions: Mapping[int, bytes]) -> None:
        """Before the machine runs."""
        self._functions.update((place, bytearray(space)) for place, space in functions.items())

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
