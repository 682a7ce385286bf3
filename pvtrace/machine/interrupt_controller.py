"""The one place where the machine asks for interrupts: the 8259 pair, the local APIC and the IO-APIC, wired as in a PC.

ISA interrupt lines go to the 8259 and to the IO-APIC alike (the timer's to input 2, the others to their own number);
the guest decides by its masks which of them speaks. The 8259's INTR reaches the CPU through LINT0 while the local APIC
is there, and directly while it is switched off. Non-maskable interrupts come from the local APIC alone.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from pvtrace.machine.devices.device import Line, State
from pvtrace.machine.devices.io_apic import IoApic
from pvtrace.machine.devices.local_apic import LocalApic
from pvtrace.machine.devices.pic import Pic

TIMER_IRQ: Final = 0
TIMER_PIN: Final = 2
"""The IO-APIC input of IRQ 0; the 8259's cascade, which stands at 2, has none."""


class Taken(NamedTuple):
    """An external interrupt; `irq`: the ISA line it came from, None if it came from none."""

    vector: int
    irq: int | None


def pin_of_irq(irq: int) -> int:
    """The IO-APIC input of an ISA interrupt line."""
    return TIMER_PIN if irq == TIMER_IRQ else irq


class InterruptController:
    """As a BIOS leaves it: everything comes through the 8259. `init`: called when the CPU is told to reset itself."""

    def __init__(self, init: Callable[[], None]) -> None:
        self.pic = Pic.left_by_bios()
        self.apic = LocalApic(self._level_ended, self._nmi_arrived, init)
        self.apic.left_by_bios()
        self.io_apic = IoApic(self.apic.message)
        self._nmi_waits = False
        self._nmi_blocked = False

    def line(self, irq: int) -> Line:
        """The wire of ISA interrupt 0..15; not 2."""
        lines = (self.pic.line(irq), self.io_apic.line(pin_of_irq(irq)))

        def drive(level: bool) -> None:
            for line in lines:
                line(level)

        return drive

    def pending(self) -> bool:
        """Whether an interrupt waits that the CPU's IF lets in."""
        return self.apic.requested is not None or (self.pic.pending() and self.apic.external)

    def acknowledge(self) -> Taken:
        """The CPU takes it. An APIC's own comes before the 8259's, which has no priority there (SDM volume 3, 10.8)."""
        if self.apic.requested is not None:
            vector = self.apic.acknowledge()
            pin = self.io_apic.pin_of(vector)
            return Taken(vector, TIMER_IRQ if pin == TIMER_PIN else pin)
        vector = self.pic.acknowledge()
        return Taken(vector, self.pic.irq_of(vector))

    def admits(self, irq: int) -> bool:
        """Whether a request on an ISA line would interrupt the CPU as things are; what would not wakes no halt."""
        if self.apic.external and self.pic.admits(irq):
            return True
        sent = self.io_apic.route(pin_of_irq(irq))
        return sent is not None and self.apic.admits(sent)

    def latched(self, irq: int) -> bool:
        """Whether a request on an ISA line waits already wherever one would go: an edge more changes nothing."""
        return self.pic.latched(irq) and self.io_apic.route(pin_of_irq(irq)) is None

    # ------------------------------------------------------------------ non-maskable

    @property
    def nmi(self) -> bool:
        """Whether a non-maskable interrupt is to be taken: none is before the handler of the last has returned."""
        return self._nmi_waits and not self._nmi_blocked

    @property
    def nmi_blocked(self) -> bool:
        """Whether the handler of one has not returned: `returned` is waited for."""
        return self._nmi_blocked

    def take_nmi(self) -> None:
        """The CPU enters its handler."""
        self._nmi_waits, self._nmi_blocked = False, True

    def drop_nmi(self) -> None:
        """It is not delivered."""
        self._nmi_waits = False

    def returned(self) -> None:
        """The CPU executed IRET, which ends the blocking (SDM volume 3, 6.7.1)."""
        self._nmi_blocked = False

    # ------------------------------------------------------------------ state

    def save(self) -> State:
        """Of what is no device: the devices are saved by their names."""
        return {"nmi_waits": self._nmi_waits, "nmi_blocked": self._nmi_blocked}

    def load(self, state: State) -> None:
        self._nmi_waits, self._nmi_blocked = state["nmi_waits"], state["nmi_blocked"]

    def _nmi_arrived(self) -> None:
        self._nmi_waits = True

    def _level_ended(self, vector: int) -> None:
        self.io_apic.end_of_interrupt(vector)
