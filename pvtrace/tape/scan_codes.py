"""Text as the keys that a person presses for it: scan codes of set 1 on a keyboard of the United States.

Sources: IBM PS/2 technical reference, "Keyboard"; bit 7 of a code is the release of its key.
"""

from collections.abc import Iterator
from typing import Final

from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import RESET
from pvtrace.tape.live import Keyboard

RELEASED: Final = 0x80
SHIFT, CONTROL = 0x2A, 0x1D
AT_A_TIME: Final = 16
"""Keys that are pressed before the guest has time to read them; its controller does not keep many."""

_ROWS: Final = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
)
_OTHERS: Final = {"\x1b": 0x01, "\b": 0x0E, "\x7f": 0x0E, "\t": 0x0F, "\n": 0x1C, "\r": 0x1C, " ": 0x39}

KEYS: Final[dict[int, tuple[int, bool]]] = {
    **{ord(text): (first + n, False) for first, plain, _ in _ROWS for n, text in enumerate(plain)},
    **{ord(text): (first + n, True) for first, _, shifted in _ROWS for n, text in enumerate(shifted)},
    **{ord(text): (code, False) for text, code in _OTHERS.items()},
}
"""For each byte that a key stands for: its code, and whether with Shift."""


def scan_codes(text: bytes) -> bytes:
    """Every key pressed and released again. Ctrl-A to Ctrl-Z are keys too; what is on no key is left out."""
    return bytes(code for byte in text for code in _strokes(byte))


def at_the_keyboard(text: bytes) -> Input:
    """The keys for a text, as an input of the PC's keyboard; its step is not known yet (see tape.live.Live)."""
    return Input(RESET, InputKind.KEYS, data=scan_codes(text))


def _strokes(byte: int) -> Iterator[int]:
    if byte in KEYS:
        code, shifted = KEYS[byte]
        with_key = SHIFT if shifted else None
    elif 1 <= byte <= 26:
        code, with_key = KEYS[byte + ord("a") - 1][0], CONTROL
    else:
        return
    if with_key is not None:
        yield with_key
    yield code
    yield code | RELEASED
    if with_key is not None:
        yield with_key | RELEASED


class Slowly:
    """Satisfies tape.live.Keyboard: another one, a few bytes at a time."""

    def __init__(self, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self._rest = b""

    @property
    def open(self) -> bool:
        return bool(self._rest) or self._keyboard.open

    @property
    def scripted(self) -> bool:
        return self._keyboard.scripted

    def wait(self, seconds: float | None) -> bool:
        return bool(self._rest) or self._keyboard.wait(seconds)

    def read(self) -> bytes:
        self._rest = self._rest or self._keyboard.read()
        now, self._rest = self._rest[:AT_A_TIME], self._rest[AT_A_TIME:]
        return now
