"""For each rule about VMI calls and entries: a guest that the rule finds something in, and one that nearly does the
same, in which it finds nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pvtrace.model.findings import Shown, Standing
from tests.differences.guests import Case
from tests.differences.stated import ENTRY, STATED
from tests.differences.ten import TEN
from tests.differences.test_latitudes import DEFER, FAULT_EIP

Reports = tuple[int, ...]
_CASES: Final = {case.name: case for case in (*TEN, *STATED)}


@dataclass(frozen=True, slots=True)
class Row:
    """`found`, `near`: the guests. `native`, `here`: the outcomes of the one finding; None are not compared. `shows`:
    the native outcome by what `found` reports natively, None if that guest reports nothing of it. `latitude`: its ends,
    as --latitude takes them; the finding names `setting`. `at_init`: Init itself brings the finding about."""

    rule: str
    name: str
    found: Case
    near: Case
    what: str
    native: Shown
    here: Shown
    standing: Standing = Standing.PROVEN
    shows: Callable[[Reports], Shown] | None = None
    latitude: Mapping[str, str] = field(default_factory=dict)
    setting: str = ""
    at_init: bool = False


def guest(source: str, *options: str) -> Case:
    """A guest of which only the rules' findings matter."""
    return Case("guest", source, (), (), options)


def changed(name: str, old: str, new: str, *options: str) -> Case:
    """A guest of the catalogue with some of its text replaced."""
    case = _CASES[name]
    assert case.source.count(old) == 1, (name, old)
    return Case(case.name, case.source.replace(old, new), (), (), case.options + options)


_CARRY: Final = "1 live carry at the handler's entry"
_BASED: Final = "2 kernel stack with a base"
_ROOM: Final = "3 less than 32 bytes at the handler's entry"
_STACK: Final = "4 a call on a 16-bit stack"
_DATA: Final = "5 a call without DS"
_USER_IF: Final = "6 IRET to user mode with IF clear"
_V8086: Final = "9 entering virtual-8086 mode clears SYSENTER_CS"
_STACK16: Final = "10a a 16-bit stack of user mode"
_FAULT: Final = "10b IRET to a stack that is not present"
_IMAGE: Final = "M2 a descriptor is not what was written"
_RELOAD: Final = "M4 a live segment changes with its descriptor"
_SETGDT: Final = "M4 SetGDT loads all segment registers anew"
_NULL: Final = "M5 a live segment whose descriptor goes becomes null"
_CR: Final = "M7 paging cannot be turned off"
_SHADOW: Final = "M8 no shadow behind the call that enables interrupts"
_IOPL: Final = "M9 IRET leaves IOPL alone"
_NMI: Final = "M12 no non-maskable interrupt"
_HALT: Final = "M15 Halt enables interrupts"

_ROOM_LEFT: Final = changed(_ROOM, "mov esp, MEMORY + 0x1000 + 16", "mov esp, MEMORY + 0x1000 + 12 + 32")
_NO_MSR_FAULT: Final = Case("no fault", FAULT_EIP.replace("0xDEAD", "0x174"), (), ())
_HARMLESS: Final = "WRITE FREE, 0x00000FFF, 0x0040F300"

_INIT_ON_16_BIT_STACK: Final = """
before_init:
    mov ax, STACK16
    mov ss, ax
    ret
start:
    mov ss, [kernel_ss]
    mov ax, KDATA
    mov ss, ax
    FINISH
"""
_LGDT: Final = changed(_SETGDT, "SITE V_SETGDT, lgdt [eax]", "lgdt [eax]")
_MOV_CR: Final = changed(_CR, "SITE V_SETCR0, mov cr0, eax", "mov cr0, eax")
_CALL_AFTER_INIT: Final = """
start:
    mov eax, {register}
    mov edx, {value}
    SITE 76, nop                ; APICWrite
    FINISH
"""
_INB: Final = """
start:
    mov eax, {before}
    mov edx, 0x300
    SITE 60, in al, dx
    REPORT eax
    FINISH
"""
_GET_DR: Final = """
start:
    CATCH caught
    mov eax, cr4
    or eax, {de}
    SITE V_SETCR4, mov cr4, eax
    mov eax, {number}
    SITE 31, mov eax, dr{number}
    REPORT 0
    FINISH
caught:
    REPORT_AT [trap.vector]
    FINISH
"""
_HALT_WITH_IF: Final = changed(_HALT, "    cli\n", "    SITE V_ENABLE, sti\n")

POTENTIAL: Final = Standing.POTENTIAL
FRAME: Final = 0x138800 - 20
"""Of the guest with a based stack: MEMORY + 800h, and a frame of five words."""

ROWS: Final = (
    Row(
        "fault-flags",
        "harsh",
        _CASES[_CARRY],
        changed(_CARRY, "handler:\n", "handler:\n    test esp, esp\n"),
        "eflags.CF",
        "CF=1",
        "CF=0",
        shows=lambda reports: f"CF={reports[0]}",
        setting="flags=harsh",
    ),
    Row(
        "fault-flags",
        "kind",
        _CASES[_CARRY],
        changed(_CARRY, "handler:\n", "handler:\n    jmp .on\n.on:\n    clc\n"),
        "eflags.CF",
        "CF=1",
        "CF=1",
        POTENTIAL,
        shows=lambda reports: f"CF={reports[0]}",
        latitude={"flags": "kind"},
    ),
    Row(
        "flat-trap-stack",
        "base",
        _CASES[_BASED],
        changed(_BASED, "mov dword [TSS + 8], BASED", "mov dword [TSS + 8], KDATA"),
        "frame",
        FRAME + 0x1000,
        FRAME,
        shows=lambda reports: FRAME + 0x1000 if reports == (0, 1) else FRAME,
    ),
    Row(
        "stack-32",
        "harsh",
        _CASES[_ROOM],
        _ROOM_LEFT,
        "handler",
        "runs",
        "the guest is terminated",
        shows=lambda reports: "runs" if reports == (1,) else "does not",
        setting="stack32=harsh",
    ),
    Row(
        "stack-32",
        "kind",
        _CASES[_ROOM],
        _ROOM_LEFT,
        "handler",
        "runs",
        "runs",
        POTENTIAL,
        latitude={"stack32": "kind"},
    ),
    Row(
        "call-flat-stack",
        "16 bits",
        _CASES[_STACK],
        changed(_STACK, "or eax, STACK16", "or eax, SPARE"),
        "ss",
        "is performed",
        "#GP(0x0)",
        shows=lambda reports: "is performed" if reports[0] == 1 else "is not",
    ),
    Row(
        "call-flat-data",
        "no DS",
        _CASES[_DATA],
        _CASES["5 the interrupt flag's calls need no DS and ES"],
        "ds",
        "is performed",
        "#GP(0x0)",
        shows=lambda reports: "is performed" if reports[0] == 1 else "is not",
    ),
    Row(
        "call-flat-data",
        "natively it faults as well",
        changed(_DATA, "SITE V_SETCR3, mov cr3, eax", "SITE V_GETGDT, sgdt [MEMORY]"),
        _CASES[_STACK],
        "ds",
        "#GP(0x0)",
        "#GP(0x0)",
        POTENTIAL,  # not shown natively: the emulated CPU does not refuse a null DS
    ),
    Row(
        "user-if-on",
        "IF clear",
        _CASES[_USER_IF],
        changed(_USER_IF, "TO_USER user, 2", "TO_USER user, 0x202"),
        "eflags.IF",
        0,
        1,
        shows=lambda reports: reports[0] >> 9,
    ),
    Row(
        "fault-in-call",
        "harsh",
        Case("EIP of a fault in a call", FAULT_EIP, (), ()),
        _NO_MSR_FAULT,
        "eip",
        None,
        None,
        latitude={"fault-eip": "harsh"},
        setting="fault-eip=harsh",
    ),
    Row(
        "fault-in-call",
        "kind",
        Case("EIP of a fault in a call", FAULT_EIP, (), ()),
        _NO_MSR_FAULT,
        "eip",
        None,
        None,
        POTENTIAL,
    ),
    Row(
        "v8086-sysenter",
        "set",
        _CASES[_V8086],
        changed(_V8086, "push dword 0x20202", "push dword 0x202"),
        "msr:174",
        0x60,
        0,
        shows=lambda reports: reports[3],
    ),
    Row(
        "v8086-sysenter",
        "never set",
        changed(_V8086, "mov eax, 0x60", "mov eax, 0"),
        changed(_V8086, "push dword 0x20202", "push dword 0x202"),
        "msr:174",
        0,
        0,
        POTENTIAL,
        shows=lambda reports: reports[3],
    ),
    Row(
        "stack-16",
        "kind",
        _CASES[_STACK16],
        changed(_STACK16, "push dword USTACK16", "push dword UDATA"),
        "esp",
        0x124000,
        0xABCD4000,
        shows=lambda reports: reports[0],
        setting="stack16=kind",
    ),
    Row(
        "stack-16",
        "harsh",
        _CASES[_STACK16],
        changed(_STACK16, "push dword USTACK16", "push dword UDATA"),
        "esp",
        0x124000,
        0x124000,
        POTENTIAL,
        shows=lambda reports: reports[0],
        latitude={"stack16": "harsh"},
        setting="stack16=harsh",
    ),
    Row(
        "iret-fault",
        "kind",
        _CASES[_FAULT],
        changed(_FAULT, "push dword ABSENT", "push dword UDATA"),
        "exception",
        "#SS(0x50)",
        "#SS(0x50)",
        POTENTIAL,
        shows=lambda reports: f"#SS({reports[1]:#x})" if reports[0] == 12 else "another",
    ),
    Row(
        "iret-fault",
        "harsh",
        _CASES[_FAULT],
        changed(_FAULT, "push dword ABSENT", "push dword UDATA"),
        "exception",
        "#SS(0x50)",
        "the guest is terminated",
        shows=lambda reports: f"#SS({reports[1]:#x})" if reports[0] == 12 else "another",
        latitude={"iret-fault": "harsh"},
        setting="iret-fault=harsh",
    ),
    Row(
        "init-selectors",
        "Init",
        _CASES["M1 the ring of CS across Init"],
        guest(_INIT_ON_16_BIT_STACK, "BEFORE_INIT"),
        "es.RPL+cs.RPL+ss.RPL+ds.RPL",
        "es=0x10 cs=0x8 ss=0x10 ds=0x10",
        "es=0x11 cs=0x9 ss=0x11 ds=0x11",
        shows=lambda reports: f"es=0x10 cs={reports[2]:#x} ss={reports[3]:#x} ds=0x10",
        at_init=True,
    ),
    Row(
        "descriptor-image",
        "Init",
        guest(ENTRY + "start:\n    FINISH\n"),
        guest(_INIT_ON_16_BIT_STACK, "BEFORE_INIT"),
        "mem:00100030",
        0x00CF9B00_0000FFFF,
        0x00CFBB00_0000BFFF,
        at_init=True,
    ),
    Row(
        "descriptor-image",
        "an entry",
        _CASES[_IMAGE],
        changed(_IMAGE, "WRITE FREE, 0x0000FFFF, 0x00CF9300", _HARMLESS),
        "mem:00100088",
        0x00CF9300_0000FFFF,
        0x00CFB300_0000BFFF,
        shows=lambda reports: reports[1] << 32 | reports[0],
    ),
    Row(
        "descriptor-image",
        "a table",
        _CASES[_SETGDT],
        changed(_SETGDT, "    mov byte [gdt + SPARE + 3], 0x10\n", ""),
        "mem:00100080",
        0x00CF9300_1000FFFF,
        0x00CFB300_1000BFFE,
    ),
    Row(
        "segment-reload",
        "an entry",
        _CASES[_RELOAD],
        changed(_RELOAD, "    mov ax, SPARE\n", "    mov ax, KDATA\n"),
        "fs",
        "base=00000000 limit=ffffffff access=93",
        "base=00001000 limit=fbffefff access=b3",
        shows=lambda reports: "base=00000000 limit=ffffffff access=93" if reports == (1,) else "another",
    ),
    Row(
        "segment-reload",
        "a table",
        _CASES[_SETGDT],
        changed(_SETGDT, "    mov byte [gdt + SPARE + 3], 0x10\n", ""),
        "fs",
        "base=00000000 limit=ffffffff access=93",
        "base=00001000 limit=fbffefff access=b3",
        shows=lambda reports: "base=00000000 limit=ffffffff access=93" if reports == (1,) else "another",
    ),
    Row(
        "segment-reload",
        "LGDT",
        _LGDT,
        changed(_SETGDT, "SITE V_SETGDT, lgdt [eax]", "lidt [idt_register]"),
        "fs",
        "base=00000000 limit=ffffffff access=93",
        "base=00001000 limit=fbffefff access=b3",
        shows=lambda reports: "base=00000000 limit=ffffffff access=93" if reports == (1,) else "another",
    ),
    Row(
        "segment-null",
        "an entry",
        _CASES[_NULL],
        changed(_NULL, "    mov ax, SPARE\n", "    mov ax, KDATA\n"),
        "gs",
        0x58,
        0,
        shows=lambda reports: reports[0],
    ),
    Row(
        "segment-null",
        "the kernel's stack",
        changed(
            _NULL,
            "    mov ax, SPARE\n    mov gs, ax\n",
            "    mov eax, [kernel_ss]\n    and eax, 3\n    or eax, SPARE\n    mov ss, ax\n",
        ),
        changed(_NULL, "WRITE SPARE, 0, 0", "WRITE FREE, 0, 0"),
        "cs or ss",
        "stays as it is",
        "the guest is terminated",
    ),
    Row(
        "cr-bits",
        "SetCR0",
        _CASES[_CR],
        changed(_CR, "and eax, 0x7FFFFFFF", "and eax, 0xFFFEFFFF"),
        "cr0.PG",
        0,
        1,
        shows=lambda reports: reports[0],
    ),
    Row(
        "cr-bits",
        "MOV CR0",
        _MOV_CR,
        changed(_CR, "SITE V_SETCR0, mov cr0, eax", "mov ecx, cr0"),
        "cr0.PG",
        0,
        1,
        shows=lambda reports: reports[0],
    ),
    Row(
        "no-sti-shadow",
        "EnableInterrupts",
        _CASES[_SHADOW],
        changed(_SHADOW, "SITE V_ENABLE, sti", "mov eax, 0x200\n    SITE V_SETMASK, nop"),
        "interrupt",
        "behind the next instruction",
        "before it",
        shows=lambda reports: "behind the next instruction" if reports[1] == 2 else "before it",
    ),
    Row(
        "iret-iopl",
        "an image with IOPL 3",
        _CASES[_IOPL],
        changed(_IOPL, "TO_USER site, 0x3202", "TO_USER site, 0x202"),
        "eflags.IOPL",
        3,
        0,
        shows=lambda reports: 3 if reports[0] == 1 else 0,
    ),
    Row(
        "deferred-pte",
        "harsh",
        Case("an update that waits", DEFER, (), (), ("PAGING",)),
        Case("an update that may not wait", DEFER.replace("MEMORY | 0x31", "MEMORY | 0x11"), (), (), ("PAGING",)),
        "pte",
        0x139007,
        0x138027 | 0x40,
        POTENTIAL,
        latitude={"defer": "harsh"},
        setting="defer=harsh",
    ),
    Row(
        "no-nmi",
        "by the APIC",
        _CASES[_NMI],
        changed(_NMI, "mov dword [MEMORY + 0x300], 0x4400", "mov dword [MEMORY + 0x300], 0x4031"),
        "interrupt",
        "vector 2",
        "nothing",
        shows=lambda reports: f"vector {reports[1]}",
    ),
    Row(
        "ap-start",
        "no state",
        guest(_CALL_AFTER_INIT.format(register="0x300", value="0xC4608")),
        guest(_CALL_AFTER_INIT.format(register="0x300", value="0xC4500")),
        "processor",
        "real mode, 0800:0000",
        "not at all: no state was set",
        POTENTIAL,
    ),
    Row(
        "halt-if",
        "off",
        _CASES[_HALT],
        _HALT_WITH_IF,
        "halt",
        "sleeps for ever, or switches interrupts on",
        "switches interrupts on",
        POTENTIAL,
    ),
    Row(
        "call-registers",
        "INB",
        guest(_INB.format(before="0x12345678")),
        guest(_INB.format(before="0x12345678").replace("SITE 60, in al, dx", "SITE 59, in eax, dx")),
        "eax",
        0x123456FF,
        0xFF,
        shows=lambda reports: reports[0],
    ),
    Row(
        "call-registers",
        "INB into a register that was clear",
        guest(_INB.format(before="0")),
        guest(_INB.format(before="0").replace("SITE 60, in al, dx", "in al, dx")),
        "eax",
        0xFF,
        0xFF,
        POTENTIAL,
        shows=lambda reports: reports[0],
    ),
    Row(
        "debug-alias",
        "with CR4.DE",
        guest(_GET_DR.format(de=8, number=4)),
        guest(_GET_DR.format(de=8, number=6)),
        "dr4",
        "#UD",
        "dr6",
        shows=lambda reports: "#UD" if reports[1] == 6 else "dr6",
    ),
    Row(
        "debug-alias",
        "without CR4.DE",
        guest(_GET_DR.format(de=0, number=5)),
        guest(_GET_DR.format(de=0, number=7)),
        "dr5",
        "dr7",
        "dr7",
        POTENTIAL,
        shows=lambda reports: "#UD" if reports[0] else "dr7",
    ),
)
