"""The 8042 keyboard controller with nothing plugged in: enough to reset the machine and to answer who asks.

Registers by offset: 0 data, 1 status (read) and command (write). It is never busy. Source: IBM PC AT technical
reference, "Keyboard controller".
"""

from dataclasses import asdict, dataclass
from typing import Final

from pvtrace.machine.devices.device import EndRun, State
from pvtrace.model.stops import Why

RESET_PULSES: Final = range(0xF0, 0x100)  # pulse output lines; bit 0 clear pulses the reset line
READ_CONFIGURATION: Final = 0x20
WRITE_CONFIGURATION: Final = 0x60
WRITE_OUTPUT: Final = 0xD1
REPLIES: Final = {0xAA: 0x55, 0xAB: 0x00, 0xD0: 0xCF}
"""Self test passed, keyboard interface good, output port (A20 on, no reset)."""

OUTPUT_FULL: Final = 0x01
SYSTEM_FLAG: Final = 0x04


@dataclass(slots=True)
class Registers:
    configuration: int = 0
    reply: int | None = None
    expects: int = 0  # the command whose data byte comes next, 0 for none


class Keyboard:
    """Status reads 0 at first: neither full nor busy, so that no guest waits for ever to write."""

    width = 1

    def __init__(self, end: EndRun) -> None:
        self._end = end
        self._now = Registers()

    def read(self, offset: int, _width: int, _now: int) -> int:
        state = self._now
        if offset == 1:
            return (OUTPUT_FULL if state.reply is not None else 0) | state.configuration & SYSTEM_FLAG
        reply, state.reply = state.reply, None
        return reply or 0

    def write(self, offset: int, _width: int, value: int, _now: int) -> None:
        state = self._now
        if offset == 1:
            state.expects = value if value in (WRITE_CONFIGURATION, WRITE_OUTPUT) else 0
            if value == READ_CONFIGURATION:
                state.reply = state.configuration
            elif value in REPLIES:
                state.reply = REPLIES[value]
            elif value in RESET_PULSES and not value & 1:
                self._end(Why.REBOOT, 0)
            return
        expected, state.expects = state.expects, 0
        if expected == WRITE_CONFIGURATION:
            state.configuration = value
        elif expected == WRITE_OUTPUT and not value & 1:
            self._end(Why.REBOOT, 0)

    def save(self) -> State:
        return asdict(self._now)

    def load(self, state: State) -> None:
        self._now = Registers(**state)
