"""Machines at an instruction that enters a handler or returns from one, and all that may be unusual there."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from struct import pack
from typing import Any, NamedTuple

from pvtrace.machine.machine import Machine
from pvtrace.model.registers import Gpr, Seg, Segment, TableRegister
from pvtrace.model.step import Step
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.x86.descriptors import Gate, encode_gate, encode_segment, flat, segment_from_descriptor
from pvtrace.x86.latitude import Latitude
from rom.abi import Generation, by_name
from rom.layout import stub
from tests.machine.small import assemble, machine

CODE, HANDLER = 0x200000, 0x200800
IDT, GDT, LDT, TSS = 0x300000, 0x301000, 0x301800, 0x302000
KERNEL_STACK, USER_STACK = 0x303800, 0x305800
READ_ONLY, ABSENT, SUPERVISOR = 0x306000, 0x307000, 0x308000
DIRECTORY, TABLE = 0x310000, 0x311000
BEYOND = 0x3FFFFFE0  # of memory

KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA = 0x08, 0x10, 0x1B, 0x23
SELECTORS = (*range(0, 0x98, 8), *(3 + n for n in range(0, 0x98, 8)), 0x09, 0x0A, 0x04, 0x07, 0x0F, 0x17, 0x1FF8)

TABLE_OF_SEGMENTS = (
    (0, 0),
    encode_segment(flat(0, 0, code=True)),
    encode_segment(flat(0, 0, code=False)),
    encode_segment(flat(0, 3, code=True)),
    encode_segment(flat(0, 3, code=False)),
    encode_segment(Segment(0, TSS, 0x67, 0x8900)),
    encode_segment(Segment(0, 0, 0xFFFFFFFF, 0x00C09E00)),  # conforming
    encode_segment(Segment(0, 0, 0xFFFFFFFF, 0x00C01B00)),  # not present
    encode_segment(Segment(0, 0, 0x2007FF, 0x00409B00)),  # ends in front of the handler
    encode_segment(Segment(0, 0, 0xFFFF, 0x00009B00)),  # of 16 bits
    encode_segment(Segment(0, 0, 0xFFFF, 0x0000F300)),  # user stack of 16 bits
    encode_segment(Segment(0, 0, 0xFFF, 0x00C0F700)),  # user stack that grows down
    encode_segment(Segment(0, 0, 0xFFFFFFFF, 0x00C0BB00)),  # code of level 1
    encode_segment(Segment(0, 0, 0xFFFFFFFF, 0x00C0F100)),  # user data, read-only
    encode_segment(Segment(0, 0, 0xFFFFFFFF, 0x00C07300)),  # user data, not present
    encode_segment(Segment(0, 0xFD000000, 0xFFF, 0x0040FB00)),  # code in the hypervisor
    encode_segment(Segment(0, 0x1000, 0xFFFFFFFF, 0x00C09B00)),  # code that wraps
    encode_segment(Segment(0, 0, 0xFBFFFFFF, 0x00C0B300)),  # data of level 1
    encode_segment(Segment(0, 0, 0x3037F9, 0x00409300)),  # a stack that ends within the frame
)
"""The GDT; what is out of the ordinary comes behind TSS."""

LOCAL = (
    encode_segment(flat(0, 3, code=True)),
    encode_segment(flat(0, 3, code=False)),
    encode_segment(flat(0, 0, code=True)),
)

TRIGGERS = {
    "INT 80h": b"\xcd\x80",
    "INT3": b"\xcc",
    "INTO": b"\xce",
    "INT 0Eh": b"\xcd\x0e",
    "INT 0FFh": b"\xcd\xff",
    "LOCK INT3": b"\xf0\xcc",
    "UD2": b"\x0f\x0b",
    "DIV": b"\xf7\xf1",  # ECX, which is 0
    "load": b"\xa1" + pack("<I", ABSENT),
    "store": b"\xa3" + pack("<I", READ_ONLY),
    "supervisor": b"\xa1" + pack("<I", SUPERVISOR + 0xFFE),
    "hypervisor": b"\xa1\x00\x00\x00\xfd",
    "MOV DS": b"\x8e\xd9\x8e\xda",  # CX, then DX
    "jump": b"\xe9" + pack("<i", ABSENT - CODE - 5),
    "IRETD": b"\xcf",
    "IRETW": b"\x66\xcf",
    "IRET 3.0": stub(Generation.V3, by_name("IRET").number(Generation.V3) or 0),
    "IRET 13.x": stub(Generation.V13, by_name("IRET").number(Generation.V13) or 0),
    "SYSENTER": b"\x0f\x34",
    "SYSEXIT": b"\x0f\x35",
    "SYSEXIT 3.0": stub(Generation.V3, by_name("SYSEXIT").number(Generation.V3) or 0),
    "SYSEXIT 13.x": stub(Generation.V13, by_name("SYSEXIT").number(Generation.V13) or 0),
}
FAST = (0x174, 0x175, 0x176)
"""The MSRs SYSENTER_CS, SYSENTER_ESP and SYSENTER_EIP."""

FLAGS = 0xCD5 | 1 << 14 | 1 << 18 | 1 << 21
"""The arithmetic flags, DF, NT, AC and ID."""

TF, IF, VM, OF = 1 << 8, 1 << 9, 1 << 17, 1 << 11


class Frame(NamedTuple):
    """What IRET returns through."""

    eip: int
    cs: int
    image: int
    esp: int
    ss: int


class Case(NamedTuple):
    """`opened`: how many entries are open; `nmi`: the handler of one runs; `fast`: values of FAST; `oddities`: names of
    ODDITIES."""

    paravirtual: bool
    user: bool
    trigger: str
    paging: bool
    flags: int
    vif: bool
    viopl: int
    pending: bool
    kernel_stack: bool
    gate: Gate
    opened: int
    latitude: Latitude
    user_if: bool
    nmi: bool
    frame: Frame
    fast: tuple[int, int, int]
    oddities: tuple[str, ...]
    steps: int


def change_gates(built: Machine, **changes: Any) -> None:
    data = built.cpu.read_physical(IDT, 8)
    low, high = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")
    gate = Gate(low >> 16, low & 0xFFFF | high & 0xFFFF0000, high >> 8 & 0x1F, high >> 13 & 3, bool(high & 1 << 15))
    built.cpu.write_physical(IDT, pack("<II", *encode_gate(gate._replace(**changes))) * 256)


def set_stack(built: Machine, pointer: int) -> None:
    """Another kernel stack, with what is on the usual one."""
    if built.cpu.cpl < 3:
        built.cpu.write_physical(pointer, built.cpu.read_physical(KERNEL_STACK, 24))
    built.cpu.set_gpr(Gpr.ESP, pointer)


def change_stack(built: Machine, **changes: int) -> None:
    stack = built.cpu.segment(Seg.SS)
    built.cpu.set_segment(Seg.SS, stack._replace(**changes))


def flip_stack(built: Machine, bits: int) -> None:
    change_stack(built, attributes=built.cpu.segment(Seg.SS).attributes ^ bits)


def inner(built: Machine, pointer: int) -> None:
    """The stack of entries from user mode, wherever it is told."""
    if built.system.kernel_stack is not None:
        built.replace_system(kernel_stack=(KERNEL_DATA | 1, pointer))
    built.cpu.write_physical(TSS + 4, pack("<I", pointer))


def inner_selector(built: Machine, selector: int) -> None:
    if built.system.kernel_stack is not None:
        built.replace_system(kernel_stack=(selector, KERNEL_STACK))
    built.cpu.write_physical(TSS + 8, pack("<I", selector))


def task(built: Machine, **changes: int) -> None:
    built.cpu.tr = built.cpu.tr._replace(**changes)


def tables(built: Machine, name: str, base: int, limit: int) -> None:
    setattr(built.cpu, name, TableRegister(base, limit))


def no_ldt(built: Machine) -> None:
    built.cpu.ldtr = Segment(0, 0, 0, 0)


def data_segments(built: Machine, selector: int, attributes: int) -> None:
    for register in (Seg.DS, Seg.ES, Seg.FS, Seg.GS):
        built.cpu.set_segment(register, Segment(selector, 0, 0xFFFFFFFF, attributes))


def write_protect(built: Machine) -> None:
    built.cpu.set_cr(0, built.cpu.cr(0) | 1 << 16)


def code_segment(built: Machine, bits: int) -> None:
    code = built.cpu.segment(Seg.CS)
    built.cpu.set_segment(Seg.CS, code._replace(attributes=code.attributes ^ bits))


POINTERS = {
    "odd": KERNEL_STACK + 1,
    "low in its page": 0x303010,
    "crossing": 0x303008,
    "room crosses": 0x303028,
    "room in read-only": READ_ONLY + 0x1020,
    "read-only": READ_ONLY + 0x800,
    "absent": ABSENT + 0x800,
    "behind absent": ABSENT + 0x1000 + 0x18,
    "top of absent": ABSENT + 0x1000,
    "page table": TABLE + 0xC60,
    "own entries": TABLE + 4 * (TABLE >> 12) + 12,
    "directory": DIRECTORY + 8,
    "IDT": IDT + 0x408,
    "GDT": GDT + 0x20,
    "code": CODE + 0x10,
    "handler": HANDLER + 8,
    "bottom": 0,
    "almost the bottom": 8,
    "hypervisor": 0xFC000000,
    "top": 0xFFFFFFFC,
    "beyond memory": BEYOND,
    "in the hole": 0xFC000010,
}

ODDITIES: dict[str, Callable[[Machine], None]] = {
    **{f"ESP {name}": partial(set_stack, pointer=pointer) for name, pointer in POINTERS.items()},
    **{f"inner ESP {name}": partial(inner, pointer=pointer) for name, pointer in POINTERS.items()},
    **{f"inner SS {n:#x}": partial(inner_selector, selector=n) for n in SELECTORS},
    **{f"gate to {n:#x}": partial(change_gates, selector=n) for n in SELECTORS},
    **{f"gate of type {n}": partial(change_gates, type=n) for n in (5, 6, 7, 0, 9, 12, 16 | 14, 16 | 15)},
    "absent gate": partial(change_gates, present=False),
    "handler far away": partial(change_gates, offset=0xFFFFFFFF),
    "handler at the hole": partial(change_gates, offset=0xFC000000),
    "handler in 16 bits": partial(change_gates, offset=0x10000),
    **{f"SS ends {n} behind ESP": partial(change_stack, limit=KERNEL_STACK + n) for n in (-8, -1, 10, 11, 15, 19)},
    "SS with a base": partial(change_stack, base=0x1000),
    "SS of 16 bits": partial(flip_stack, bits=1 << 22),
    "SS grows down": partial(flip_stack, bits=1 << 10),
    "SS read-only": partial(flip_stack, bits=1 << 9),
    "SS absent": partial(flip_stack, bits=1 << 15),
    "CS of 16 bits": partial(code_segment, bits=1 << 22),
    "TSS of 16 bits": partial(task, attributes=0x8100),
    "TSS short": partial(task, limit=8),
    "TSS as long as it must": partial(task, limit=9),
    "TSS across pages": partial(task, base=TSS + 0xFF6),
    "TSS absent": partial(task, base=ABSENT),
    "IDT short": partial(tables, name="idtr", base=IDT, limit=13 * 8 + 6),
    "IDT to 80h": partial(tables, name="idtr", base=IDT, limit=0x80 * 8 + 7),
    "IDT to 7Fh": partial(tables, name="idtr", base=IDT, limit=0x80 * 8 + 6),
    "IDT absent": partial(tables, name="idtr", base=ABSENT, limit=0x7FF),
    "IDT crossing": partial(tables, name="idtr", base=IDT - 4, limit=0x7FF),
    "GDT short": partial(tables, name="gdtr", base=GDT, limit=0x0F),
    "GDT shorter": partial(tables, name="gdtr", base=GDT, limit=0x0E),
    "GDT absent": partial(tables, name="gdtr", base=ABSENT, limit=0xFF),
    "GDT almost absent": partial(tables, name="gdtr", base=ABSENT - 0x18, limit=0xFF),
    "no LDT": no_ldt,
    "data of the kernel": partial(data_segments, selector=KERNEL_DATA | 1, attributes=0xC0B300),
    "data conforms": partial(data_segments, selector=0x30, attributes=0xC09E00),
    "data null": partial(data_segments, selector=0, attributes=0),
    "write protect": write_protect,
}


def arranged(case: Case, tape: ScriptedTape) -> Machine:
    built = machine(assemble("start:\n INIT\n.spin: jmp .spin", case.paravirtual), tape, user_if=case.user_if)
    built.run(Step(1000))
    store(built, case)
    load(built, case)
    system = built.system
    stack = (KERNEL_DATA | 1, KERNEL_STACK) if case.kernel_stack and case.paravirtual else None
    vif = case.vif and not case.pending  # else the interrupt would come before
    built.latitude = case.latitude
    msrs = tuple(sorted({**dict(system.msrs), **dict(zip(FAST, case.fast, strict=True))}.items()))
    built.system = replace(system, vif=vif, viopl=case.viopl, kernel_stack=stack, msrs=msrs)
    built.journal.entries = tuple(range(case.opened))
    for name in case.oddities:
        ODDITIES[name](built)
    built.set_horizon()
    if case.pending:
        built.platform.interrupts.line(0)(True)
    if case.nmi and not case.paravirtual:  # its handler is running
        built.platform.interrupts.take_nmi()
    return built


def store(built: Machine, case: Case) -> None:
    """Memory."""
    cpu = built.cpu
    trigger = TRIGGERS[case.trigger]
    cpu.write_physical(CODE, trigger + b"\x90" * (0x1000 - len(trigger)))
    cpu.write_physical(IDT, pack("<II", *encode_gate(case.gate)) * 256)
    cpu.write_physical(GDT, b"".join(pack("<II", *each) for each in TABLE_OF_SEGMENTS))
    cpu.write_physical(LDT, b"".join(pack("<II", *each) for each in LOCAL))
    cpu.write_physical(TSS, pack("<26I", 0, KERNEL_STACK, KERNEL_DATA, *(0,) * 23))
    above = () if case.trigger == "IRETD" else (CODE + 5,)  # the return address of a call
    cpu.write_physical(KERNEL_STACK, pack(f"<{len(above) + 5}I", *above, *case.frame))
    entries = [frame << 12 | 7 for frame in range(1024)]
    entries[READ_ONLY >> 12] ^= 2
    entries[ABSENT >> 12] ^= 1
    entries[SUPERVISOR >> 12] ^= 4
    cpu.write_physical(TABLE, pack("<1024I", *entries))
    cpu.write_physical(DIRECTORY, pack("<I", TABLE | 7))


def load(built: Machine, case: Case) -> None:
    """Registers."""
    cpu = built.cpu
    tables(built, "idtr", IDT, 0x7FF)
    tables(built, "gdtr", GDT, 8 * len(TABLE_OF_SEGMENTS) - 1)
    cpu.ldtr = Segment(0x80, LDT, 8 * len(LOCAL) - 1, 0x8200)
    cpu.tr = Segment(0x28, TSS, 0x67, 0x8B00)
    if case.paging:
        cpu.set_cr(3, DIRECTORY)
        cpu.set_cr(0, cpu.cr(0) | 1 << 31)
    if case.user:
        cpu.set_segment(Seg.CS, segment_from_descriptor(USER_CODE, *TABLE_OF_SEGMENTS[3]))
        cpu.set_segment(Seg.SS, segment_from_descriptor(USER_DATA, *TABLE_OF_SEGMENTS[4]))
        data_segments(built, USER_DATA, 0xC0F300)
    for gpr in Gpr:
        cpu.set_gpr(gpr, 0)
    fast = case.trigger.startswith("SYSEXIT")
    cpu.set_gpr(Gpr.EDX, case.frame.eip if fast else 0x1234)
    cpu.set_gpr(Gpr.ECX, case.frame.esp if fast else 0)
    cpu.set_gpr(Gpr.ESP, USER_STACK if case.user else KERNEL_STACK)
    cpu.eip = CODE
    own = case.viopl << 12 | (IF if case.vif and not case.pending else 0)
    cpu.eflags = cpu.eflags & ~(FLAGS | IF | 3 << 12) | case.flags | (IF if case.paravirtual else own)
