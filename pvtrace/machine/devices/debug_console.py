"""A debug console (one write-only port), and the port that kernels write to wait a microsecond."""

from collections.abc import Callable
from typing import Final

from pvtrace.machine.devices.device import State

PRESENT: Final = 0xE9
"""What a read gives, by which guests find the console."""


class DebugConsole:
    """Every byte written goes to the console."""

    width = 1

    def __init__(self, transmitted: Callable[[int], None]) -> None:
        self._transmitted = transmitted

    def read(self, _offset: int, _width: int, _now: int) -> int:
        return PRESENT

    def write(self, _offset: int, _width: int, value: int, _now: int) -> None:
        self._transmitted(value)

    def save(self) -> State:
        return {}

    def load(self, _state: State) -> None:
        pass


class DelayPort:
    """The diagnostic port of a PC: keeps the last byte written, and nothing else. Kernels write it to spend time, which
    the machine lets pass."""

    width = 1

    def __init__(self) -> None:
        self._written = 0

    def read(self, _offset: int, _width: int, _now: int) -> int:
        return self._written

    def write(self, _offset: int, _width: int, value: int, _now: int) -> None:
        self._written = value

    def save(self) -> State:
        return {"written": self._written}

    def load(self, state: State) -> None:
        self._written = state["written"]
