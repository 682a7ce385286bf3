"""A 16550A serial port: the guest's console.

Registers by offset 0-7. Nothing is paced: a byte written has left at once, and input is in the FIFO as soon as there
is room, so that the "time-out" of a receive FIFO below its trigger level is immediate. Sources: National PC16550D data
sheet; what kernels rely on beyond it: a THRE interrupt for every byte written.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Final

from pvtrace.machine.devices.device import Line, State

FIFO_SIZE: Final = 16
TRIGGER_LEVELS: Final = (1, 4, 8, 14)  # by FCR bits 7-6
DLAB: Final = 0x80
LOOPBACK: Final = 0x10
PLUGGED_IN: Final = 0xB0  # modem status of a good line: DCD, DSR and CTS
FIFO_ENABLED: Final = 0xC0  # IIR bits 7-6
THRE: Final = 0x02  # IIR bits 3-0: the transmitter is empty; reading it ends that


class Register(IntEnum):
    DATA = 0  # RBR when read, THR when written, DLL with DLAB
    IER = 1  # DLM with DLAB
    IIR = 2  # FCR when written
    LCR = 3
    MCR = 4
    LSR = 5
    MSR = 6
    SCR = 7


class Interrupt(IntEnum):
    """Bits of IER."""

    RECEIVED = 1
    TRANSMITTED = 2
    LINE_STATUS = 4
    MODEM_STATUS = 8


class LineStatus(IntEnum):
    """Bits of LSR that occur."""

    DATA_READY = 0x01
    OVERRUN = 0x02
    TRANSMITTER_EMPTY = 0x60  # THRE and TEMT


@dataclass(slots=True)
class Registers:
    """`fifo`: bytes that the guest can read, at most 16 (one with FIFOs off); `queue`: bytes that wait outside."""

    ier: int = 0
    lcr: int = 0
    mcr: int = 0
    scr: int = 0
    fcr: int = 0
    divisor: int = 1
    sent: bool = False  # a THRE interrupt is pending
    overrun: bool = False
    deltas: int = 0  # MSR bits 3-0
    fifo: list[int] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)


class Uart:
    """`transmitted` gets every byte that leaves; `line` is the interrupt."""

    width = 1

    def __init__(self, line: Line, transmitted: Callable[[int], None]) -> None:
        self._line = line
        self._transmitted = transmitted
        self._now = Registers()
        self.changes = 0
        """Counts what may have changed its registers. No part of the state."""

    def receive(self, data: bytes) -> None:
        """Bytes arrive from outside. None is ever lost: the sender waits while the FIFO is full or looped back."""
        self.changes += 1
        self._now.queue.extend(data)
        self._fill()

    @property
    def listens(self) -> bool:
        """Whether a byte that arrives now would interrupt."""
        state = self._now
        return bool(state.ier & Interrupt.RECEIVED) and not state.mcr & LOOPBACK

    def steady(self) -> dict[int, int]:
        """The registers, by offset, that read so any number of times, without any effect, until `changes` does."""
        state = self._now
        registers = {Register.LCR: state.lcr, Register.MCR: state.mcr, Register.SCR: state.scr}
        if not state.lcr & DLAB:
            registers[Register.IER] = state.ier
        if self._cause() != THRE:
            registers[Register.IIR] = self._cause() | (FIFO_ENABLED if state.fcr & 1 else 0)
        if not state.overrun:
            registers[Register.LSR] = LineStatus.TRANSMITTER_EMPTY | LineStatus.DATA_READY * bool(state.fifo)
        if not state.deltas:
            registers[Register.MSR] = self._modem()
        return {int(register): int(value) for register, value in registers.items()}

    def settled(self) -> dict[int, int]:
        """The registers, by offset, and what each holds: writing it once more has no effect, until `changes` does."""
        state = self._now
        registers = {Register.LCR: state.lcr, Register.SCR: state.scr}
        if not state.lcr & DLAB:
            registers[Register.IER] = state.ier
        return {int(register): value for register, value in registers.items()}

    @property
    def posts(self) -> bool:
        """Whether a byte written to the data register leaves, and changes nothing but that the line drops and rises
        again if it `asks`."""
        return self._now.sent and not self._now.lcr & DLAB and not self._now.mcr & LOOPBACK

    @property
    def asks(self) -> bool:
        """Whether each byte that has left interrupts."""
        return bool(self._now.ier & Interrupt.TRANSMITTED)

    def read(self, offset: int, _width: int, _now: int) -> int:
        self.changes += 1
        state = self._now
        match Register(offset):
            case Register.DATA:
                return state.divisor & 0xFF if state.lcr & DLAB else self._take()
            case Register.IER:
                return state.divisor >> 8 if state.lcr & DLAB else state.ier
            case Register.IIR:
                cause = self._cause()
                if cause == THRE:
                    state.sent = False
                    self._update()
                return cause | (FIFO_ENABLED if state.fcr & 1 else 0)
            case Register.LCR:
                return state.lcr
            case Register.MCR:
                return state.mcr
            case Register.LSR:
                status = LineStatus.TRANSMITTER_EMPTY | LineStatus.DATA_READY * bool(state.fifo)
                status |= LineStatus.OVERRUN * state.overrun
                state.overrun = False
                self._update()
                return int(status)
            case Register.MSR:
                modem = self._modem() | state.deltas
                state.deltas = 0
                self._update()
                return modem
            case Register.SCR:
                return state.scr

    def write(self, offset: int, _width: int, value: int, _now: int) -> None:
        self.changes += 1
        state = self._now
        match Register(offset):
            case Register.DATA if state.lcr & DLAB:
                state.divisor = state.divisor & 0xFF00 | value
            case Register.DATA:
                self._send(value)
            case Register.IER if state.lcr & DLAB:
                state.divisor = state.divisor & 0xFF | value << 8
            case Register.IER:
                enabled = value & ~state.ier
                state.sent = state.sent or bool(enabled & Interrupt.TRANSMITTED)
                state.ier = value & 0x0F
            case Register.IIR:
                self._control_fifo(value)
            case Register.LCR:
                state.lcr = value
            case Register.MCR:
                self._control_modem(value & 0x1F)
            case Register.SCR:
                state.scr = value
            case Register.LSR | Register.MSR:  # read-only
                pass
        self._update()

    def save(self) -> State:
        return asdict(self._now)

    def load(self, state: State) -> None:
        self.changes += 1
        self._now = Registers(**{**state, "fifo": list(state["fifo"]), "queue": list(state["queue"])})

    @property
    def _room(self) -> int:
        return FIFO_SIZE if self._now.fcr & 1 else 1

    def _fill(self) -> None:
        """Let the sender go on when the guest has read all it had: in this moment the interrupt drops and rises again,
        which an edge-triggered input needs to see that there is more."""
        state = self._now
        if not state.fifo and not state.mcr & LOOPBACK:
            state.fifo, state.queue = state.queue[: self._room], state.queue[self._room :]
        self._update()

    def _take(self) -> int:
        state = self._now
        byte = state.fifo.pop(0) if state.fifo else 0
        self._update()
        self._fill()
        return byte

    def _send(self, byte: int) -> None:
        state = self._now
        if not state.mcr & LOOPBACK:
            self._transmitted(byte)
        elif len(state.fifo) < self._room:
            state.fifo.append(byte)
        else:
            state.overrun = True
        state.sent = False
        self._update()
        state.sent = True

    def _control_fifo(self, value: int) -> None:
        """FCR. Input that the guest throws away unread is sent again: a console loses nothing typed too early."""
        state = self._now
        if (value ^ state.fcr) & 1 or value & 2:
            if not state.mcr & LOOPBACK:
                state.queue = state.fifo + state.queue
            state.fifo = []
        state.fcr = value & 0xC9 if value & 1 else 0
        self._update()
        self._fill()

    def _control_modem(self, value: int) -> None:
        """MCR. Loopback cuts the wire: unread input waits outside for as long, and looped bytes end with it."""
        state = self._now
        before = self._modem()
        if (value ^ state.mcr) & LOOPBACK:
            if value & LOOPBACK:
                state.queue = state.fifo + state.queue
            state.fifo = []
        state.mcr = value
        after = self._modem()
        changed = (before ^ after) >> 4
        trailing_ring = before & ~after & 0x40
        state.deltas |= changed & 0x0B | (0x04 if trailing_ring else 0)
        self._update()
        self._fill()

    def _modem(self) -> int:
        """MSR bits 7-4. In loopback they show RTS, DTR, OUT1 and OUT2."""
        mcr = self._now.mcr
        if not mcr & LOOPBACK:
            return PLUGGED_IN
        return (mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 0x0C) << 4

    def _cause(self) -> int:
        """IIR bits 3-0: the pending interrupt of highest priority, 1 for none."""
        state = self._now
        if state.ier & Interrupt.LINE_STATUS and state.overrun:
            return 0x06
        if state.ier & Interrupt.RECEIVED and state.fifo:
            below = state.fcr & 1 and len(state.fifo) < TRIGGER_LEVELS[state.fcr >> 6]
            return 0x0C if below else 0x04
        if state.ier & Interrupt.TRANSMITTED and state.sent:
            return THRE
        if state.ier & Interrupt.MODEM_STATUS and state.deltas:
            return 0x00
        return 0x01

    def _update(self) -> None:
        """In loopback the PC's interrupt gate (OUT2) is off. Outside it a guest that forgot OUT2 is forgiven."""
        self._line(self._cause() != 0x01 and not self._now.mcr & LOOPBACK)
