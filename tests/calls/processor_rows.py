"""The calls that a processor's own instructions stand for: core, interrupts, descriptors, control, transitions."""

from collections.abc import Callable
from typing import Final

from pvtrace.model.events import Kind
from pvtrace.model.registers import TableRegister
from pvtrace.model.stops import Why
from pvtrace.x86.cpuid import cpuid
from rom.abi import Place
from tests.calls.row import (
    FOUR_GIB,
    GDT_LIMIT,
    IDT,
    INTERRUPTS_ON,
    LDT,
    LDT_SELECTOR,
    MEMORY,
    PIC_MASK,
    SPARE,
    TSS,
    TSS_SELECTOR,
    USER_CODE,
    USER_DATA,
    USER_DATA_IMAGE,
    USER_STACK,
    V3,
    V13,
    VIRTUAL_IF,
    Row,
    anything,
    eax,
    interrupted_at_once,
    last,
    pair,
    stored,
)
from tests.calls.scripts import AwaitTimer, Do, Store

CORE: Final = (
    Row(
        "Init",
        results=eax(0),
        before_init=True,
        segments=frozenset({"es", "cs", "ss", "ds"}),
        check=lambda r: (
            r.machine.system.paravirtual and r.machine.cpu.cpl == 1 and r.machine.vmi.generation is r.generation
        ),
    ),
    Row("Init", results=eax(0)),
    Row("GetRelocationInfo", {"number": 13}, pair(lambda eip: eip >= 0xC8000 and eip % 16 == 0, 1)),
    Row("GetRelocationInfo", {"number": 13}, pair(lambda eip: eip >= 0xC8000, 1), before_init=True),
    Row("GetRelocationInfo", {"number": 72}, pair(anything, 0), only=V3),
    Row("GetRelocationInfo", {"number": 1000}, pair(anything, 0)),
    Row(
        "CPUID",
        {"leaf": 0, "subleaf": 0},
        dict(zip((Place.EAX, Place.EBX, Place.ECX, Place.EDX), cpuid(0), strict=True)),
    ),
    Row(
        "WRMSR",
        {"index": 0x175, "value_low": 0x1234, "value_high": 0},
        then=(Do("RDMSR", {"index": 0x175}),),
        seen=(0x1234,),
    ),
    Row("WRMSR", {"index": 0xDEAD, "value_low": 0, "value_high": 0}, how="fault"),
    Row(
        "RDMSR",
        {"index": 0x176},
        pair(0x777, 0),
        steps=(Do("WRMSR", {"index": 0x176, "value_low": 0x777, "value_high": 0}),),
    ),
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
    Row(
        "SetGDT",
        {"table_pointer": MEMORY},
        segments=frozenset({"es", "ds"}),
        steps=(
            Do("GetGDT", {"buffer_pointer": MEMORY}),
            Store(MEMORY - 2, (GDT_LIMIT - 8) << 16),
        ),
        check=lambda r: r.machine.cpu.gdtr == TableRegister(r.guest.gdt, GDT_LIMIT - 8),
    ),
    Row(
        "SetIDT",
        {"table_pointer": MEMORY},
        steps=PSEUDO,
        then=(Do("GetIDT", {"buffer_pointer": MEMORY + 16}),),
        seen=(anything,),
        check=stored(MEMORY + 16, IDT << 16 & 0xFFFFFFFF | 0x17F, IDT >> 16),
    ),
    Row(
        "SetLDT",
        {"selector": LDT_SELECTOR},
        segments=frozenset({"es", "ds"}),
        then=(Do("GetLDT"),),
        seen=(LDT_SELECTOR,),
    ),
    Row(
        "SetLDT",
        {"selector": 0},
        segments=frozenset({"es", "ds"}),
        steps=(Do("SetLDT", {"selector": LDT_SELECTOR}),),
        then=(Do("GetLDT"),),
        seen=(0,),
    ),
    Row("SetLDT", {"selector": 0x10}, how="fault"),
    Row(
        "SetTR",
        {"selector": TSS_SELECTOR},
        steps=(
            Do(
                "WriteGDTEntry",
                {"table_pointer": -1, "index": TSS_SELECTOR >> 3, "low": TSS << 16 & 0xFFFFFFFF | 0x67, "high": 0x8912},
            ),
        ),
        then=(Do("GetTR"),),
        seen=(TSS_SELECTOR,),
    ),
    Row("SetTR", {"selector": 0x10}, how="fault"),
    Row(
        "GetGDT",
        {"buffer_pointer": MEMORY},
        check=lambda r: r.word(MEMORY) == (r.guest.gdt << 16 | GDT_LIMIT) & 0xFFFFFFFF,
    ),
    Row("GetLDT", results=eax(0)),
    Row("GetIDT", {"buffer_pointer": MEMORY}, check=stored(MEMORY, IDT << 16 & 0xFFFFFFFF | 0x1FF, IDT >> 16)),
    Row("GetTR", results=eax(TSS_SELECTOR)),
    Row(
        "WriteGDTEntry",
        {"table_pointer": -1, "index": SPARE >> 3, "low": FOUR_GIB[0], "high": FOUR_GIB[1]},
        check=lambda r: (r.word(r.guest.gdt + SPARE), r.word(r.guest.gdt + SPARE + 4)) == USER_DATA_IMAGE,
    ),
    Row(
        "WriteLDTEntry",
        {"table_pointer": LDT, "index": 1, "low": FOUR_GIB[0], "high": FOUR_GIB[1]},
        check=stored(LDT + 8, *USER_DATA_IMAGE),
    ),
    Row(
        "WriteIDTEntry",
        {"table_pointer": IDT, "vector": 0x2F, "low": 0x00081234, "high": 0x00128E00},
        check=stored(IDT + 8 * 0x2F, 0x00081234, 0x00128E00),
    ),
    Row(
        "UpdateKernelStack",
        {"stack": 0x10, "esp0": MEMORY},
        only=V3,
        check=lambda r: r.machine.system.kernel_stack == (0x11, MEMORY),
    ),
    Row(
        "UpdateKernelStack",
        {"stack": TSS, "esp0": MEMORY},
        only=V13,
        check=lambda r: r.machine.system.kernel_stack == (0x11, MEMORY),
    ),
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
    Row(
        "IRET",
        words=to_kernel(0x202),
        how="landed",
        ds=0,
        es=0,
        steps=(AwaitTimer(),),
        check=lambda r: r.irqs() == 1 and r.irq_eip() == r.guest.landed,
    ),
    Row(
        "IRET",
        words=to_user(0x202),
        how="user",
        ds=USER_DATA,
        es=USER_DATA,
        segments=frozenset({"cs", "ss"}),
        check=lambda r: last(Kind.RETURN, r).args[:3] == (1, r.guest.user_landed, USER_CODE),
    ),
    Row(
        "SYSEXIT",
        {"eip": -2, "esp": USER_STACK},
        how="user",
        ds=USER_DATA,
        es=USER_DATA,
        steps=(SYSENTER_CS,),
        segments=frozenset({"cs", "ss"}),
        check=lambda r: last(Kind.RETURN, r).args[:3] == (3, r.guest.user_landed, USER_CODE),
    ),
    Row(
        "SYSEXIT",
        {"eip": -2, "esp": USER_STACK},
        how="user",
        ds=USER_DATA,
        es=USER_DATA,
        steps=(SYSENTER_CS, AwaitTimer()),
        segments=frozenset({"cs", "ss"}),
        check=lambda r: r.irqs() == 1 and r.irq_eip() == r.guest.user_landed,
    ),
)
