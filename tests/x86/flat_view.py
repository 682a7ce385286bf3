"""A small machine state for tests: real flat memory, and a plain interpreter of effects."""

from dataclasses import dataclass, field, replace

from pvtrace.model.registers import Seg, Segment, TableRegister
from pvtrace.model.step import Step
from pvtrace.x86 import eflags
from pvtrace.x86.effects import (
    Effects,
    SetCr,
    SetEip,
    SetFlags,
    SetGdtr,
    SetGpr,
    SetIdtr,
    SetLdtr,
    SetSegment,
    SetSystem,
    SetTr,
    WriteMemory,
)
from pvtrace.x86.latitude import DEFAULT, Latitude
from pvtrace.x86.state import System
from pvtrace.x86.view import PageFault

GDT, IDT, TSS, LDT = 0x1000, 0x2000, 0x3000, 0x4000
CODE, STACK = 0x8000, 0xA000
KERNEL_CS, KERNEL_SS, RING1_CS, RING1_SS, USER_CS, USER_SS = 0x08, 0x10, 0x19, 0x21, 0x2B, 0x33
TSS_SELECTOR, LDT_SELECTOR, CODE16, DATA16, CONFORMING = 0x38, 0x40, 0x48, 0x50, 0x58
GDT_ENTRIES = {
    KERNEL_CS: 0x00CF9B000000FFFF,
    KERNEL_SS: 0x00CF93000000FFFF,
    RING1_CS: 0x00CFBB000000FFFF,
    RING1_SS: 0x00CFB3000000FFFF,
    USER_CS: 0x00CFFB000000FFFF,
    USER_SS: 0x00CFF3000000FFFF,
    TSS_SELECTOR: 0x0000890030000067,
    LDT_SELECTOR: 0x0000820040000FFF,
    CODE16: 0x00009B000000FFFF,
    DATA16: 0x000093000000FFFF,
    CONFORMING: 0x00CF9F000000FFFF,
}
RINGS = {0: (KERNEL_CS, KERNEL_SS), 1: (RING1_CS, RING1_SS), 3: (USER_CS, USER_SS)}
PAGE = 0x1000
NO_LDT = Segment(0, 0, 0, 0)
TASK = Segment(TSS_SELECTOR, TSS, 0x67, 0x8B00)
GDTR, IDTR = TableRegister(GDT, 0x7F), TableRegister(IDT, 0x7FF)
NATIVE = System(vif=True)
NOW = Step(100)


def segment(selector: int) -> Segment:
    entry = GDT_ENTRIES[next(each for each in GDT_ENTRIES if each & 0xFFFC == selector & 0xFFFC)]
    limit = (entry & 0xFFFF) | (entry >> 32) & 0xF0000
    if entry >> 55 & 1:
        limit = limit << 12 | 0xFFF
    base = (entry >> 16 & 0xFFFFFF) | (entry >> 56) << 24
    return Segment(selector, base, limit, entry >> 32 & 0xF0FF00)


@dataclass
class FlatView:
    step: Step = NOW
    eip: int = CODE
    eflags: int = 0x202
    gdtr: TableRegister = GDTR
    idtr: TableRegister = IDTR
    ldtr: Segment = NO_LDT
    tr: Segment = TASK
    system: System = NATIVE
    ticks: int = 5000
    hz: int = 1_000_000
    latitude: Latitude = DEFAULT
    user_if: bool = False
    gprs: list[int] = field(default_factory=lambda: [0, 0, 0, 0, STACK, 0, 0, 0])
    crs: list[int] = field(default_factory=lambda: [0x11, 0, 0, 0, 0])
    segments: list[Segment] = field(default_factory=lambda: [segment(USER_SS)] * 6)
    memory: bytearray = field(default_factory=lambda: bytearray(0x20000))
    unmapped: frozenset[int] = frozenset()
    user_reads: list[tuple[int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for selector, entry in GDT_ENTRIES.items():
            self.put(GDT + (selector & ~7), entry, 8)
        self.put(TSS + 102, 104, 2)  # the I/O bitmap begins behind the limit: none

    @property
    def cpl(self) -> int:
        return 3 if self.eflags & eflags.VM else self.segments[Seg.SS].dpl

    def wallclock(self) -> int:
        return 0

    def gpr(self, register: int) -> int:
        return self.gprs[register]

    def segment(self, register: int) -> Segment:
        return self.segments[register]

    def cr(self, number: int) -> int:
        return self.crs[number]

    def _check(self, address: int, size: int) -> None:
        for each in range(address, address + size):
            if each // PAGE in self.unmapped or each >= len(self.memory):
                raise PageFault(each, 0)

    def read(self, address: int, size: int, user: bool = False) -> bytes:
        self._check(address, size)
        self.user_reads.append((address, user))
        return bytes(self.memory[address : address + size])

    def physical(self, address: int) -> int:
        self._check(address, 1)
        return address

    def writable(self, address: int, size: int) -> bool:
        try:
            self._check(address, size)
        except PageFault:
            return False
        return True

    def put(self, address: int, value: int, size: int = 4) -> None:
        self.memory[address : address + size] = value.to_bytes(size, "little")

    def get(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.memory[address : address + size], "little")

    def gate(
        self, vector: int, selector: int, offset: int, *, kind: int = 0xE, dpl: int = 0, present: bool = True
    ) -> None:
        hi = (offset & 0xFFFF0000) | kind << 8 | dpl << 13 | present << 15
        self.put(IDT + vector * 8, (offset & 0xFFFF) | selector << 16 | hi << 32, 8)

    def apply(self, effects: Effects) -> None:
        """What the machine does with the effects that change state; others are a test's own business."""
        for effect in effects:
            match effect:
                case SetGpr(register, value):
                    self.gprs[register] = value
                case SetEip(value):
                    self.eip = value
                case SetFlags(image, mask):
                    self._set_flags(image, mask)
                case SetSegment(register, value):
                    self.segments[register] = value
                case SetCr(number, value):
                    self.crs[number] = value
                case SetSystem(system):
                    self.system = system
                case SetGdtr(table):
                    self.gdtr = table
                case SetIdtr(table):
                    self.idtr = table
                case SetLdtr(value):
                    self.ldtr = value
                case SetTr(value):
                    self.tr = value
                case WriteMemory(address, data, _):
                    self._check(address, len(data))
                    self.memory[address : address + len(data)] = data
                case _:
                    raise AssertionError(f"a test does not expect {effect}")

    def _set_flags(self, image: int, mask: int) -> None:
        virtual = mask & (eflags.IF | eflags.IOPL)
        guest = eflags.replace(eflags.guest_flags(self.eflags, self.system), image, virtual)
        self.system = replace(self.system, vif=bool(guest & eflags.IF), viopl=eflags.iopl(guest))
        self.eflags = eflags.replace(self.eflags, image, mask & ~virtual if self.system.paravirtual else mask)


def at_ring(cpl: int, *, vif: bool = True, viopl: int = 0, paravirtual: bool = False, flags: int = 2) -> FlatView:
    """Code running at this level, with flat segments."""
    cs, ss = RINGS[cpl]
    view = FlatView(system=System(paravirtual=paravirtual, vif=vif, viopl=viopl))
    view.segments = [segment(USER_SS)] * 6
    view.segments[Seg.CS] = segment(cs)
    view.segments[Seg.SS] = segment(ss)
    real = eflags.IF if paravirtual else (eflags.IF * vif) | viopl << 12
    view.eflags = (flags & ~(eflags.IF | eflags.IOPL)) | real | 2
    return view


def v8086(*, viopl: int, vif: bool = True) -> FlatView:
    """Virtual-8086 code at 0800:0000 with its stack at 0900:1000."""
    view = at_ring(3, vif=vif, viopl=viopl, flags=2 | eflags.VM)
    for register in Seg:
        view.segments[register] = Segment(0x900, 0x9000, 0xFFFF, 0xF300)
    view.segments[Seg.CS] = Segment(0x800, 0x8000, 0xFFFF, 0xF300)
    view.eip = 0
    view.gprs[4] = 0x1000
    return view
