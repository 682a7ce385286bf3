"""The firmware configuration device of QEMU's PC, as far as guests look without a BIOS: signature, memory, processors.

Registers by offset: 0-1 selector, 1 data (read); every read gives the next byte of the selected item, and 0 behind its
end. There is no DMA interface and no file. Source: QEMU documentation, docs/specs/fw_cfg.
"""

import struct
from collections.abc import Mapping
from typing import Final

from pvtrace.machine.devices.device import State

SIGNATURE, REVISION, RAM_SIZE, PROCESSORS, MOST_PROCESSORS, DIRECTORY = 0x00, 0x01, 0x03, 0x05, 0x0F, 0x19
TRADITIONAL: Final = 1


def items(ram_size: int) -> Mapping[int, bytes]:
    """What there is to read, by key; `ram_size` in bytes. All little-endian but the number of files."""
    return {
        SIGNATURE: b"QEMU",
        REVISION: struct.pack("<I", TRADITIONAL),
        RAM_SIZE: struct.pack("<Q", ram_size),
        PROCESSORS: struct.pack("<H", 1),
        MOST_PROCESSORS: struct.pack("<H", 1),
        DIRECTORY: struct.pack(">I", 0),
    }


class FwCfg:
    """`ram_size` in bytes."""

    width = 2

    def __init__(self, ram_size: int) -> None:
        self._items = items(ram_size)
        self._key = 0
        self._at = 0

    def read(self, offset: int, width: int, _now: int) -> int:
        if offset != 1 or width != 1:
            return 0
        data = self._items.get(self._key, b"")
        at, self._at = self._at, self._at + 1
        return data[at] if at < len(data) else 0

    def write(self, offset: int, width: int, value: int, _now: int) -> None:
        if offset == 0 and width == 2:
            self._key, self._at = value, 0

    def save(self) -> State:
        return {"key": self._key, "at": self._at}

    def load(self, state: State) -> None:
        self._key, self._at = state["key"], state["at"]
