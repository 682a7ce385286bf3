"""The pair of 8259A interrupt controllers of a PC, cascaded on input 2, with the ELCR of the chipset.

Sources: Intel 8259A data sheet (231468); 82371SB (PIIX3) data sheet for ELCR and for what a PC leaves out: the 8080
vectoring mode, LTIM (ELCR decides instead) and single mode. Registers by offset: 0-1 first chip, 2-3 second chip,
4-5 their ELCR.
"""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

from pvtrace.machine.devices.device import Line, State

CASCADE: Final = 2
SPURIOUS: Final = 7
LEVEL_ALLOWED: Final = (0xF8, 0xDE)
"""ELCR bits that exist; timer, keyboard, cascade, clock and coprocessor are always edge-triggered (PIIX3)."""

# ICW1 and OCW2/OCW3 share the even address; bits 4 and 3 tell them apart.
ICW1: Final = 0x10
ICW1_NEEDS_ICW4: Final = 0x01
OCW3: Final = 0x08
ICW4_AUTO_EOI: Final = 0x02
ICW4_SPECIAL_FULLY_NESTED: Final = 0x10


@dataclass(slots=True)
class Chip:
    """One 8259A: its state, and the priority rules that follow from it. Bit n of every mask belongs to input n."""

    lines: int = 0  # levels of the inputs now
    irr: int = 0
    isr: int = 0
    imr: int = 0
    elcr: int = 0
    base: int = 0  # vector of input 0
    expects: int = 0  # number of the next ICW, 0 when initialised
    needs_icw4: bool = False
    auto_eoi: bool = False
    special_fully_nested: bool = False
    special_mask: bool = False
    rotate_on_auto_eoi: bool = False
    lowest: int = 7  # input of lowest priority
    read_isr: bool = False
    poll: bool = False

    def rank(self, irq: int) -> int:
        """0 for the highest priority now, 7 for the lowest."""
        return (irq - self.lowest - 1) & 7

    def first(self, mask: int) -> int | None:
        """The input of highest priority in a mask."""
        return min((irq for irq in range(8) if mask >> irq & 1), key=self.rank, default=None)

    def admits(self, irq: int) -> bool:
        """Whether a request on this input is passed on: unmasked, and above everything in service."""
        blocking = self.isr
        if self.special_mask:
            blocking &= ~self.imr
        if self.special_fully_nested:
            blocking &= ~(1 << CASCADE)
        served = self.first(blocking)
        return not self.imr >> irq & 1 and (served is None or self.rank(irq) < self.rank(served))

    def request(self) -> int | None:
        """The input that drives INT now; None: INT is low."""
        waiting = self.irr & ~self.imr
        if not waiting:  # asked at every exit of the CPU, and nearly always so
            return None
        irq = self.first(waiting)
        return irq if irq is not None and self.admits(irq) else None

    def drive(self, irq: int, level: bool) -> None:
        """An input changes. In edge mode a request stays latched when the line drops; in level mode it does not."""
        bit = 1 << irq
        rises = level and not self.lines & bit
        self.lines = self.lines | bit if level else self.lines & ~bit
        if self.elcr & bit:
            self.irr = self.irr & ~bit | self.lines & bit
        elif rises:
            self.irr |= bit

    def acknowledge(self) -> int:
        """INTA: the input that goes into service. Without a request it is 7, and nothing goes into service."""
        irq = self.request()
        if irq is None:
            return SPURIOUS
        bit = 1 << irq
        if not self.elcr & bit:
            self.irr &= ~bit
        if not self.auto_eoi:
            self.isr |= bit
        elif self.rotate_on_auto_eoi:
            self.lowest = irq
        return irq

    def initialise(self, icw1: int) -> None:
        """ICW1. Edge detection starts anew: a line that is high already must drop and rise to be seen."""
        self.expects = 2
        self.needs_icw4 = bool(icw1 & ICW1_NEEDS_ICW4)
        self.irr = self.lines & self.elcr
        self.isr = self.imr = 0
        self.lowest = 7
        self.auto_eoi = self.special_fully_nested = self.special_mask = self.rotate_on_auto_eoi = False
        self.read_isr = self.poll = False

    def write_data(self, value: int) -> None:
        """The odd address: ICW2, ICW3, ICW4, then OCW1 (the mask)."""
        match self.expects:
            case 2:
                self.base = value & 0xF8
                self.expects = 3
            case 3:  # the cascade is wired: what ICW3 says of it does not matter
                self.expects = 4 if self.needs_icw4 else 0
            case 4:
                self.auto_eoi = bool(value & ICW4_AUTO_EOI)
                self.special_fully_nested = bool(value & ICW4_SPECIAL_FULLY_NESTED)
                self.expects = 0
            case _:
                self.imr = value

    def write_command(self, value: int) -> None:
        """The even address: ICW1, OCW2 or OCW3."""
        if value & ICW1:
            self.initialise(value)
        elif value & OCW3:
            self.poll = bool(value & 4)
            if value & 0x02:
                self.read_isr = bool(value & 0x01)
            if value & 0x40:
                self.special_mask = bool(value & 0x20)
        else:
            self.end_of_interrupt(value >> 5, value & 7)

    def end_of_interrupt(self, command: int, level: int) -> None:
        """OCW2. `command`: bits R, SL and EOI (data sheet, figure 8)."""
        match command:
            case 0b000 | 0b100:
                self.rotate_on_auto_eoi = command == 0b100
            case 0b001 | 0b101:
                ended = self.first(self.isr & ~self.imr if self.special_mask else self.isr)
                if ended is not None:
                    self.isr &= ~(1 << ended)
                    self.lowest = ended if command == 0b101 else self.lowest
            case 0b011 | 0b111:
                self.isr &= ~(1 << level)
                self.lowest = level if command == 0b111 else self.lowest
            case 0b110:
                self.lowest = level
            case _:  # 010: no operation
                pass

    def read(self, data: bool) -> int:
        """The even address shows IRR or ISR, the odd one (`data`) IMR; after a poll command either acknowledges."""
        if self.poll:
            self.poll = False
            return 0x80 | self.acknowledge() if self.request() is not None else 0
        if data:
            return self.imr
        return self.isr if self.read_isr else self.irr

    def write_elcr(self, value: int) -> None:
        self.elcr = value
        self.irr = self.irr & ~value | self.lines & value


class Pic:
    """Both chips. INT of the second drives input 2 of the first, which follows it and does not latch."""

    width = 1

    def __init__(self) -> None:
        self._chips = (Chip(), Chip())

    def calm_masks(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """IMR and IRR of each chip, if every request is masked, and neither chip is being initialised, polled, or in
        special mask mode, else None: then masks, as long as they cover the requests, and the end of an interrupt,
        concern nobody outside."""
        for chip in self._chips:  # a loop: this is asked at every exit of the CPU
            if chip.expects or chip.poll or chip.special_mask or chip.irr & ~chip.imr:
                return None
        first, second = self._chips
        return (first.imr, first.irr), (second.imr, second.irr)

    @classmethod
    def left_by_bios(cls) -> "Pic":
        """As a PC BIOS leaves it: vectors 08h and 70h, masks B8h and 8Eh."""
        pic = cls()
        pic._chips = (Chip(base=0x08, imr=0xB8), Chip(base=0x70, imr=0x8E))
        return pic

    def line(self, irq: int) -> Line:
        """The wire of IRQ 0..15; not 2, which is the cascade."""
        if irq not in range(16) or irq == CASCADE:
            raise ValueError(f"there is no interrupt line {irq}")
        return partial(self._drive, irq)

    def pending(self) -> bool:
        """Whether INTR is high: an interrupt waits for the CPU."""
        return self._chips[0].request() is not None

    def acknowledge(self) -> int:
        """The CPU takes the interrupt: its vector. Without one, the spurious vector of IRQ 7."""
        first, second = self._chips
        irq = first.acknowledge()
        vector = second.base + second.acknowledge() if irq == CASCADE else first.base + irq
        self._cascade()
        return vector

    def irq_of(self, vector: int) -> int | None:
        """The IRQ that has this vector now, None for a vector of no line."""
        for number, chip in enumerate(self._chips):
            if chip.base <= vector < chip.base + 8:
                return number * 8 + vector - chip.base
        return None

    def admits(self, irq: int) -> bool:
        """Whether a request on IRQ 0..15 would reach the CPU as things are; what is not admitted wakes no halt."""
        first, second = self._chips
        if irq < 8:
            return first.admits(irq)
        return second.admits(irq - 8) and first.admits(CASCADE)

    def latched(self, irq: int) -> bool:
        """Whether a request on IRQ 0..15, in edge mode, waits to be acknowledged."""
        chip, bit = self._chips[irq >> 3], 1 << (irq & 7)
        return bool(chip.irr & ~chip.elcr & bit)

    def read(self, offset: int, _width: int, _now: int) -> int:
        if offset >= 4:
            return self._chips[offset - 4].elcr
        value = self._chips[offset >> 1].read(data=bool(offset & 1))
        self._cascade()
        return value

    def write(self, offset: int, _width: int, value: int, _now: int) -> None:
        if offset >= 4:
            self._chips[offset - 4].write_elcr(value & LEVEL_ALLOWED[offset - 4])
        elif offset & 1:
            self._chips[offset >> 1].write_data(value)
        else:
            self._chips[offset >> 1].write_command(value)
        self._cascade()

    def save(self) -> State:
        return {"first": asdict(self._chips[0]), "second": asdict(self._chips[1])}

    def load(self, state: State) -> None:
        self._chips = (Chip(**state["first"]), Chip(**state["second"]))

    def _drive(self, irq: int, level: bool) -> None:
        self._chips[irq >> 3].drive(irq & 7, level)
        self._cascade()

    def _cascade(self) -> None:
        first, second = self._chips
        level = second.request() is not None
        bit = 1 << CASCADE
        first.lines = first.lines & ~bit | level * bit
        first.irr = first.irr & ~bit | level * bit
