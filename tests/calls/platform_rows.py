"""The calls to ports, the local APIC, clocks and page tables."""

from typing import Final

from pvtrace.model.events import Kind
from rom.abi import Place
from tests.calls.row import (
    DELAY,
    MASK_FB,
    MEMORY,
    PIC_MASK,
    V3,
    V13,
    Check,
    Row,
    anything,
    eax,
    last,
    pair,
    ports,
    stored,
)
from tests.calls.scripts import HZ, Do, Ran, Store


def string_in(call: str, width: int, *words: int) -> Row:
    return Row(
        call,
        {"buffer_pointer": MEMORY, "port": PIC_MASK, "count": 2},
        {Place.EDI: MEMORY + 2 * width, Place.ECX: 0},
        steps=(MASK_FB,),
        check=stored(MEMORY, *words),
    )


def string_out(call: str, width: int, *values: int) -> Row:
    return Row(
        call,
        {"buffer_pointer": MEMORY, "port": DELAY, "count": 2},
        {Place.ESI: MEMORY + 2 * width, Place.ECX: 0},
        steps=(Store(MEMORY, 0x44332211), Store(MEMORY + 4, 0x88776655)),
        check=ports(Kind.PORT_WRITE, DELAY, *values),
    )


IO: Final = (
    Row("IN", {"port": PIC_MASK}, eax(0xFFFFFFFB), steps=(MASK_FB,), check=ports(Kind.PORT_READ, PIC_MASK, 0xFFFFFFFB)),
    Row("INW", {"port": PIC_MASK}, eax(0xFFFB), steps=(MASK_FB,)),
    Row("INB", {"port": PIC_MASK}, eax(0xFB), steps=(MASK_FB,)),
    string_in("INS", 4, 0xFFFFFFFB, 0xFFFFFFFB),
    string_in("INSW", 2, 0xFFFBFFFB),
    string_in("INSB", 1, 0x0000FBFB),
    Row(
        "INSB",
        {"buffer_pointer": MEMORY + 1, "port": PIC_MASK, "count": 2},
        {Place.EDI: MEMORY - 1, Place.ECX: 0},
        steps=(MASK_FB,),
        flags=0x402,
        check=stored(MEMORY, 0x0000FBFB),
    ),
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
            Row(
                "APICWrite",
                {"register": register, "value": 0x10031},
                only=generation,
                then=(Do("APICRead", {"register": register}),),
                seen=(0x10031,),
            ),
            Row("APICRead", {"register": register}, eax(0x10000), only=generation),
        )
    ),
    Row(
        "SetInitialAPState",
        {"state_pointer": MEMORY, "apic_id": 1},
        check=lambda r: "never starts" in str(last(Kind.NOTE, r).args[0]),
    ),
)


def real_is_available_and_stolen(ran: Ran) -> bool:
    """The counters were read one after another: the later ones may be ahead by what runs between."""
    real, available, stolen = (result.after["eax"] for result in ran.results[1:4])
    return stolen == 0 and 0 < real < available < real + 10_000


TIME: Final = (
    Row("GetCycleFrequency", results=pair(HZ, 0)),
    Row(
        "GetCycleCounter",
        {"counter": 0},
        pair(lambda low: 0 < low < 1 << 20, 0),
        then=(Do("GetCycleCounter", {"counter": 1}), Do("GetCycleCounter", {"counter": 2})),
        seen=(anything, 0),
        check=real_is_available_and_stolen,
    ),
    Row("GetCycleCounter", {"counter": 9}, pair(0, 0)),
    Row(
        "SetAlarm",
        {"flags": 0, "expiry_low": 0, "expiry_high": 1, "period_low": 0, "period_high": 0},
        then=(Do("CancelAlarm", {"flags": 0}), Do("CancelAlarm", {"flags": 0})),
        seen=(1, 0),
    ),
    Row(
        "SetAlarm",
        {"flags": 0, "expiry_low": 20_000, "expiry_high": 0, "period_low": 0, "period_high": 0},
        then=(Do("Halt"),),
        seen=(anything,),
        check=lambda r: r.irqs() == 1 and last(Kind.ALARM, r).args[:2] == (0, 20_000),
    ),
    Row(
        "SetAlarm",
        {"flags": 0x101, "expiry_low": 20_000, "expiry_high": 0, "period_low": 30_000, "period_high": 0},
        then=(Do("Halt"), Do("Halt")),
        seen=(anything, anything),
        check=lambda r: [event.args[:2] for event in r.of(Kind.ALARM)] == [(1, 20_000), (1, 50_000)],
    ),
    Row(
        "CancelAlarm",
        {"flags": 0x10100},
        eax(1),
        steps=(Do("SetAlarm", {"flags": 0x100, "expiry_low": 0, "expiry_high": 1, "period_low": 5, "period_high": 0}),),
    ),
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
    Row(
        "TestAndSetPxEBit",
        {"entry_pointer": MEMORY, "bit": 6},
        eax(bool),
        steps=ENTRY,
        check=stored(MEMORY, 0x11223344),
    ),
    Row(
        "TestAndClearPxEBit",
        {"entry_pointer": MEMORY, "bit": 6},
        eax(bool),
        steps=ENTRY,
        check=stored(MEMORY, 0x11223304),
    ),
    Row(
        "AllocatePage",
        {"pfn": 0x13F, "flags": 0x41, "source_pfn": 0, "first": 0, "count": 0},
        check=page_type(0x13F, 1),
    ),
    Row("ReleasePage", {"pfn": 0x13F, "flags": 0x41}, steps=(ANNOUNCED,), check=page_type(0x13F, 0)),
    Row("InvalPage", {"address": MEMORY}),
    Row("FlushTLB", {"flags": 3}),
    Row("FlushDeferredCalls", {"flags": 0xC0}, eax(anything)),
    Row(
        "SetLinearMapping",
        {"slot": 0, "address": 0xC0000000, "pages": 16, "pfn": 2},
        check=lambda r: r.machine.vmi.mappings[0] is not None and r.machine.vmi.mappings[0].base == 0xC0000000,
    ),
    Row(
        "SetLinearMapping",
        {"slot": 77, "address": 0xC0000000, "pages": 16, "pfn": 2},
        check=lambda r: r.machine.vmi.mappings == (None,) * 4,
    ),
    Row(
        "DeactivatePxELongAtomic",
        {"entry_pointer": MEMORY},
        pair(0x11223344, 0x55667788),
        steps=ENTRY,
        check=stored(MEMORY, 0, 0),
    ),
    Row(
        "TestAndSetPxELongBit",
        {"entry_pointer": MEMORY, "bit": 0},
        eax(0),
        steps=ENTRY,
        check=stored(MEMORY, 0x11223345, 0x55667788),
    ),
    Row(
        "TestAndClearPxELongBit",
        {"entry_pointer": MEMORY, "bit": 6},
        eax(bool),
        steps=ENTRY,
        check=stored(MEMORY, 0x11223304, 0x55667788),
    ),
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
