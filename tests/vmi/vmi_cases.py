"""The table of calls and what each is to do: operands by the names of rom.abi, and the effects wanted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from struct import pack

from pvtrace.model.registers import Gpr, Seg, TableRegister
from pvtrace.model.stops import Why
from pvtrace.vmi.apic import AP_STATE_SIZE
from pvtrace.vmi.effects import ReadApic, SetVmi, VmiEffects, WriteApic
from pvtrace.vmi.state import Alarm, LinearMapping
from pvtrace.x86 import descriptors as d
from pvtrace.x86 import eflags
from pvtrace.x86.cpuid import cpuid
from pvtrace.x86.effects import (
    End,
    FlushTlb,
    HaltCpu,
    Note,
    ReadPort,
    SetCr,
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
from rom.abi import Generation, by_name
from tests.vmi.vmi_flat import (
    DATA,
    GDT,
    HZ,
    IDT,
    LDT,
    LDT_SELECTOR,
    SPARE,
    TSS,
    TSS_SELECTOR,
    Guest,
    paravirtual,
)

V3, V13 = Generation.V3, Generation.V13
TICKS = 5000
WALL = 1_700_000_000_123_456_789


def guest() -> Guest:
    """A paravirtual guest in which every result differs from every other."""
    made = paravirtual()
    made.ticks = made.vmi.start + TICKS
    made.wall = WALL
    made.crs = [0x80010013, 0, 0xC0DE0000, 0x00345000, 0x80]
    made.put(DATA, 0x11223344, 0x55667788)
    made.vmi = replace(made.vmi, page_types=((DATA >> 12, 1),))
    made.system = replace(made.system, drs=(1, 2, 3, 4, 0, 0, 0xFFFF0FF0, 0x400))
    made.eflags &= ~eflags.ARITHMETIC
    return made


def eax(value: int) -> VmiEffects:
    return (SetGpr(Gpr.EAX, value),)


def edx_eax(value: int) -> VmiEffects:
    return (SetGpr(Gpr.EAX, value & 0xFFFFFFFF), SetGpr(Gpr.EDX, value >> 32))


def store(address: int, *words: int) -> WriteMemory:
    return WriteMemory(address, pack(f"<{len(words)}I", *words))


@dataclass(frozen=True)
class Case:
    """`wanted`: the effects, or a function of the guest that gives them. `only`: the generation it speaks of."""

    name: str
    operands: dict[str, int]
    wanted: VmiEffects | Callable[[Guest], VmiEffects]
    only: Generation | None = None
    prepare: Callable[[Guest], None] = field(default=lambda _: None)


def vmi(**changes: object) -> Callable[[Guest], VmiEffects]:
    return lambda g: (SetVmi(replace(g.vmi, **changes)),)  # type: ignore[arg-type]


def system(**changes: object) -> Callable[[Guest], VmiEffects]:
    return lambda g: (SetSystem(replace(g.system, **changes)),)  # type: ignore[arg-type]


def with_ldt(g: Guest) -> None:
    g.ldtr = d.segment_from_descriptor(LDT_SELECTOR, *g.entry(LDT_SELECTOR))


def reloads(g: Guest) -> VmiEffects:
    live = [(register, g.segment(register)) for register in Seg]
    return tuple(SetSegment(register, segment) for register, segment in live if segment.selector)


USER_DATA = (0x0000BFFF, 0x00CFF300)  # flat data at DPL 3, ending at the hole FC000000
FOUR_GIB = (0x0000FFFF, 0x00CFF300)  # the same as a guest without a hypervisor writes it
GATE = (0x00081234, 0xC010EE00)

IO_CASES = [
    Case("IN", {"port": 0xFFFF0CF8}, (ReadPort(0xCF8, 4, Gpr.EAX, zero_extend=True),)),
    Case("INW", {"port": 0x1F0}, (ReadPort(0x1F0, 2, Gpr.EAX, zero_extend=True),)),
    Case("INB", {"port": 0x60}, (ReadPort(0x60, 1, Gpr.EAX, zero_extend=True),)),
    Case("OUT", {"value": 0x80001234, "port": 0xCF8}, (WritePort(0xCF8, 4, 0x80001234),)),
    Case("OUTW", {"value": 0x80001234, "port": 0x1F0}, (WritePort(0x1F0, 2, 0x1234),)),
    Case("OUTB", {"value": 0x80001234, "port": 0x3F8}, (WritePort(0x3F8, 1, 0x34),)),
    *(
        Case(
            name,
            {"buffer_pointer": DATA, "port": 0x1F0, "count": 2},
            (
                ReadPort(0x1F0, width, address=DATA),
                SetGpr(Gpr.EDI, DATA + width),
                SetGpr(Gpr.ECX, 1),
                ReadPort(0x1F0, width, address=DATA + width),
                SetGpr(Gpr.EDI, DATA + 2 * width),
                SetGpr(Gpr.ECX, 0),
            ),
        )
        for name, width in (("INS", 4), ("INSW", 2), ("INSB", 1))
    ),
    *(
        Case(
            name,
            {"buffer_pointer": DATA, "port": 0x1F0, "count": 2},
            (
                WritePort(0x1F0, width, first),
                SetGpr(Gpr.ESI, DATA + width),
                SetGpr(Gpr.ECX, 1),
                WritePort(0x1F0, width, second),
                SetGpr(Gpr.ESI, DATA + 2 * width),
                SetGpr(Gpr.ECX, 0),
            ),
        )
        for name, width, first, second in (
            ("OUTS", 4, 0x11223344, 0x55667788),
            ("OUTSW", 2, 0x3344, 0x1122),
            ("OUTSB", 1, 0x44, 0x33),
        )
    ),
    Case("SetIOPLMask", {"mask": 0xFFFF3FFF}, (SetFlags(0x3000, eflags.IOPL),)),
    Case("IODelay", {}, ()),
]

CONTROL_CASES = [
    Case(
        "CPUID",
        {"leaf": 1},
        tuple(map(SetGpr, (Gpr.EAX, Gpr.EBX, Gpr.ECX, Gpr.EDX), cpuid(1))),
    ),
    Case("RDTSC", {}, lambda g: edx_eax(g.ticks)),
    Case("RDPMC", {"index": 1}, edx_eax(0)),
    Case("RDMSR", {"index": 0x1B}, edx_eax(0xFEE00900)),
    Case(
        "WRMSR",
        {"index": 0x175, "value_low": 0xC0100000, "value_high": 0},
        system(msrs=((0x175, 0xC0100000),)),
    ),
    Case("SetCR0", {"value": 0x8001003B}, (SetCr(0, 0x8001003B),)),
    Case("SetCR2", {"value": 0x12345678}, (SetCr(2, 0x12345678),)),
    Case("SetCR3", {"value": 0x00123000}, (SetCr(3, 0x00123000),)),
    Case("SetCR4", {"value": 0x690}, (SetCr(4, 0x690),)),
    Case("GetCR0", {}, eax(0x80010013)),
    Case("GetCR2", {}, eax(0xC0DE0000)),
    Case("GetCR3", {}, eax(0x00345000)),
    Case("GetCR4", {}, eax(0x80)),
    Case("CLTS", {}, (SetCr(0, 0x80010013),), prepare=lambda g: g.crs.__setitem__(0, 0x8001001B)),
    Case("GetDR", {"register": 2}, eax(3)),
    Case("SetDR", {"register": 1, "value": 9}, system(drs=(1, 9, 3, 4, 0, 0, 0xFFFF0FF0, 0x400))),
    Case("WBINVD", {}, ()),
]

INTERRUPT_CASES = [
    Case("EnableInterrupts", {}, (SetFlags(0x200, 0x200),)),
    Case("DisableInterrupts", {}, (SetFlags(0, 0x200),)),
    Case("GetInterruptMask", {}, eax(0x200)),
    Case("SetInterruptMask", {"mask": 0x246}, (SetFlags(0x200, 0x200),)),
    Case("SetInterruptMask", {"mask": 0x46}, (SetFlags(0, 0x200),)),
    Case("Pause", {}, ()),
    Case("Halt", {}, (SetFlags(0x200, 0x200), HaltCpu())),
    Case("Reboot", {"how": 0}, (End(Why.REBOOT, detail="soft reboot (VMI Reboot)"),)),
    Case("Reboot", {"how": 7}, (End(Why.REBOOT, detail="hard reboot (VMI Reboot)"),)),
    Case("Shutdown", {}, (End(Why.SHUTDOWN, detail="the guest shut down (VMI Shutdown)"),)),
]

DESCRIPTOR_CASES = [
    Case(
        "SetGDT",
        {"table_pointer": DATA},
        lambda g: (SetGdtr(TableRegister(GDT, 0x2F)), *reloads(g)),
        prepare=lambda g: g.put(DATA, GDT << 16 | 0x2F, GDT >> 16),
    ),
    Case(
        "SetIDT",
        {"table_pointer": DATA},
        (SetIdtr(TableRegister(0xC0105000, 0x3FF)),),
        prepare=lambda g: g.put(DATA, 0x500003FF, 0xC010),
    ),
    Case(
        "SetLDT",
        {"selector": LDT_SELECTOR},
        lambda g: (
            SetLdtr(d.segment_from_descriptor(LDT_SELECTOR, *g.entry(LDT_SELECTOR))),
            *reloads(g),
        ),
    ),
    Case("SetLDT", {"selector": 0}, lambda g: (SetLdtr(d.null_segment()), *reloads(g))),
    Case(
        "SetTR",
        {"selector": TSS_SELECTOR},
        lambda g: (
            WriteMemory(GDT + TSS_SELECTOR + 5, bytes([0x8B])),
            SetTr(d.segment_from_descriptor(TSS_SELECTOR, *g.entry(TSS_SELECTOR))._replace(attributes=0x8B00)),
        ),
    ),
    Case("GetGDT", {"buffer_pointer": DATA}, (WriteMemory(DATA, pack("<HI", 0x3F, GDT)),)),
    Case("GetIDT", {"buffer_pointer": DATA}, (WriteMemory(DATA, pack("<HI", 0x7FF, IDT)),)),
    Case("GetLDT", {}, eax(LDT_SELECTOR), prepare=with_ldt),
    Case("GetTR", {}, eax(0)),
    Case(
        "WriteGDTEntry",
        {"table_pointer": GDT, "index": SPARE >> 3, "low": FOUR_GIB[0], "high": FOUR_GIB[1]},
        (store(GDT + SPARE, *USER_DATA),),
    ),
    Case(
        "WriteLDTEntry",
        {"table_pointer": LDT, "index": 1, "low": FOUR_GIB[0], "high": FOUR_GIB[1]},
        (store(LDT + 8, *USER_DATA),),
        prepare=with_ldt,
    ),
    Case(
        "WriteIDTEntry",
        {"table_pointer": IDT, "vector": 0x80, "low": GATE[0], "high": GATE[1]},
        (store(IDT + 0x400, *GATE),),
    ),
    Case("UpdateKernelStack", {"stack": 0x68, "esp0": 0xC0200000}, system(kernel_stack=(0x69, 0xC0200000)), V3),
    Case("UpdateKernelStack", {"stack": TSS, "esp0": 0xC0200000}, system(kernel_stack=(0x11, 0xC0200000)), V13),
]

TIME_CASES = [
    Case("GetCycleFrequency", {}, edx_eax(HZ)),
    Case("GetCycleCounter", {"counter": 0}, edx_eax(TICKS)),
    Case("GetCycleCounter", {"counter": 1}, edx_eax(TICKS)),
    Case("GetCycleCounter", {"counter": 2}, edx_eax(0)),
    Case("GetCycleCounter", {"counter": 9}, edx_eax(0)),
    Case(
        "SetAlarm",
        {"flags": 0x101, "expiry_low": 6, "expiry_high": 1, "period_low": 2, "period_high": 3},
        vmi(alarms=(None, Alarm(0x100000006, 0x300000002, 0x101))),
    ),
    Case(
        "SetAlarm",
        {"flags": 0, "expiry_low": 6, "expiry_high": 0, "period_low": 2, "period_high": 0},
        vmi(alarms=(Alarm(6, 0, 0), None)),
    ),
    Case("SetAlarm", {"flags": 2, "expiry_low": 6}, ()),
    Case("CancelAlarm", {"flags": 0}, eax(0)),
    Case(
        "CancelAlarm",
        {"flags": 0x10100},
        lambda g: (SetVmi(replace(g.vmi, alarms=(None, None))), *eax(1)),
        prepare=lambda g: setattr(g, "vmi", replace(g.vmi, alarms=(Alarm(1, 1, 0x100), None))),
    ),
    Case(
        "GetWallclockTime",
        {},
        lambda g: (SetVmi(replace(g.vmi, wallclock_origin=WALL - TICKS * 10)), *edx_eax(WALL)),
    ),
    Case(
        "WallclockUpdated",
        {},
        lambda g: (SetVmi(replace(g.vmi, wallclock_origin=WALL - TICKS * 10)), *eax(0)),
    ),
]

BOTH = {"value_low": 0xAAAAAAAA, "value_high": 0xBBBBBBBB, "entry_pointer": DATA}
OLD = 0x5566778811223344
MMU_CASES = [
    Case("SetPxE0", {"entry_pointer": DATA, "value": 7}, (store(DATA, 7),)),
    Case("SetPxE", {"value": 7, "entry_pointer": DATA, "flags": 1}, (store(DATA, 7),)),
    Case("SetPxELong0", BOTH, (store(DATA, 0xAAAAAAAA, 0xBBBBBBBB),)),
    Case("SetPxELong", {**BOTH, "flags": 1}, (store(DATA, 0xAAAAAAAA, 0xBBBBBBBB),)),
    Case("GetPxE", {"entry_pointer": DATA}, eax(0x11223344)),
    Case("GetPxELong", {"entry_pointer": DATA}, edx_eax(OLD)),
    Case("SwapPxE", {"entry_pointer": DATA, "value": 7}, (store(DATA, 7), *eax(0x11223344))),
    Case("SwapPxELongAtomic", BOTH, (store(DATA, 0xAAAAAAAA, 0xBBBBBBBB), *edx_eax(OLD))),
    Case("DeactivatePxELongAtomic", {"entry_pointer": DATA}, (store(DATA, 0, 0), *edx_eax(OLD))),
    *(
        case
        for long in ("", "Long")
        for case in (
            Case(f"TestAndSetPxE{long}Bit", {"entry_pointer": DATA, "bit": 0}, (store(DATA, 0x11223345), *eax(0))),
            Case(f"TestAndSetPxE{long}Bit", {"entry_pointer": DATA, "bit": 6}, (store(DATA, 0x11223344), *eax(1))),
            Case(f"TestAndClearPxE{long}Bit", {"entry_pointer": DATA, "bit": 6}, (store(DATA, 0x11223304), *eax(1))),
            Case(f"TestAndClearPxE{long}Bit", {"entry_pointer": DATA, "bit": 0}, (store(DATA, 0x11223344), *eax(0))),
        )
    ),
    Case("AllocatePage", {"pfn": 0x123, "flags": 0x41}, vmi(page_types=((DATA >> 12, 1), (0x123, 1)))),
    Case(
        "ReleasePage",
        {"pfn": 0x123, "flags": 0x41},
        vmi(page_types=((0x124, 2),)),
        prepare=lambda g: setattr(g, "vmi", replace(g.vmi, page_types=((0x123, 1), (0x124, 2)))),
    ),
    Case("InvalPage", {"address": 0xC0000000}, (FlushTlb(),)),
    Case("FlushTLB", {"flags": 3}, (FlushTlb(),)),
    Case("FlushDeferredCalls", {"flags": 0xC0}, eax(0)),
    Case(
        "SetLinearMapping",
        {"slot": 3, "address": 0xC0000000, "pages": 16, "pfn": 2},
        vmi(mappings=(None, None, None, LinearMapping(0xC0000000, 16, 2))),
    ),
    Case("SetLinearMapping", {"slot": 4, "address": 0xC0000000, "pages": 16, "pfn": 2}, ()),
    Case("UpdatePxE", {"entry_pointer": DATA, "flags": 1}, ()),
    Case("UpdatePxELong", {"entry_pointer": DATA, "flags": 1}, ()),
    Case("MachineToPhysical", {"machine": 77}, eax(77)),
    Case("PhysicalToMachine", {"physical": 77}, eax(77)),
    Case("SetLazyMode", {"mode": 2}, vmi(lazy=2)),
    Case("SetLazyMode", {"mode": 5}, (Note("SetLazyMode(0x5) names no mode and is ignored"),)),
]

AP_STATE = bytes(range(AP_STATE_SIZE))
NEVER_STARTS = "a state for the processor with APIC id 3 was recorded; there is one processor, and it never starts"


def with_ap_states(g: Guest) -> None:
    g.memory[DATA : DATA + AP_STATE_SIZE] = AP_STATE
    g.vmi = replace(g.vmi, ap_states=((1, "aa"), (3, "bb")))


APIC_CASES = [
    Case("APICRead", {"register": 0x320}, (ReadApic(0x320),), V3),
    Case("APICRead", {"register": 0xFFF0B320}, (ReadApic(0x320),), V13),
    Case("APICWrite", {"register": 0xB0, "value": 5}, (WriteApic(0xB0, 5),), V3),
    Case("APICWrite", {"register": 0xFFF0B0B0, "value": 5}, (WriteApic(0xB0, 5),), V13),
    Case(
        "SetInitialAPState",
        {"state_pointer": DATA, "apic_id": 3},
        lambda g: (SetVmi(replace(g.vmi, ap_states=((1, "aa"), (3, AP_STATE.hex())))), Note(NEVER_STARTS)),
        prepare=with_ap_states,
    ),
    Case(
        "SetInitialAPState",
        {"state_pointer": 0xF0000000, "apic_id": 3},
        (Note("the state at f0000000 for the processor with APIC id 3 is not mapped"),),
        V13,
    ),
    Case("SetAlarm", {"flags": 0x10000, "expiry_low": 6}, vmi(alarms=(Alarm(6, 0, 0x10000), None))),
]

CASES = [*IO_CASES, *CONTROL_CASES, *INTERRUPT_CASES, *DESCRIPTOR_CASES, *TIME_CASES, *MMU_CASES, *APIC_CASES]


def generations(name: str) -> list[Generation]:
    return [generation for generation in Generation if by_name(name).number(generation) is not None]
