"""The fixed ACPI hardware: PM1a event and control registers, and the power-management timer.

Registers by offset: 0-1 PM1 status, 2-3 PM1 enable, 4-5 PM1 control, 8-11 the timer. There is no system-management
mode to switch ACPI on in: it is always on. No button exists, and the timer raises nothing, so that the status stays 0.
Source: ACPI specification 1.0b, 4.7.3.
"""

from typing import Final

from pvtrace.machine.devices.device import EndRun, State
from pvtrace.model.stops import Why

SCI_ENABLE: Final = 0x0001
SLEEP_ENABLE: Final = 0x2000
"""Bits of the control register; sleep type 0 is S5 here, as test kernels expect it."""

STATUS, ENABLE, CONTROL, TIMER = 0, 2, 4, 8
TIMER_HZ: Final = 3_579_545
TIMER_BITS: Final = 24
ENABLE_BITS: Final = 0x0721
CONTROL_BITS: Final = 0x1C02


class AcpiPower:
    """SLP_EN powers the machine off, whatever the sleep type. `hz`: ticks in a second of virtual time."""

    width = 4

    def __init__(self, hz: int, end: EndRun) -> None:
        self._hz = hz
        self._end = end
        self._enable = 0
        self._control = 0

    def read(self, offset: int, width: int, now: int) -> int:
        timer = now * TIMER_HZ // self._hz & (1 << TIMER_BITS) - 1
        registers = self._enable << 8 * ENABLE | (self._control | SCI_ENABLE) << 8 * CONTROL | timer << 8 * TIMER
        return registers >> 8 * offset & (1 << 8 * width) - 1

    def write(self, offset: int, width: int, value: int, _now: int) -> None:
        mask = (1 << 8 * width) - 1 << 8 * offset
        value <<= 8 * offset
        self._enable = _merged(self._enable, value >> 8 * ENABLE, mask >> 8 * ENABLE) & ENABLE_BITS
        control = _merged(self._control, value >> 8 * CONTROL, mask >> 8 * CONTROL)
        self._control = control & CONTROL_BITS
        if control & SLEEP_ENABLE:
            self._end(Why.SHUTDOWN, 0)

    def save(self) -> State:
        return {"enable": self._enable, "control": self._control}

    def load(self, state: State) -> None:
        self._enable, self._control = state["enable"], state["control"]


def _merged(old: int, value: int, mask: int) -> int:
    """A 16-bit register after a write of the bits of `mask`."""
    return old & ~mask & 0xFFFF | value & mask & 0xFFFF
