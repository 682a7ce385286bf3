"""The IO-APIC of a PC (82093AA): 24 inputs, each with a redirection entry, behind an index register and a window.

Index at offset 0, window at offset 10h. Lines are taken as asserted or not: the polarity bit is kept and means nothing.
Delivery is immediate, so that the delivery status reads 0. ExtINT entries are not wired to the 8259, which is at LINT0.
Source: Intel 82093AA data sheet (290566).
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from pvtrace.machine.devices.apic_bus import LEVEL, MASKED, Message, message
from pvtrace.machine.devices.device import Line, State

PINS: Final = 24
INDEX, WINDOW = 0x00, 0x10
ID, VERSION, ARBITRATION, FIRST_ENTRY = 0x00, 0x01, 0x02, 0x10
VERSION_VALUE: Final = (PINS - 1) << 16 | 0x11
REMOTE_IRR: Final = 1 << 14
WRITABLE: Final = 0xFF00_0000_0001_AFFF
"""Of an entry: all but delivery status and remote IRR, and the reserved bits."""

APIC_ID: Final = 1
"""The id that a BIOS gives it: the processor's is 0."""


class IoApic:
    """`send`: the bus to the local APIC; returns whether a message was accepted."""

    width = 4

    def __init__(self, send: Callable[[Message], bool]) -> None:
        self._send = send
        self._index = 0
        self._id = APIC_ID
        self._lines = 0  # levels of the inputs
        self._entries = [MASKED] * PINS

    def line(self, pin: int) -> Line:
        """The wire of an input 0..23."""
        if pin not in range(PINS):
            raise ValueError(f"an IO-APIC has no input {pin}")
        return partial(self._drive, pin)

    def route(self, pin: int) -> Message | None:
        """What a request on this input would send now; None if it is masked, or its last one is not ended."""
        entry = self._entries[pin]
        if entry & MASKED or (entry & LEVEL and entry & REMOTE_IRR):
            return None
        return message(entry & 0xFFFFFFFF, entry >> 56)

    def pin_of(self, vector: int) -> int | None:
        """The first unmasked input that has this vector."""
        for pin, entry in enumerate(self._entries):
            if entry & 0xFF == vector and not entry & MASKED:
                return pin
        return None

    def end_of_interrupt(self, vector: int) -> None:
        """The local APIC ended a level-triggered interrupt: inputs that are still asserted ask again."""
        for pin, entry in enumerate(self._entries):
            if entry & 0xFF == vector and entry & LEVEL:
                self._entries[pin] &= ~REMOTE_IRR
                self._ask(pin)

    def read(self, offset: int, width: int, _now: int) -> int:
        match offset & ~3:
            case 0x00:
                value = self._index
            case 0x10:
                value = self._register(self._index)
            case _:
                value = 0
        return value >> 8 * (offset & 3) & (1 << 8 * width) - 1

    def write(self, offset: int, width: int, value: int, _now: int) -> None:
        """The index may be written as a byte; the window only as a whole."""
        if offset == INDEX:
            self._index = value & 0xFF
        elif offset == WINDOW and width == 4:
            self._set_register(self._index, value)

    def save(self) -> State:
        return {"index": self._index, "id": self._id, "lines": self._lines, "entries": list(self._entries)}

    def load(self, state: State) -> None:
        self._index, self._id, self._lines = state["index"], state["id"], state["lines"]
        self._entries = list(state["entries"])

    def _register(self, index: int) -> int:
        match index:
            case 0x00 | 0x02:  # ID and ARBITRATION, which follows it
                return self._id << 24
            case 0x01:
                return VERSION_VALUE
            case _ if index in _ENTRY_REGISTERS:
                return self._entries[(index - FIRST_ENTRY) >> 1] >> 32 * (index & 1) & 0xFFFFFFFF
            case _:
                return 0

    def _set_register(self, index: int, value: int) -> None:
        if index == ID:
            self._id = value >> 24 & 0xF
        elif index in _ENTRY_REGISTERS:
            pin, shift = (index - FIRST_ENTRY) >> 1, 32 * (index & 1)
            mask = WRITABLE & 0xFFFFFFFF << shift
            entry = self._entries[pin] & ~mask | value << shift & mask
            self._entries[pin] = entry if entry & LEVEL else entry & ~REMOTE_IRR
            self._ask(pin)

    def _drive(self, pin: int, level: bool) -> None:
        bit = 1 << pin
        rises = level and not self._lines & bit
        self._lines = self._lines | bit if level else self._lines & ~bit
        if self._entries[pin] & LEVEL:
            self._ask(pin)
        elif rises:
            sent = self.route(pin)
            if sent is not None:
                self._send(sent)

    def _ask(self, pin: int) -> None:
        """A level-triggered input that is asserted sends its message, unless one is under way. An edge that comes while
        its entry is masked is lost (data sheet, "Interrupt mask")."""
        if self._lines >> pin & 1 and self._entries[pin] & LEVEL:
            sent = self.route(pin)
            if sent is not None and self._send(sent):
                self._entries[pin] |= REMOTE_IRR


_ENTRY_REGISTERS: Final = range(FIRST_ENTRY, FIRST_ENTRY + 2 * PINS)
