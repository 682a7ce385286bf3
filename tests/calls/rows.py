"""Every VMI call as a real guest makes it: inputs, results, and what it has done, seen by a call, in memory or in the
machine. One row is one call in every generation that has it, unless the row says otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pvtrace.model.events import Event, Kind
from pvtrace.model.registers import TableRegister
from pvtrace.model.stops import Why
from pvtrace.x86.cpuid import cpuid
from rom.abi import Generation, Place
from tests.calls.scripts import HZ, AwaitTimer, Do, Ran, StepOf, Store

V3, V13 = Generation.V3, Generation.V13
GDT_LIMIT: Final = 0x7F
IDT, TSS, LDT = 0x120000, 0x121000, 0x124000
USER_CODE, USER_DATA, TSS_SELECTOR, LDT_SELECTOR, SPARE = 0x1B, 0x23, 0x28, 0x30, 0x58
MEMORY: Final = 0x138000
USER_STACK: Final = 0x12C000
FOUR_GIB: Final = (0x0000FFFF, 0x00CFF300)
USER_DATA_IMAGE: Final = (0x0000BFFF, 0x00CFF300)
PIC_MASK: Final = 0x21
DELAY: Final = 0x80
CONSOLE: Final = 0xE9

Wanted = int | Callable[[int], bool]
Check = Callable[[Ran], bool]


def anything(_value: int) -> bool:
    return True


def nothing_more(_ran: Ran) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Row:
    """`results`: of the call itself, by place; every other register must be as before. `steps` come before the call and
    `then` after it; `seen`: what the calls of `then` return in EAX. `check`: what else must be true at the end. `how`: the
    way it came back; `ends`: the run ends in this call. `segments`: selectors that the call may change."""

    call: str
    arguments: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[Place, Wanted] = field(default_factory=dict)
    steps: tuple[StepOf, ...] = ()
    then: tuple[StepOf, ...] = ()
    seen: tuple[Wanted, ...] = ()
    check: Check = nothing_more
    only: Generation | None = None
    how: str = "returned"
    ends: Why | None = None
    words: Callable[[int], tuple[int, ...]] | None = None
    segments: frozenset[str] = frozenset()
    before_init: bool = False
    flags: int = 2
    ds: int = 0x10
    es: int = 0x10


def eax(value: Wanted) -> dict[Place, Wanted]:
    return {Place.EAX: value}


def pair(low: Wanted, high: Wanted) -> dict[Place, Wanted]:
    return {Place.EAX: low, Place.EDX: high}


def stored(address: int, *words: int) -> Check:
    return lambda ran: tuple(ran.word(address + 4 * index) for index in range(len(words))) == words


def ports(kind: Kind, port: int, *values: int) -> Check:
    """The accesses to a port, by their values, as the last ones of their kind."""

    def check(ran: Ran) -> bool:
        found = [event.args[2] for event in ran.of(kind) if event.args[0] == port]
        return tuple(found[-len(values) :]) == values

    return check


def last(kind: Kind, ran: Ran) -> Event:
    return ran.of(kind)[-1]


def interrupted_at_once(ran: Ran) -> bool:
    """The pending interrupt came before the instruction behind the call."""
    return ran.irqs() == 1 and ran.irq_eip() == ran.guest.site + 5


MASK_FB: Final = Do("OUTB", {"value": 0xFB, "port": PIC_MASK})
INTERRUPTS_ON: Final = Do("EnableInterrupts")
VIRTUAL_IF: Final = Do("GetInterruptMask")

CORE: Final = (
    Row("Init", results=eax(0), before_init=True, segments=frozenset({"es", "cs", "ss", "ds"}), check=lambda r: (
        r.machine.system.paravirtual and r.machine.cpu.cpl == 1 and r.machine.vmi.generation is r.generation
    )),
    Row("Init", results=eax(0)),
    Row("GetRelocationInfo", {"number": 13}, pair(lambda eip: eip >= 0xC8000 and eip % 16 == 0, 1)),
    Row("GetRelocationInfo", {"number": 13}, pair(lambda eip: eip >= 0xC8000, 1), before_init=True),
    Row("GetRelocationInfo", {"number": 72}, pair(anything, 0), only=V3),
    Row("GetRelocationInfo", {"number": 1000}, pair(anything, 0)),
    Row("CPUID", {"leaf": 0, "subleaf": 0}, dict(zip((Place.EAX, Place.EBX, Place.ECX, Place.EDX), cpuid(0), strict=True))),
    Row("WRMSR", {"index": 0x175, "value_low": 0x1234, "value_high": 0}, then=(Do("RDMSR", {"index": 0x175}),), seen=(0x1234,)),
    Row("WRMSR", {"index": 0xDEAD, "value_low": 0, "value_high": 0}, how="fault"),
    Row("RDMSR", {"index": 0x176}, pair(0x777, 0), steps=(Do("WRMSR", {"index": 0x176, "value_low": 0x777, "value_high": 0}),)),
    Row("RDMSR", {"index": 0xDEAD}, how="fault"),
    Row("RDPMC", {"index": 1}, pair(0, 0)),
    Row("RDPMC", {"index": 9}, how="fault"),
    Row("RDTSC", results=pair(lambda low: 0 < low < 1 << 20, 0)),
)

INTERRUPTS: Final = (
    Row("EnableInterrupts", then=(VIRTUAL_IF,), seen=(0x200,)),
    Row("EnableInterrupts", ds=0, es=0, then=(VIRTUAL_IF,), seen=(0x200,)),
    Row("EnableInterrupts", steps=(AwaitTimer(),), check=interrupted_at_once),
    Row("DisableInterrupts", steps=(INTERRUPTS_ON,), then=(VIRTUAL_IF,), seen=(0,)),
    Row("DisableInterrupts", ds=0, es=0, steps=(INTERRUPTS_ON,), then=(VIRTUAL_IF,), seen=(0,)),
    Row("GetInterruptMask", results=eax(0)),
    Row("GetInterruptMask", ds=0, es=0, steps=(INTERRUPTS_ON,), results=eax(0x200)),
    Row("SetInterruptMask", {"mask": 0xFFFFFFFF}, then=(VIRTUAL_IF,), seen=(0x200,)),
    Row("SetInterruptMask", {"mask": 0xFFFFFDFF}, ds=0, es=0, steps=(INTERRUPTS_ON,), then=(VIRTUAL_IF,), seen=(0,)),
    Row("SetInterruptMask", {"mask": 0x246}, steps=(AwaitTimer(),), check=interrupted_at_once),
    Row("Pause"),
    Row("Halt", steps=(AwaitTimer(),), then=(VIRTUAL_IF,), seen=(0x200,), check=interrupted_at_once),
    Row("Halt", steps=(Do("OUTB", {"value": 0xFF, "port": PIC_MASK}),), ends=Why.IDLE, how="not at all"),
    Row("Reboot", {"how": 0}, ends=Why.REBOOT, how="not at all"),
    Row("Reboot", {"how": 1}, ends=Why.REBOOT, how="not at all"),
    Row("Shutdown", ends=Why.SHUTDOWN, how="not at all"),
)

PSEUDO: Final = (Store(MEMORY, IDT << 16 & 0xFFFFFFFF | 0x17F), Store(MEMORY + 4, IDT >> 16))

DESCRIPTORS: Final = (
    Row("SetGDT", {"table_pointer": MEMORY}, segments=frozenset({"es", "ds"}), steps=(
        Do("GetGDT", {"buffer_pointer": MEMORY}),
        Store(MEMORY - 2, (GDT_LIMIT - 8) << 16),
    ), check=lambda r: r.machine.cpu.gdtr == TableRegister(r.guest.gdt, GDT_LIMIT - 8)),
    Row("SetIDT", {"table_pointer": MEMORY}, steps=PSEUDO, then=(Do("GetIDT", {"buffer_pointer": MEMORY + 16}),), seen=(anything,),
        check=stored(MEMORY + 16, IDT << 16 & 0xFFFFFFFF | 0x17F, IDT >> 16)),
    Row("SetLDT", {"selector": LDT_SELECTOR}, segments=frozenset({"es", "ds"}), then=(Do("GetLDT"),), seen=(LDT_SELECTOR,)),
    Row("SetLDT", {"selector": 0}, segments=frozenset({"es", "ds"}), steps=(Do("SetLDT", {"selector": LDT_SELECTOR}),),
        then=(Do("GetLDT"),), seen=(0,)),
    Row("SetLDT", {"selector": 0x10}, how="fault"),
    Row("SetTR", {"selector": TSS_SELECTOR}, steps=(
        Do("WriteGDTEntry", {"table_pointer": -1, "index": TSS_SELECTOR >> 3, "low": TSS << 16 & 0xFFFFFFFF | 0x67, "high": 0x8912}),
    ), then=(Do("GetTR"),), seen=(TSS_SELECTOR,)),
    Row("SetTR", {"selector": 0x10}, how="fault"),
    Row("GetGDT", {"buffer_pointer": MEMORY}, check=lambda r: r.word(MEMORY) == (r.guest.gdt << 16 | GDT_LIMIT) & 0xFFFFFFFF),
    Row("GetLDT", results=eax(0)),
    Row("GetIDT", {"buffer_pointer": MEMORY}, check=stored(MEMORY, IDT << 16 & 0xFFFFFFFF | 0x1FF, IDT >> 16)),
    Row("GetTR", results=eax(TSS_SELECTOR)),
    Row("WriteGDTEntry", {"table_pointer": -1, "index": SPARE >> 3, "low": FOUR_GIB[0], "high": FOUR_GIB[1]},
        check=lambda r: (r.word(r.guest.gdt + SPARE), r.word(r.guest.gdt + SPARE + 4)) == USER_DATA_IMAGE),
    Row("WriteLDTEntry", {"table_pointer": LDT, "index": 1, "low": FOUR_GIB[0], "high": FOUR_GIB[1]},
        check=stored(LDT + 8, *USER_DATA_IMAGE)),
    Row("WriteIDTEntry", {"table_pointer": IDT, "vector": 0x2F, "low": 0x00081234, "high": 0x00128E00},
        check=stored(IDT + 8 * 0x2F, 0x00081234, 0x00128E00)),
    Row("UpdateKernelStack", {"stack": 0x10, "esp0": MEMORY}, only=V3,
        check=lambda r: r.machine.system.kernel_stack == (0x11, MEMORY)),
    Row("UpdateKernelStack", {"stack": TSS, "esp0": MEMORY}, only=V13,
        check=lambda r: r.machine.system.kernel_stack == (0x11, MEMORY)),
)

CONTROL: Final = (
    Row("SetCR0", {"value": 0x1B}, then=(Do("GetCR0"),), seen=(0x1B,)),
    Row("SetCR2", {"value": 0x12345678}, then=(Do("GetCR2"),), seen=(0x12345678,)),
    Row("SetCR3", {"value": 0x130000}, then=(Do("GetCR3"),), seen=(0x130000,)),
    Row("SetCR4", {"value": 0x90}, then=(Do("GetCR4"),), seen=(0x90,)),
    Row("GetCR0", results=eax(0x11)),
    Row("GetCR2", results=eax(0)),
    Row("GetCR3", results=eax(0)),
    Row("GetCR4", results=eax(0)),
    Row("INVD", ends=Why.TERMINATED, how="not at all"),
    Row("WBINVD"),
    Row("SetDR", {"register": 3, "value": 0x1234}, then=(Do("GetDR", {"register": 3}),), seen=(0x1234,)),
    Row("GetDR", {"register": 7}, eax(0x400)),
    Row("CLTS", steps=(Do("SetCR0", {"value": 0x19}),), then=(Do("GetCR0"),), seen=(0x11,)),
)

SYSENTER_CS: Final = Do("WRMSR", {"index": 0x174, "value_low": 8, "value_high": 0})


def to_kernel(flags: int) -> Callable[[int], tuple[int, ...]]:
    return lambda landed: (landed, 8, flags)


def to_user(flags: int) -> Callable[[int], tuple[int, ...]]:
    return lambda landed: (landed, USER_CODE, flags, USER_STACK, USER_DATA)


TRANSITIONS: Final = (
    Row("IRET", words=to_kernel(0x202), how="landed", then=(VIRTUAL_IF,), seen=(0x200,)),
    Row("IRET", words=to_kernel(2), how="landed", steps=(INTERRUPTS_ON,), then=(VIRTUAL_IF,), seen=(0,)),
    Row("IRET", words=to_kernel(0x202), how="landed", ds=0, es=0, steps=(AwaitTimer(),), check=lambda r: (
        r.irqs() == 1 and r.irq_eip() == r.guest.landed
    )),
    Row("IRET", words=to_user(0x202), how="user", ds=USER_DATA, es=USER_DATA, segments=frozenset({"cs", "ss"}),
        check=lambda r: last(Kind.RETURN, r).args[:3] == (1, r.guest.user_landed, USER_CODE)),
    Row("SYSEXIT", {"eip": -2, "esp": USER_STACK}, how="user", ds=USER_DATA, es=USER_DATA, steps=(SYSENTER_CS,),
        segments=frozenset({"cs", "ss"}), check=lambda r: last(Kind.RETURN, r).args[:3] == (3, r.guest.user_landed, USER_CODE)),
    Row("SYSEXIT", {"eip": -2, "esp": USER_STACK}, how="user", ds=USER_DATA, es=USER_DATA,
        steps=(SYSENTER_CS, AwaitTimer()), segments=frozenset({"cs", "ss"}),
        check=lambda r: r.irqs() == 1 and r.irq_eip() == r.guest.user_landed),
)


def string_in(call: str, width: int, *words: int) -> Row:
    return Row(call, {"buffer_pointer": MEMORY, "port": PIC_MASK, "count": 2}, {Place.EDI: MEMORY + 2 * width, Place.ECX: 0},
               steps=(MASK_FB,), check=stored(MEMORY, *words))


def string_out(call: str, width: int, *values: int) -> Row:
    return Row(call, {"buffer_pointer": MEMORY, "port": DELAY, "count": 2}, {Place.ESI: MEMORY + 2 * width, Place.ECX: 0},
               steps=(Store(MEMORY, 0x44332211), Store(MEMORY + 4, 0x88776655)), check=ports(Kind.PORT_WRITE, DELAY, *values))


IO: Final = (
    Row("IN", {"port": PIC_MASK}, eax(0xFFFFFFFB), steps=(MASK_FB,), check=ports(Kind.PORT_READ, PIC_MASK, 0xFFFFFFFB)),
    Row("INW", {"port": PIC_MASK}, eax(0xFFFB), steps=(MASK_FB,)),
    Row("INB", {"port": PIC_MASK}, eax(0xFB), steps=(MASK_FB,)),
    string_in("INS", 4, 0xFFFFFFFB, 0xFFFFFFFB),
    string_in("INSW", 2, 0xFFFBFFFB),
    string_in("INSB", 1, 0x0000FBFB),
    Row("INSB", {"buffer_pointer": MEMORY + 1, "port": PIC_MASK, "count": 2}, {Place.EDI: MEMORY - 1, Place.ECX: 0},
        steps=(MASK_FB,), flags=0x402, check=stored(MEMORY, 0x0000FBFB)),
    Row("OUT", {"value": 0x11223344, "port": DELAY}, check=ports(Kind.PORT_WRITE, DELAY, 0x11223344)),
    Row("OUTW", {"value": 0x11223344, "port": DELAY}, check=ports(Kind.PORT_WRITE, DELAY, 0x3344)),
    Row("OUTB", {"value": 0x112233FB, "port": PIC_MASK}, then=(Do("INB", {"port": PIC_MASK}),), seen=(0xFB,)),
    string_out("OUTS", 4, 0x44332211, 0x88776655),
    string_out("OUTSW", 2, 0x2211, 0x4433),
    string_out("OUTSB", 1, 0x11, 0x22),
    Row("SetIOPLMask", {"mask": 0xFFFF3FFF}, check=lambda r: r.machine.system.viopl == 3),
    Row("IODelay"),
)

LVT_TIMER: Final = {V13: 0xFEE00320, V3: 0x320}

APIC: Final = (
    *(
        row
        for generation, register in LVT_TIMER.items()
        for row in (
            Row("APICWrite", {"register": register, "value": 0x10031}, only=generation,
                then=(Do("APICRead", {"register": register}),), seen=(0x10031,)),
            Row("APICRead", {"register": register}, eax(0x10000), only=generation),
        )
    ),
    Row("SetInitialAPState", {"state_pointer": MEMORY, "apic_id": 1}, check=lambda r: "never starts" in str(last(Kind.NOTE, r).args[0])),
)


def real_is_available_and_stolen(ran: Ran) -> bool:
    """The counters were read one after another: the later ones may be ahead by what runs between."""
    real, available, stolen = (result.after["eax"] for result in ran.results[1:4])
    return stolen == 0 and 0 < real < available < real + 10_000


TIME: Final = (
    Row("GetCycleFrequency", results=pair(HZ, 0)),
    Row("GetCycleCounter", {"counter": 0}, pair(lambda low: 0 < low < 1 << 20, 0),
        then=(Do("GetCycleCounter", {"counter": 1}), Do("GetCycleCounter", {"counter": 2})), seen=(anything, 0),
        check=real_is_available_and_stolen),
    Row("GetCycleCounter", {"counter": 9}, pair(0, 0)),
    Row("SetAlarm", {"flags": 0, "expiry_low": 0, "expiry_high": 1, "period_low": 0, "period_high": 0},
        then=(Do("CancelAlarm", {"flags": 0}), Do("CancelAlarm", {"flags": 0})), seen=(1, 0)),
    Row("SetAlarm", {"flags": 0, "expiry_low": 20_000, "expiry_high": 0, "period_low": 0, "period_high": 0},
        then=(Do("Halt"),), seen=(anything,), check=lambda r: r.irqs() == 1 and last(Kind.ALARM, r).args[:2] == (0, 20_000)),
    Row("SetAlarm", {"flags": 0x101, "expiry_low": 20_000, "expiry_high": 0, "period_low": 30_000, "period_high": 0},
        then=(Do("Halt"), Do("Halt")), seen=(anything, anything),
        check=lambda r: [event.args[:2] for event in r.of(Kind.ALARM)] == [(1, 20_000), (1, 50_000)]),
    Row("CancelAlarm", {"flags": 0x10100}, eax(1), steps=(
        Do("SetAlarm", {"flags": 0x100, "expiry_low": 0, "expiry_high": 1, "period_low": 5, "period_high": 0}),
    )),
    Row("CancelAlarm", {"flags": 0}, eax(0)),
    Row("GetWallclockTime", results=pair(anything, lambda high: high > 0x0F000000)),
    Row("WallclockUpdated", results=eax(0)),
)

LONG: Final = {"value_low": 0x0013F067, "value_high": 0x1, "entry_pointer": MEMORY}
ENTRY: Final = (Store(MEMORY, 0x11223344), Store(MEMORY + 4, 0x55667788))


def page_type(pfn: int, kind: int) -> Check:
    return lambda ran: ran.machine.vmi.page_type(pfn) == kind


ANNOUNCED: Final = Do("AllocatePage", {"pfn": 0x13F, "flags": 0x41, "source_pfn": 0, "first": 0, "count": 0})

MMU: Final = (
    Row("SetPxE0", {"entry_pointer": MEMORY, "value": 0x0013F067}, check=stored(MEMORY, 0x0013F067)),
    Row("GetPxE", {"entry_pointer": MEMORY}, eax(0x11223344), steps=ENTRY),
    Row("SwapPxE", {"entry_pointer": MEMORY, "value": 7}, eax(0x11223344), steps=ENTRY, check=stored(MEMORY, 7)),
    Row("SetPxELong0", LONG, check=stored(MEMORY, 0x0013F067, 1)),
    Row("GetPxELong", {"entry_pointer": MEMORY}, pair(0x11223344, 0x55667788), steps=ENTRY),
    Row("SwapPxELongAtomic", LONG, pair(0x11223344, 0x55667788), steps=ENTRY, check=stored(MEMORY, 0x0013F067, 1)),
    Row("TestAndSetPxEBit", {"entry_pointer": MEMORY, "bit": 0}, eax(0), steps=ENTRY, check=stored(MEMORY, 0x11223345)),
    Row("TestAndSetPxEBit", {"entry_pointer": MEMORY, "bit": 6}, eax(bool), steps=ENTRY, check=stored(MEMORY, 0x11223344)),
    Row("TestAndClearPxEBit", {"entry_pointer": MEMORY, "bit": 6}, eax(bool), steps=ENTRY, check=stored(MEMORY, 0x11223304)),
    Row("AllocatePage", {"pfn": 0x13F, "flags": 0x41, "source_pfn": 0, "first": 0, "count": 0}, check=page_type(0x13F, 1)),
    Row("ReleasePage", {"pfn": 0x13F, "flags": 0x41}, steps=(ANNOUNCED,), check=page_type(0x13F, 0)),
    Row("InvalPage", {"address": MEMORY}),
    Row("FlushTLB", {"flags": 3}),
    Row("FlushDeferredCalls", {"flags": 0xC0}, eax(anything)),
    Row("SetLinearMapping", {"slot": 0, "address": 0xC0000000, "pages": 16, "pfn": 2},
        check=lambda r: r.machine.vmi.mappings[0] is not None and r.machine.vmi.mappings[0].base == 0xC0000000),
    Row("SetLinearMapping", {"slot": 77, "address": 0xC0000000, "pages": 16, "pfn": 2},
        check=lambda r: r.machine.vmi.mappings == (None,) * 4),
    Row("DeactivatePxELongAtomic", {"entry_pointer": MEMORY}, pair(0x11223344, 0x55667788), steps=ENTRY, check=stored(MEMORY, 0, 0)),
    Row("TestAndSetPxELongBit", {"entry_pointer": MEMORY, "bit": 0}, eax(0), steps=ENTRY, check=stored(MEMORY, 0x11223345, 0x55667788)),
    Row("TestAndClearPxELongBit", {"entry_pointer": MEMORY, "bit": 6}, eax(bool), steps=ENTRY,
        check=stored(MEMORY, 0x11223304, 0x55667788)),
    Row("SetPxE", {"value": 0x0013F067, "entry_pointer": MEMORY, "flags": 1}, check=stored(MEMORY, 0x0013F067)),
    Row("SetPxELong", {**LONG, "flags": 1}, check=stored(MEMORY, 0x0013F067, 1)),
    Row("UpdatePxE", {"entry_pointer": MEMORY, "flags": 1}, steps=ENTRY, check=stored(MEMORY, 0x11223344)),
    Row("UpdatePxELong", {"entry_pointer": MEMORY, "flags": 1}, steps=ENTRY, check=stored(MEMORY, 0x11223344)),
    Row("MachineToPhysical", {"machine": 0x123}, eax(0x123)),
    Row("PhysicalToMachine", {"physical": 0x123}, eax(0x123)),
    Row("SetLazyMode", {"mode": 1}, check=lambda r: r.machine.vmi.lazy == 1),
    Row("SetLazyMode", {"mode": 0}, steps=(Do("SetLazyMode", {"mode": 2}),), check=lambda r: r.machine.vmi.lazy == 0),
    Row("SetCallbacks", how="no entry point"),
)

ROWS: Final = (*CORE, *INTERRUPTS, *DESCRIPTORS, *CONTROL, *TRANSITIONS, *IO, *APIC, *TIME, *MMU)

ABSENT: Final = {("SetCallbacks", V3): "no text says what it does; the relocation query answers that it is absent"}
"""Calls without an entry point, and why."""
