"""System control port B of a PC (one register): the speaker, counter 2's gate and output, and the refresh toggle.

Source: IBM PC AT technical reference, "System board I/O". No sound is made.
"""

from typing import Final

from pvtrace.machine.devices.device import State
from pvtrace.machine.devices.pit import Pit

GATE: Final = 0x01
WRITABLE: Final = 0x0F  # gate, speaker data, and the two enables of the parity checks
REFRESH: Final = 0x10
OUTPUT: Final = 0x20
REFRESH_PERIOD: Final = 18  # counter pulses, about 15 us


class Port61:
    """Kernels calibrate their delay loops by watching bit 4 or bit 5 change."""

    width = 1

    def __init__(self, pit: Pit) -> None:
        self._pit = pit
        self._written = 0

    def read(self, _offset: int, _width: int, now: int) -> int:
        refresh = REFRESH * (self._pit.clock(now) // REFRESH_PERIOD & 1)
        return self._written | refresh | OUTPUT * self._pit.output(2, now)

    def write(self, _offset: int, _width: int, value: int, now: int) -> None:
        self._written = value & WRITABLE
        self._pit.set_gate(bool(value & GATE), now)

    def save(self) -> State:
        return {"written": self._written}

    def load(self, state: State) -> None:
        self._written = state["written"]
