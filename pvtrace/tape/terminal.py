"""Keys that are for pvtrace itself, where the guest has a terminal's keyboard: Ctrl-A, and then one more."""

from collections.abc import Callable
from typing import Final

from pvtrace.tape.live import Keyboard

PREFIX: Final = 0x01
"""Ctrl-A."""

STOP: Final = frozenset(b"xX")
PASSED: Final = {ord("a"): b"\x01", PREFIX: b"\x01", ord("c"): b"\x03"}
"""What Ctrl-A and these send to the guest: Ctrl-A, and Ctrl-C, which otherwise ends the run."""


class Escapes:
    """Satisfies tape.live.Keyboard: another keyboard, without what is not for the guest. Ctrl-A x calls `stop`."""

    def __init__(self, keyboard: Keyboard, stop: Callable[[], None]) -> None:
        self._keyboard = keyboard
        self._stop = stop
        self._escaped = False

    @property
    def open(self) -> bool:
        return self._keyboard.open

    @property
    def scripted(self) -> bool:
        return self._keyboard.scripted

    def wait(self, seconds: float | None) -> bool:
        return self._keyboard.wait(seconds)

    def read(self) -> bytes:
        passed = bytearray()
        for byte in self._keyboard.read():
            if self._escaped:
                self._escaped = False
                if byte in STOP:
                    self._stop()
                else:
                    passed += PASSED.get(byte, b"")
            elif byte == PREFIX:
                self._escaped = True
            else:
                passed.append(byte)
        return bytes(passed)
