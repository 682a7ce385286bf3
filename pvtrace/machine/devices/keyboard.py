"""The 8042 keyboard controller with a keyboard behind it; no mouse is plugged into its second port.

Registers by offset: 0 data, 1 status (read) and command (write). It is never busy: a command is done when it is
written, and its answer waits in the queue. While a byte can be read, IRQ 1 is high (IRQ 12 for one that came through
the mouse's port), and it drops for a moment between two.
Scan codes come in as set 1, which is what a guest sees with the translation that a BIOS leaves on; A20 is always open.
Sources: IBM PC AT and PS/2 technical references, "Keyboard controller" and "Keyboard".
"""

from dataclasses import asdict, dataclass, field
from typing import Final

from pvtrace.machine.devices.device import EndRun, Line, State
from pvtrace.model.stops import Why

LONGEST: Final = 256
"""Bytes that can wait to be read; keys beyond are lost, as with a keyboard whose buffer is full."""

OUTPUT_FULL, SYSTEM_FLAG, COMMAND_LAST, UNLOCKED, FROM_MOUSE = 0x01, 0x04, 0x08, 0x10, 0x20  # status
INTERRUPT, MOUSE_INTERRUPT, KEYBOARD_OFF, MOUSE_OFF, TRANSLATE = 0x01, 0x02, 0x10, 0x20, 0x40  # configuration
BY_MOUSE: Final = 0x100
"""Added to a waiting byte that came through the mouse's port."""

LEFT_BY_BIOS: Final = TRANSLATE | SYSTEM_FLAG | INTERRUPT

READ_CONFIGURATION, WRITE_CONFIGURATION = 0x20, 0x60
DISABLE_MOUSE, ENABLE_MOUSE, DISABLE_KEYBOARD, ENABLE_KEYBOARD = 0xA7, 0xA8, 0xAD, 0xAE
SWITCHES: Final = {
    DISABLE_MOUSE: (0, MOUSE_OFF),
    ENABLE_MOUSE: (MOUSE_OFF, 0),
    DISABLE_KEYBOARD: (0, KEYBOARD_OFF),
    ENABLE_KEYBOARD: (KEYBOARD_OFF, 0),
}
"""Commands that only change the configuration: the bits that they clear and set."""

WRITE_OUTPUT, WRITE_KEYBOARD_BUFFER, WRITE_MOUSE_BUFFER, WRITE_MOUSE = 0xD1, 0xD2, 0xD3, 0xD4
PULSE: Final = 0xF0  # ... FFh: pulse output lines; bit 0 clear pulses the reset line
WITH_DATA: Final = frozenset(
    {WRITE_CONFIGURATION, WRITE_OUTPUT, WRITE_KEYBOARD_BUFFER, WRITE_MOUSE_BUFFER, WRITE_MOUSE}
)
REPLIES: Final = {0xA9: 0x00, 0xAA: 0x55, 0xAB: 0x00, 0xC0: 0x80, 0xD0: 0xCF}
"""Mouse interface good, self test passed, keyboard interface good, input port, output port (A20 on)."""

ACKNOWLEDGE, PASSED, RESEND, ECHO = 0xFA, 0xAA, 0xFE, 0xEE  # what a keyboard says
IDENTIFIER: Final = (0xAB, 0x83)
TRANSLATED_IDENTIFIER: Final = (0xAB, 0x41)
LIGHTS, SCAN_SET, REPETITION = 0xED, 0xF0, 0xF3  # commands to a keyboard; a data byte follows
ECHO_BACK, IDENTIFY, SCAN, DISABLE, DEFAULTS, RESET = 0xEE, 0xF2, 0xF4, 0xF5, 0xF6, 0xFF


@dataclass(slots=True)
class Registers:
    """`queue`: bytes that wait to be read. `expects`: the controller's command whose data byte comes next, and
    `keyboard_expects`: the keyboard's; 0 for none. `scanning`: the keyboard sends keys."""

    configuration: int = LEFT_BY_BIOS
    queue: list[int] = field(default_factory=list)
    expects: int = 0
    keyboard_expects: int = 0
    command_last: bool = False
    scanning: bool = True
    scan_set: int = 2


class Keyboard:
    """`line`: IRQ 1; `mouse_line`: IRQ 12."""

    width = 1

    def __init__(self, line: Line, mouse_line: Line, end: EndRun) -> None:
        self._line = line
        self._mouse_line = mouse_line
        self._end = end
        self._now = Registers()

    @property
    def listens(self) -> bool:
        """Whether a key would be heard, and interrupt."""
        state = self._now
        return state.scanning and state.configuration & (KEYBOARD_OFF | INTERRUPT) == INTERRUPT

    def press(self, codes: bytes) -> None:
        """Keys were pressed or released: scan codes of set 1. A keyboard that is switched off loses them."""
        state = self._now
        if codes and state.scanning and not state.configuration & KEYBOARD_OFF:
            self._reply(*codes[: LONGEST - len(state.queue)])

    def read(self, offset: int, _width: int, _now: int) -> int:
        state = self._now
        if offset == 1:
            full = OUTPUT_FULL if state.queue else 0
            full |= FROM_MOUSE if state.queue and state.queue[0] & BY_MOUSE else 0
            return full | state.configuration & SYSTEM_FLAG | COMMAND_LAST * state.command_last | UNLOCKED
        if not state.queue:
            return 0
        value = state.queue.pop(0)
        self._line(False)
        self._mouse_line(False)
        self._drive()
        return value & 0xFF

    def write(self, offset: int, _width: int, value: int, _now: int) -> None:
        state = self._now
        state.command_last = offset == 1
        if offset == 1:
            self._command(value)
        elif state.expects:
            expected, state.expects = state.expects, 0
            self._data(expected, value)
        else:
            self._to_keyboard(value)

    def save(self) -> State:
        return asdict(self._now)

    def load(self, state: State) -> None:
        self._now = Registers(**{**state, "queue": list(state["queue"])})

    def _command(self, value: int) -> None:
        state = self._now
        state.expects = value if value in WITH_DATA else 0
        if value in REPLIES:
            self._reply(REPLIES[value])
        elif value == READ_CONFIGURATION:
            self._reply(state.configuration)
        elif value in SWITCHES:
            clear, put = SWITCHES[value]
            state.configuration = state.configuration & ~clear | put
        elif value >= PULSE and not value & 1:
            self._end(Why.REBOOT, 0)

    def _data(self, command: int, value: int) -> None:
        if command == WRITE_CONFIGURATION:
            self._now.configuration = value
            self._drive()
        elif command == WRITE_OUTPUT and not value & 1:
            self._end(Why.REBOOT, 0)
        elif command == WRITE_KEYBOARD_BUFFER:
            self._reply(value)
        elif command == WRITE_MOUSE_BUFFER:
            self._reply(value | BY_MOUSE)
        elif command == WRITE_MOUSE:
            self._reply(RESEND | BY_MOUSE)  # nobody took it

    def _to_keyboard(self, value: int) -> None:
        """A byte for the keyboard itself. Writing to it switches it on again."""
        state = self._now
        state.configuration &= ~KEYBOARD_OFF
        expected, state.keyboard_expects = state.keyboard_expects, 0
        if expected:
            self._keyboard_data(expected, value)
            return
        if value == RESET:
            state.scanning, state.scan_set = True, 2
            self._reply(ACKNOWLEDGE, PASSED)
        elif value == IDENTIFY:
            translated = state.configuration & TRANSLATE
            self._reply(ACKNOWLEDGE, *(TRANSLATED_IDENTIFIER if translated else IDENTIFIER))
        elif value in (SCAN, DISABLE, DEFAULTS):
            state.scanning = value != DISABLE
            self._reply(ACKNOWLEDGE)
        elif value in (LIGHTS, SCAN_SET, REPETITION):
            state.keyboard_expects = value
            self._reply(ACKNOWLEDGE)
        else:
            self._reply(ECHO if value == ECHO_BACK else RESEND)

    def _keyboard_data(self, command: int, value: int) -> None:
        """Lights and repetition show nowhere; the scan set is remembered for who asks."""
        state = self._now
        if command == SCAN_SET and value == 0:
            self._reply(ACKNOWLEDGE, state.scan_set)
        else:
            if command == SCAN_SET:
                state.scan_set = value
            self._reply(ACKNOWLEDGE)

    def _reply(self, *values: int) -> None:
        self._now.queue.extend(values)
        self._drive()

    def _drive(self) -> None:
        """Each line shows whether the first byte that waits is its own and may interrupt."""
        state = self._now
        by_mouse = bool(state.queue and state.queue[0] & BY_MOUSE)
        self._line(bool(state.queue and not by_mouse and state.configuration & INTERRUPT))
        self._mouse_line(by_mouse and bool(state.configuration & MOUSE_INTERRUPT))
