"""A guest in its smallest form for the VMI handlers: registers, flat memory, and the effects applied to them in order.

Linear addresses are physical ones; pages outside memory, or named absent, fault.
"""

from dataclasses import dataclass, field, replace
from struct import pack, unpack

from pvtrace.model.registers import Gpr, Seg, Segment, TableRegister
from pvtrace.model.step import RESET, Step
from pvtrace.vmi.call import Call
from pvtrace.vmi.effects import ReadApic, SetVmi, VmiEffects, WriteApic, transfers_control
from pvtrace.vmi.state import VmiState
from pvtrace.vmi.table import perform
from pvtrace.x86 import descriptors as d
from pvtrace.x86 import eflags
from pvtrace.x86.effects import (
    End,
    FlushTlb,
    HaltCpu,
    Native,
    Note,
    Raise,
    ReadPort,
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
    WritePort,
)
from pvtrace.x86.latitude import DEFAULT, Latitude
from pvtrace.x86.results import Returned
from pvtrace.x86.state import System
from pvtrace.x86.view import PageFault
from rom.abi import Generation, Place, by_name
from rom.layout import entry_offset

SIZE = 0x40000
GDT, IDT, LDT, TSS, STACK, DATA = 0x1000, 0x2000, 0x3000, 0x4000, 0x9000, 0x10000
ROM = 0x20000
SITE = 0x8000
HOLE = 0xFC000000
HZ = 100_000_000

KERNEL_CS, KERNEL_DS, USER_CS, USER_DS, TSS_SELECTOR, LDT_SELECTOR = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x30
SPARE = 0x38

FIRST_GDTR = TableRegister(GDT, 0x3F)
FIRST_IDTR = TableRegister(IDT, 0x7FF)
NULL = d.null_segment()
NATIVE = System(vif=True)
BEFORE_INIT = VmiState(virtual_top=HOLE)


def segment_entry(base: int, limit: int, attributes: int) -> bytes:
    """A descriptor of 8 bytes; `limit` in bytes."""
    return pack("<II", *d.encode_segment(Segment(0, base, limit, attributes)))


def code(dpl: int, **extra: int) -> bytes:
    return segment_entry(extra.get("base", 0), extra.get("limit", 0xFFFFFFFF), d.with_dpl(d.FLAT_CODE, dpl))


def data(dpl: int, **extra: int) -> bytes:
    return segment_entry(extra.get("base", 0), extra.get("limit", 0xFFFFFFFF), d.with_dpl(d.FLAT_DATA, dpl))


def system_entry(base: int, limit: int, kind: int) -> bytes:
    return segment_entry(base, limit, d.PRESENT | kind << 8)


def native_segments() -> list[Segment]:
    flat_data = d.flat(KERNEL_DS, 0, code=False)
    null = d.null_segment()
    return [flat_data, d.flat(KERNEL_CS, 0, code=True), flat_data, flat_data, null, null]


def first_memory() -> bytearray:
    memory = bytearray(SIZE)
    gdt = (
        bytes(8),
        code(0),
        data(0),
        code(3),
        data(3),
        system_entry(TSS, 0x67, d.SystemType.TSS32),
        system_entry(LDT, 0x1F, d.SystemType.LDT),
        bytes(8),
    )
    memory[GDT : GDT + 64] = b"".join(gdt)
    memory[TSS + 4 : TSS + 12] = pack("<II", STACK, KERNEL_DS)
    return memory


@dataclass
class Guest:
    """Implements View. `ports` is what the next reads of ports give; `written` what went out."""

    memory: bytearray = field(default_factory=first_memory)
    gprs: list[int] = field(default_factory=lambda: [0, 0, 0, 0, STACK, 0, 0, 0])
    segments: list[Segment] = field(default_factory=native_segments)
    crs: list[int] = field(default_factory=lambda: [0x80010011, 0, 0, 0, 0])
    eip: int = 0
    eflags: int = eflags.FIXED | eflags.IF
    gdtr: TableRegister = FIRST_GDTR
    idtr: TableRegister = FIRST_IDTR
    ldtr: Segment = NULL
    tr: Segment = NULL
    system: System = NATIVE
    vmi: VmiState = BEFORE_INIT
    step: Step = RESET
    ticks: int = 1000
    hz: int = HZ
    wall: int = 1_700_000_000_000_000_000
    latitude: Latitude = DEFAULT
    user_if: bool = False
    absent: set[int] = field(default_factory=set)
    apic: dict[int, int] = field(default_factory=dict)
    read_only: set[int] = field(default_factory=set)
    ports: list[int] = field(default_factory=list)
    written: list[WritePort] = field(default_factory=list)
    flushes: int = 0
    halted: bool = False
    returned: Returned | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def cpl(self) -> int:
        if self.eflags & eflags.VM:
            return 3
        return self.segments[Seg.SS].dpl

    def wallclock(self) -> int:
        return self.wall

    def gpr(self, register: int) -> int:
        return self.gprs[register]

    def segment(self, register: int) -> Segment:
        return self.segments[register]

    def cr(self, number: int) -> int:
        return self.crs[number]

    def read(self, address: int, size: int, user: bool = False) -> bytes:
        self._check(address, size, self.absent, user)
        return bytes(self.memory[address : address + size])

    def physical(self, address: int) -> int:
        self._check(address, 1, self.absent, False)
        return address

    def writable(self, address: int, size: int) -> bool:
        try:
            self._check(address, size, self.absent | self.read_only, False)
        except PageFault:
            return False
        return True

    def _check(self, address: int, size: int, refused: set[int], user: bool) -> None:
        for page in range(address >> 12, (address + size - 1 >> 12) + 1):
            if page in refused or page >= SIZE >> 12:
                raise PageFault(max(address, page << 12), 4 if user else 0)

    def word(self, address: int) -> int:
        return int.from_bytes(self.memory[address : address + 4], "little")

    def put(self, address: int, *words: int) -> None:
        self.memory[address : address + 4 * len(words)] = pack(f"<{len(words)}I", *words)

    def entry(self, selector: int, table: int = GDT) -> tuple[int, int]:
        low, high = unpack("<II", self.memory[table + (selector & ~7) : table + (selector & ~7) + 8])
        return low, high

    def apply(self, effects: VmiEffects) -> None:
        """Everything but Raise, End and Native, which no call may be given to apply here."""
        for effect in effects:
            match effect:
                case SetGpr(register, value):
                    assert 0 <= value < 1 << 32
                    self.gprs[register] = value
                case SetEip(value):
                    self.eip = value
                case SetFlags(image, mask):
                    self._set_flags(image, mask)
                case SetSegment(register, segment):
                    self.segments[register] = segment
                case SetLdtr(segment):
                    self.ldtr = segment
                case SetTr(segment):
                    self.tr = segment
                case SetGdtr(table):
                    self.gdtr = table
                case SetIdtr(table):
                    self.idtr = table
                case SetCr(number, value):
                    self.crs[number] = value
                case SetSystem(system):
                    self.system = system
                case SetVmi(state):
                    self.vmi = state
                case WriteMemory(address, data, user):
                    self._check(address, len(data), self.absent | self.read_only, user)
                    self.memory[address : address + len(data)] = data
                case ReadPort():
                    self._read_port(effect)
                case WritePort():
                    self.written.append(effect)
                case FlushTlb():
                    self.flushes += 1
                case ReadApic(register):
                    self.gprs[Gpr.EAX] = self.apic.get(register, 0)
                case WriteApic(register, value):
                    self.apic[register] = value
                case HaltCpu():
                    self.halted = True
                case Returned():
                    self.returned = effect
                case Note(text):
                    self.notes.append(text)
                case Raise() | End() | Native():
                    raise AssertionError(f"the call did not complete: {effect}")

    def _set_flags(self, image: int, mask: int) -> None:
        if mask & eflags.IF:
            self.system = replace(self.system, vif=bool(image & eflags.IF))
        if mask & eflags.IOPL:
            self.system = replace(self.system, viopl=eflags.iopl(image))
        if self.system.paravirtual:
            mask &= ~(eflags.IF | eflags.IOPL)
        self.eflags = eflags.replace(self.eflags, image, mask)

    def _read_port(self, effect: ReadPort) -> None:
        value = self.ports.pop(0) & (1 << 8 * effect.width) - 1
        if effect.address is not None:
            raw = value.to_bytes(effect.width, "little")
            self.apply((WriteMemory(effect.address, raw),))
        else:
            assert effect.zero_extend
            self.gprs[effect.register] = value

    def call(self, name: str, generation: Generation = Generation.V3, /, **operands: int) -> VmiEffects:
        """The effects of a call at SITE. `operands` by the names of rom.abi; `status` and the like are results."""
        return perform(self._enter(name, generation, operands), self, self.vmi)

    def _enter(self, name: str, generation: Generation, operands: dict[str, int]) -> Call:
        info = by_name(name)
        number = info.number(generation)
        assert number is not None
        places = {operand.name: operand.place for operand in info.arguments}
        words = {Place.STACK1: 0, Place.STACK2: 0}
        for operand, value in operands.items():
            place = places[operand]
            if place in words:
                words[place] = value
            else:
                self.gprs[Gpr[place.name]] = value
        self.eip = ROM + entry_offset(generation, number)
        esp = self.gprs[Gpr.ESP] - 4
        self.gprs[Gpr.ESP] = esp
        return Call(
            generation,
            number,
            info,
            self.gprs[Gpr.EAX],
            self.gprs[Gpr.EDX],
            self.gprs[Gpr.ECX],
            (words[Place.STACK1], words[Place.STACK2]),
            SITE,
            SITE + 5,
            esp,
        )

    def do(self, name: str, generation: Generation = Generation.V3, /, **operands: int) -> int:
        """A call from beginning to end, as the machine does it; returns EDX:EAX."""
        effects = self.call(name, generation, **operands)
        self.apply(effects)
        if not transfers_control(effects):
            self.gprs[Gpr.ESP] += 4
            self.eip = SITE + 5
        return self.gprs[Gpr.EDX] << 32 | self.gprs[Gpr.EAX]


def paravirtual(generation: Generation = Generation.V3) -> Guest:
    """A guest after its Init."""
    guest = Guest()
    guest.do("Init", generation)
    assert guest.system.paravirtual
    return guest
