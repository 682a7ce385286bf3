"""The local APIC of the one processor, as of the P6 and later (version 14h, six entries in its vector table).

Registers are 32 bits wide, 16 bytes apart; a part of one may be read, and only a whole one be written. Interrupt
messages come in by `message`; what the CPU takes goes out by `acknowledge`. Beyond this machine, and not modelled: LINT
pins in modes other than ExtINT (nothing but the 8259 is wired to them), SMI, thermal and performance interrupts, which
nothing raises. Source: SDM volume 3, chapter 10.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Final

from pvtrace.machine.devices.apic_bus import FIRST_LEGAL, LEVEL, MASKED, Delivery, Message, message
from pvtrace.machine.devices.apic_timer import ApicTimer
from pvtrace.machine.devices.device import State

VERSION: Final = 0x00050014
ENABLED: Final = 1 << 8  # SVR
PERIODIC: Final = 1 << 17
ASSERT: Final = 1 << 14
EXTERNAL_UNMASKED: Final = Delivery.EXTERNAL << 8
BROADCAST: Final = 0xFF
OLD_BROADCAST: Final = 0x0F  # of APICs with ids of four bits


class Register(IntEnum):
    ID = 0x020
    VERSION = 0x030
    TPR = 0x080
    APR = 0x090
    PPR = 0x0A0
    EOI = 0x0B0
    LDR = 0x0D0
    DFR = 0x0E0
    SVR = 0x0F0
    ISR = 0x100
    TMR = 0x180
    IRR = 0x200
    ESR = 0x280
    ICR_LOW = 0x300
    ICR_HIGH = 0x310
    LVT = 0x320
    INITIAL_COUNT = 0x380
    CURRENT_COUNT = 0x390
    DIVIDE = 0x3E0


class Entry(IntEnum):
    """Entries of the local vector table, in order of address."""

    TIMER = 0
    THERMAL = 1
    PERFORMANCE = 2
    LINT0 = 3
    LINT1 = 4
    ERROR = 5


class Error(IntEnum):
    """Bits of ESR that occur."""

    SEND_ILLEGAL_VECTOR = 1 << 5
    RECEIVE_ILLEGAL_VECTOR = 1 << 6
    ILLEGAL_REGISTER = 1 << 7


class Shorthand(IntEnum):
    """Bits 18-19 of ICR."""

    NONE = 0
    SELF = 1
    ALL = 2
    OTHERS = 3


_LINT_BITS: Final = 0x1A7FF
_LVT_BITS: Final = (0x300FF, 0x107FF, 0x107FF, _LINT_BITS, _LINT_BITS, 0x100FF)
_ICR_BITS: Final = 0xCCFFF
_VECTORS: Final = {Register.ISR: "isr", Register.TMR: "tmr", Register.IRR: "irr"}


@dataclass(slots=True)
class Registers:
    """After power-up. Bit n of `irr`, `isr` and `tmr` belongs to vector n."""

    id: int = 0
    tpr: int = 0
    ldr: int = 0
    dfr: int = 0xFFFFFFFF
    svr: int = 0xFF
    irr: int = 0
    isr: int = 0
    tmr: int = 0
    esr: int = 0
    errors: int = 0  # since ESR was written
    icr_low: int = 0
    icr_high: int = 0
    lvt: list[int] = field(default_factory=lambda: [MASKED] * len(Entry))
    timer: ApicTimer = field(default_factory=ApicTimer)

    @property
    def enabled(self) -> bool:
        """By software: interrupts are taken."""
        return bool(self.svr & ENABLED)

    @property
    def ppr(self) -> int:
        """Processor priority (10.8.3.1)."""
        served = highest(self.isr)
        return self.tpr if self.tpr >> 4 >= served >> 4 else served & 0xF0

    def passes(self, vector: int) -> bool:
        """Whether a fixed interrupt of this vector would be handed to the CPU now."""
        return self.enabled and vector >= FIRST_LEGAL and vector >> 4 > self.ppr >> 4

    def request(self) -> int | None:
        """The vector that waits for the CPU."""
        vector = highest(self.irr)
        return vector if self.irr and self.passes(vector) else None


def highest(vectors: int) -> int:
    """The vector of highest priority in a set; 0 for none."""
    return max(0, vectors.bit_length() - 1)


class LocalApic:
    """`level_ended`: told the vector when a level-triggered interrupt is ended. `nmi`: a non-maskable one arrived.
    `init`: this CPU is to be reset. `present` (IA32_APIC_BASE bit 11) is the machine's to set, by `switch`."""

    width = 4

    def __init__(self, level_ended: Callable[[int], None], nmi: Callable[[], None], init: Callable[[], None]) -> None:
        self._level_ended = level_ended
        self._nmi = nmi
        self._init = init
        self.present = True
        self.requested: int | None = None  # Registers.request, kept
        self._now = Registers()

    def left_by_bios(self) -> None:
        """Enabled, with the 8259 behind LINT0 and NMI behind LINT1 (virtual wire mode, MP specification 3.6.2.2)."""
        self._now.svr |= ENABLED
        self._now.lvt[Entry.LINT0] = LEVEL | Delivery.EXTERNAL << 8
        self._now.lvt[Entry.LINT1] = LEVEL | Delivery.NMI << 8

    def switch(self, present: bool) -> None:
        """IA32_APIC_BASE bit 11. Off is as after power-up; on again starts from there (10.4.3)."""
        if not present and self.present:
            self._now = Registers()
            self.requested = None
        self.present = present

    # ------------------------------------------------------------------ interrupts

    @property
    def external(self) -> bool:
        """Whether the 8259's INTR passes to the CPU. An APIC that is off is not in its way."""
        return not self.present or self._now.lvt[Entry.LINT0] & (MASKED | 0x700) == EXTERNAL_UNMASKED

    def acknowledge(self) -> int:
        """The CPU takes the interrupt: its vector goes into service; without one, the spurious vector."""
        state, vector = self._now, self.requested
        if vector is None:
            return state.svr & 0xFF
        state.irr &= ~(1 << vector)
        state.isr |= 1 << vector
        self._changed()
        return vector

    def message(self, sent: Message) -> bool:
        """Take an interrupt message, if it is for this processor. Returns whether it was accepted."""
        state = self._now
        if not self.present or not self._addressed(sent):
            return False
        match sent.delivery:
            case Delivery.FIXED | Delivery.LOWEST_PRIORITY:
                if sent.vector < FIRST_LEGAL:
                    self._error(Error.RECEIVE_ILLEGAL_VECTOR)
                    return False
                return state.enabled and self._accept(sent.vector, sent.level)
            case Delivery.NMI:
                self._nmi()
                return True
            case Delivery.INIT:
                self._init()
                return True
            case _:  # a start-up message to a running CPU does nothing; the rest has no source here
                return False

    def admits(self, sent: Message) -> bool:
        """Whether such a message would interrupt the CPU as things are; what would not wakes no halt."""
        fixed = sent.delivery in (Delivery.FIXED, Delivery.LOWEST_PRIORITY)
        return self.present and fixed and self._addressed(sent) and self._now.passes(sent.vector)

    @property
    def admits_timer(self) -> bool:
        """Whether the timer's entry would interrupt the CPU as things are."""
        entry = self._now.lvt[Entry.TIMER]
        return self.present and not entry & MASKED and self._now.passes(entry & 0xFF)

    def fire_timer(self) -> None:
        """The interrupt of the timer's entry, if it is not masked: the timer's own, or an alarm's wired to it."""
        self._local(Entry.TIMER)

    def next_event(self, now: int) -> int | None:
        due = self._now.timer.due
        return None if due is None else max(now, due)

    def advance(self, now: int) -> None:
        timer = self._now.timer
        if timer.due is not None and timer.due <= now:
            self.fire_timer()
            timer.arm(True, now)

    # ------------------------------------------------------------------ registers

    def read(self, offset: int, width: int, now: int) -> int:
        """A reserved register reads 0 and is an error of its own (10.5.3)."""
        byte = offset & 0xF
        value = self._read(offset & 0xFF0, now) if byte < 4 else 0
        return value >> 8 * byte & (1 << 8 * width) - 1

    def write(self, offset: int, width: int, value: int, now: int) -> None:
        if offset & 0xF == 0 and width == 4:
            self._write(offset & 0xFF0, value, now)

    def save(self) -> State:
        return asdict(self._now)

    def load(self, state: State) -> None:
        timer = ApicTimer(**state["timer"])
        self._now = Registers(**{**state, "lvt": list(state["lvt"]), "timer": timer})
        self._changed()

    def _read(self, register: int, now: int) -> int:
        state = self._now
        match register:
            case Register.ID:
                return state.id << 24
            case Register.VERSION:
                return VERSION
            case Register.TPR:
                return state.tpr
            case Register.PPR | Register.APR:  # with one processor nobody arbitrates
                return state.ppr
            case Register.LDR:
                return state.ldr
            case Register.DFR:
                return state.dfr
            case Register.SVR:
                return state.svr
            case Register.ESR:
                return state.esr
            case Register.ICR_LOW:
                return state.icr_low
            case Register.ICR_HIGH:
                return state.icr_high
            case Register.INITIAL_COUNT:
                return state.timer.initial
            case Register.CURRENT_COUNT:
                return state.timer.count(now)
            case Register.DIVIDE:
                return state.timer.divide
            case Register.EOI:
                return 0
            case _ if Register.ISR <= register < Register.ESR:
                vectors: int = getattr(state, _VECTORS[Register(register & ~0x7F)])
                return vectors >> 2 * (register & 0x70) & 0xFFFFFFFF
            case _ if register in _LVT_REGISTERS:
                return state.lvt[(register - Register.LVT) >> 4]
            case _:
                self._error(Error.ILLEGAL_REGISTER)
                return 0

    def _write(self, register: int, value: int, now: int) -> None:
        state = self._now
        match register:
            case Register.ID:
                state.id = value >> 24
            case Register.TPR:
                state.tpr = value & 0xFF
            case Register.EOI:
                self._end_of_interrupt()
            case Register.LDR:
                state.ldr = value & 0xFF000000
            case Register.DFR:
                state.dfr = value | 0x0FFFFFFF
            case Register.SVR:
                self._set_svr(value & 0x3FF, now)
            case Register.ESR:
                state.esr, state.errors = state.errors, 0
            case Register.ICR_LOW:
                state.icr_low = value & _ICR_BITS
                self._command(state.icr_low)
            case Register.ICR_HIGH:
                state.icr_high = value & 0xFF000000
            case Register.INITIAL_COUNT:
                state.timer.load(value, now)
                self._rearm(now)
            case Register.DIVIDE:
                state.timer.configure(value, state.timer.periodic, now)
                self._rearm(now)
            case _ if register in _LVT_REGISTERS:
                self._set_lvt(Entry((register - Register.LVT) >> 4), value, now)
            case _ if register in _READ_ONLY:
                pass
            case _:
                self._error(Error.ILLEGAL_REGISTER)
        self._changed()

    def _set_svr(self, value: int, now: int) -> None:
        """Switching it off by software masks the whole vector table, and it stays masked (10.4.7.2)."""
        self._now.svr = value
        if not value & ENABLED:
            self._now.lvt = [entry | MASKED for entry in self._now.lvt]
            self._rearm(now)

    def _set_lvt(self, entry: Entry, value: int, now: int) -> None:
        forced = 0 if self._now.enabled else MASKED
        self._now.lvt[entry] = value & _LVT_BITS[entry] | forced
        if entry is Entry.TIMER:
            timer = self._now.timer
            timer.configure(timer.divide, bool(value & PERIODIC), now)
            self._rearm(now)

    def _rearm(self, now: int) -> None:
        self._now.timer.arm(not self._now.lvt[Entry.TIMER] & MASKED, now)

    def _end_of_interrupt(self) -> None:
        state = self._now
        if state.isr:
            vector = highest(state.isr)
            bit = 1 << vector
            state.isr &= ~bit
            self._changed()
            if state.tmr & bit:
                self._level_ended(vector)

    def _command(self, low: int) -> None:
        """Send what ICR says. Other processors are not there: what is for them alone is accepted, and that is all."""
        sent = message(low, self._now.icr_high >> 24)
        shorthand = Shorthand(low >> 18 & 3)
        fixed = sent.delivery in (Delivery.FIXED, Delivery.LOWEST_PRIORITY)
        if fixed and sent.vector < FIRST_LEGAL:
            self._error(Error.SEND_ILLEGAL_VECTOR)
        elif shorthand is Shorthand.OTHERS or (sent.delivery is Delivery.INIT and not low & ASSERT):
            pass  # the deasserted form only sets arbitration ids
        elif shorthand is Shorthand.NONE:
            self.message(Message(sent.delivery, sent.vector, sent.destination, sent.logical))
        else:
            self.message(Message(sent.delivery, sent.vector, BROADCAST))

    # ------------------------------------------------------------------ inside

    def _addressed(self, sent: Message) -> bool:
        state, to = self._now, sent.destination
        if to == BROADCAST:
            return True
        if not sent.logical:
            return to in (state.id, OLD_BROADCAST)
        mine = state.ldr >> 24
        if state.dfr >> 28 == 0xF:  # flat model
            return bool(to & mine)
        return (to >> 4 == mine >> 4 or to >> 4 == 0xF) and bool(to & mine & 0xF)

    def _accept(self, vector: int, level: bool) -> bool:
        state, bit = self._now, 1 << vector
        state.irr |= bit
        state.tmr = state.tmr | bit if level else state.tmr & ~bit
        self._changed()
        return True

    def _local(self, entry: Entry) -> None:
        value = self._now.lvt[entry]
        if value & MASKED or not self.present:
            return
        vector = value & 0xFF
        if vector >= FIRST_LEGAL:
            self._accept(vector, level=False)
        elif entry is not Entry.ERROR:
            self._error(Error.RECEIVE_ILLEGAL_VECTOR)

    def _error(self, error: Error) -> None:
        self._now.errors |= error
        self._local(Entry.ERROR)

    def _changed(self) -> None:
        self.requested = self._now.request()


_LVT_REGISTERS: Final = range(Register.LVT, Register.LVT + 16 * len(Entry), 16)
_READ_ONLY: Final = frozenset(
    {Register.VERSION, Register.APR, Register.PPR, Register.CURRENT_COUNT, *range(Register.ISR, Register.ESR, 16)}
)
