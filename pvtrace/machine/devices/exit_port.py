"""Ports by which a guest ends its own run: the debug exit, and power-off in the way of ACPI."""

from typing import Final

from pvtrace.machine.devices.device import EndRun, State
from pvtrace.model.stops import Why

SLEEP_ENABLE: Final = 0x2000
"""SLP_EN of the PM1a control register (ACPI 1.0, 4.7.3.2.1); sleep type 0 is S5 here, as test kernels expect it."""


class DebugExit:
    """The value written, of any width, is the guest's exit code; 0 is a good end. Reads give 0."""

    width = 4

    def __init__(self, end: EndRun) -> None:
        self._end = end

    def read(self, _offset: int, _width: int, _now: int) -> int:
        return 0

    def write(self, offset: int, _width: int, value: int, _now: int) -> None:
        if offset == 0:
            self._end(Why.EXIT, value)

    def save(self) -> State:
        return {}

    def load(self, _state: State) -> None:
        pass


class PowerControl:
    """A 16-bit PM1a control register: SLP_EN powers the machine off, whatever the sleep type. Reads give 0."""

    width = 2

    def __init__(self, end: EndRun) -> None:
        self._end = end

    def read(self, _offset: int, _width: int, _now: int) -> int:
        return 0

    def write(self, offset: int, _width: int, value: int, _now: int) -> None:
        if value << 8 * offset & SLEEP_ENABLE:
            self._end(Why.SHUTDOWN, 0)

    def save(self) -> State:
        return {}

    def load(self, _state: State) -> None:
        pass
