"""For each rule about instructions, ports and addresses: a guest that the rule finds something in, and one that nearly
does the same, in which it finds nothing."""

from collections.abc import Callable
from typing import Final

from pvtrace.model.findings import Standing
from tests.differences.also_sensitive import ALSO_SENSITIVE
from tests.differences.guests import UNSEEN, Case
from tests.differences.sensitive import SENSITIVE, VIRTUAL_IF, to_user, with_site
from tests.differences.stated import STATED
from tests.differences.ten import CAUGHT, TEN
from tests.differences.trapping import POPF_WITHOUT_IF, flags_of_user
from tests.divergence.call_rows import POTENTIAL, Reports, Row, guest

_CASES: Final = {case.name: case for case in (*TEN, *STATED, *SENSITIVE, *ALSO_SENSITIVE)}
_ZF: Final = "eflags.ZF"
_IF: Final = "eflags.IF"
_GDT: Final = 0x100028


def kernel(code: str, *options: str) -> Case:
    """A kernel that runs this code, with `caught` behind it for exceptions at `site`."""
    return guest(f"{VIRTUAL_IF}\nstart:\n    CATCH caught\n{with_site(code)}\n    FINISH\n{CAUGHT}", *options)


def changed(name: str, old: str, new: str) -> Case:
    """A guest of the catalogue with some of its text replaced."""
    case = _CASES[name]
    assert case.source.count(old) == 1, (name, old)
    return Case(case.name, case.source.replace(old, new), (), (), case.options)


def first(reports: Reports) -> int:
    return reports[0]


def unless_caught(words: str) -> Callable[[Reports], str]:
    """How it went, by a guest that reports 1 or, where it was caught, vector and error code."""
    return lambda reports: words if reports[0] != UNSEEN else f"#{reports[1]}({reports[2]:#x})"


def shown(instruction: str, register: str = "eax") -> Case:
    """A kernel that reports what an instruction shows in a register."""
    return kernel(f"site:\n    xor {register}, {register}\n    {instruction}\n    REPORT {register}")


def answered(setup: str, instruction: str) -> Case:
    """A kernel that reports ZF."""
    return kernel(f"    {setup}\nsite:\n    {instruction}\n    setz al\n    movzx eax, al\n    REPORT eax")


def load(name: str, setup: str, instruction: str, error: int, near: str) -> Row:
    """A load that faults with this error code; with `near` for its set-up it does not."""

    def source(text: str) -> Case:
        return kernel(f"    {text}\nsite:\n    {instruction}\n    mov ax, KDATA\n    mov ds, ax\n    REPORT 1")

    register = "load-ss" if "ss" in instruction else "load-data-segment"
    words = "is loaded"
    return Row(
        register,
        name,
        source(setup),
        source(near),
        "exception",
        words,
        f"#GP({error:#x})",
        shows=unless_caught(words),
    )


_ARPL: Final = Row(
    "arpl",
    "with the kernel's own selector",
    _CASES["ARPL"],
    changed("ARPL", "mov cx, cs", "mov cx, UDATA"),
    _ZF,
    0,
    1,
    shows=lambda reports: reports[1],
)

FLAGS: Final = (
    Row(
        "iret",
        "to RPL 0",
        _CASES["IRET to privilege level 0"],
        changed("IRET to privilege level 0", "push dword KCODE", "push cs"),
        "exception",
        "returns",
        "#GP(0x8)",
        shows=unless_caught("returns"),
    ),
    Row(
        "iret",
        "IF",
        _CASES["IRET leaves IF alone"],
        changed("IRET leaves IF alone", "push dword 2", "push dword 0x202"),
        _IF,
        0,
        1,
        shows=lambda reports: reports[0] >> 9,
    ),
    Row(
        "iret",
        "IF, from a handler",
        _CASES["IRET from a handler that was entered with IF set"],
        changed("IRET from a handler that was entered with IF set", "    SITE V_ENABLE, sti\n", ""),
        _IF,
        1,
        0,
        shows=lambda reports: reports[0] >> 9,
    ),
    Row(
        "iret",
        "IOPL",
        kernel(
            "    push dword 0x3002\n    push cs\n    push dword there\n    iretd\nthere:\n    pushf\n    pop eax\n"
            "    REPORT eax\n"
        ),
        kernel("    push dword 2\n    push cs\n    push dword there\n    iretd\nthere:\n"),
        "eflags.IOPL",
        3,
        0,
        shows=lambda reports: reports[0] >> 12 & 3,
    ),
    Row(
        "popf",
        "IF",
        _CASES["POPF leaves IF alone"],
        changed("POPF leaves IF alone", "push dword 0x202", "push dword 2"),
        _IF,
        1,
        0,
        shows=lambda reports: reports[0] >> 9,
    ),
    Row(
        "popf",
        "IOPL",
        _CASES["POPF leaves IOPL alone"],
        changed("POPF leaves IOPL alone", "push dword 0x3002", "push dword 0x46"),
        "eflags.IOPL",
        3,
        0,
        shows=lambda reports: reports[0] >> 12,
    ),
    Row(
        "pushf",
        "IF",
        kernel("    SITE V_DISABLE, cli\n    xor eax, eax\n    pushf\n    pop eax\n    REPORT eax"),
        kernel("    SITE V_ENABLE, sti\n    xor eax, eax\n    pushf\n    pop eax\n    REPORT eax"),
        "image.IF",
        0x46,
        0x246,
        shows=first,
    ),
    Row(
        "pushf",
        "IOPL, in user code",
        guest(to_user("    xor eax, eax\n    pushf\n    pop eax\n    REPORT eax", iopl=3)),
        guest(to_user("    xor eax, eax\n    pushf\n    pop eax\n    REPORT eax", iopl=0)),
        "image.IOPL",
        0x3246,
        0x246,
        shows=first,
    ),
    Row(
        "user-iopl",
        "CLI",
        _CASES["7 CLI of user mode with IOPL 3"],
        guest(flags_of_user("    cli", 0)),
        _IF,
        0,
        1,
        shows=lambda reports: reports[0] >> 9 & 1,
    ),
    Row(
        "user-iopl",
        "POPF",
        guest(flags_of_user(POPF_WITHOUT_IF, 3)),
        guest(flags_of_user("    pushf\n    popf", 3)),
        _IF,
        0,
        1,
        shows=lambda reports: reports[0] >> 9 & 1,
    ),
    Row(
        "user-iopl",
        "POPF at IOPL 0",
        guest(flags_of_user(POPF_WITHOUT_IF, 0)),
        guest(flags_of_user("    pushf\n    popf", 0)),
        _IF,
        1,
        1,
        Standing.HAZARD,
        shows=lambda reports: reports[0] >> 9 & 1,
    ),
)

SELECTORS: Final = (
    _ARPL,
    Row(
        "arpl",
        "in memory",
        kernel(
            "    mov word [MEMORY], 0x10\n    mov cx, cs\nsite:\n    arpl [MEMORY], cx\n    setz al\n"
            "    movzx eax, al\n    REPORT eax"
        ),
        kernel("    mov word [MEMORY], 0x10\n    mov cx, UDATA\nsite:\n    arpl [MEMORY], cx\n"),
        _ZF,
        0,
        1,
        shows=first,
    ),
    Row("mov-sreg", "CS", shown("mov eax, cs"), shown("mov eax, gs"), "eax", 8, 9, shows=first),
    Row(
        "mov-sreg",
        "SS to memory",
        kernel("site:\n    mov [MEMORY], ss\n    REPORT_AT [MEMORY]"),
        kernel("    mov ax, UDATA\n    mov fs, ax\nsite:\n    mov [MEMORY], fs"),
        "mem:00138000",
        0x10,
        0x11,
        shows=first,
    ),
    Row(
        "push-sreg",
        "CS",
        kernel("site:\n    push cs\n    pop eax\n    REPORT eax"),
        kernel("    mov ax, KDATA\n    mov fs, ax\nsite:\n    push fs\n    pop eax\n    REPORT eax"),
        "mem:00127ffc",
        8,
        9,
        shows=first,
    ),
)

SEGMENTS: Final = (
    Row(
        "lar",
        "rights",
        _CASES["LAR of the kernel's data"],
        changed("LAR of the kernel's data", "mov ecx, KDATA", "mov ecx, UDATA"),
        "eax",
        0xC09300,
        0xC0B300,
        shows=first,
    ),
    Row(
        "lar",
        "of the kernel's own selector",
        kernel("    mov cx, cs\nsite:\n    lar eax, cx\n    REPORT eax"),
        kernel("    mov cx, UCODE\nsite:\n    lar eax, cx\n    REPORT eax"),
        "eax",
        0xC09B00,
        0xC0BB00,
        shows=first,
    ),
    Row(
        "lar",
        "a system descriptor",
        _CASES["LAR of a system descriptor with DPL 0"],
        changed("LAR of a system descriptor with DPL 0", "TSS_SELECTOR", "CALL_GATE"),
        _ZF,
        1,
        0,
        shows=first,
    ),
    Row(
        "lsl",
        "a flat segment",
        _CASES["LSL of flat data"],
        changed("LSL of flat data", "mov ecx, KDATA", "mov ecx, SMALL"),
        "eax",
        0xFFFFFFFF,
        0xFBFFFFFF,
        shows=first,
    ),
    Row(
        "lsl",
        "in user code",
        guest(to_user("    mov ecx, UDATA\n    lsl eax, ecx\n    REPORT eax")),
        guest(to_user("    mov ecx, KDATA\n    lsl eax, ecx\n    REPORT eax")),
        "eax",
        0xFFFFFFFF,
        0xFBFFFFFF,
        shows=first,
    ),
    Row(
        "verr-verw",
        "VERR",
        answered("mov byte [gdt + SPARE + 5], 0x93\n    mov eax, SPARE", "verr ax"),
        answered("mov eax, SPARE", "verr ax"),
        _ZF,
        1,
        0,
        shows=first,
    ),
    Row(
        "verr-verw",
        "VERW",
        answered("mov byte [gdt + SPARE + 5], 0x93\n    mov eax, SPARE", "verw ax"),
        answered("mov eax, UCODE", "verw ax"),
        _ZF,
        1,
        0,
        shows=first,
    ),
    load("MOV", "mov eax, KDATA", "mov ss, ax", 0x10, "mov eax, [kernel_ss]"),
    load("POP", "push dword KDATA", "pop ss", 0x10, "push dword [kernel_ss]"),
    load(
        "LSS",
        "mov dword [MEMORY], STACK\n    mov dword [MEMORY + 4], KDATA",
        "lss esp, [MEMORY]",
        0x10,
        "mov dword [MEMORY], STACK\n    mov eax, [kernel_ss]\n    mov [MEMORY + 4], eax",
    ),
    load(
        "MOV to DS",
        "mov byte [gdt + SPARE + 5], 0x93\n    mov eax, SPARE",
        "mov ds, ax",
        0x58,
        "mov eax, SPARE",
    ),
    load(
        "LFS",
        "mov byte [gdt + SPARE + 5], 0x93\n    mov dword [MEMORY + 4], SPARE",
        "lfs eax, [MEMORY]",
        0x58,
        "mov dword [MEMORY + 4], SPARE",
    ),
    load("POP DS", "mov byte [gdt + SPARE + 5], 0x93\n    push dword SPARE", "pop ds", 0x58, "push dword UDATA"),
)


def _transfer(pushed: str) -> Case:
    return kernel(f"    {pushed}\n    push dword there\nsite:\n    retf\nthere:\n    REPORT 1")


TRANSFERS: Final = (
    Row(
        "retf",
        "to RPL 0",
        _transfer("push dword KCODE"),
        _transfer("push cs"),
        "exception",
        "returns",
        "#GP(0x8)",
        shows=unless_caught("returns"),
    ),
    Row(
        "far-transfer",
        "JMP",
        kernel("site:\n    jmp KCODE:there\nthere:\n    mov eax, cs\n    REPORT eax"),
        guest(to_user("    jmp UCODE:there\nthere:\n")),
        "cs",
        8,
        9,
        shows=first,
    ),
    Row(
        "far-transfer",
        "CALL by memory",
        kernel(
            "    mov dword [MEMORY], there\n    mov word [MEMORY + 4], KCODE\nsite:\n    call far [MEMORY]\nthere:\n"
            "    mov eax, cs\n    REPORT eax"
        ),
        guest(
            to_user("    mov dword [MEMORY], there\n    mov word [MEMORY + 4], UCODE\n    call far [MEMORY]\nthere:\n")
        ),
        "cs",
        8,
        9,
        shows=first,
    ),
    Row(
        "far-transfer",
        "CALL through a gate",
        kernel("site:\n    call CALL_GATE:0\ncall_gate_target:\n    mov eax, cs\n    REPORT eax", "CALL_GATE_TARGET"),
        kernel("site:\n    call SMALL:0\ncall_gate_target:\n", "CALL_GATE_TARGET"),
        "cs",
        8,
        9,
        shows=first,
    ),
    Row(
        "int-gate",
        "DPL 0",
        _CASES["INT of the kernel through a gate of DPL 0"],
        changed("INT of the kernel through a gate of DPL 0", "    mov byte [IDT + 8 * 0x33 + 5], 0x8E\n", ""),
        "exception",
        "passes",
        "passes",
        POTENTIAL,
        shows=lambda reports: "passes" if reports[0] == 1 else "does not",
    ),
)


def table(instruction: str, call: int) -> tuple[Case, Case]:
    """A kernel that reports limit and base by instruction, and one that asks by call."""
    report = "    movzx eax, word [MEMORY]\n    REPORT eax\n    REPORT_AT [MEMORY + 2]"
    by_call = f"    mov eax, MEMORY\n    SITE {call}, {instruction} [eax]\n{report}"
    return kernel(f"site:\n    {instruction} [MEMORY]\n{report}"), kernel(by_call)


def by_user(instruction: str) -> Case:
    report = "    movzx eax, word [MEMORY]\n    REPORT eax\n    REPORT_AT [MEMORY + 2]"
    return guest(to_user(f"    {instruction} [MEMORY]\n{report}"))


def _limit_and_base(reports: Reports) -> str:
    return f"base={reports[1]:08x} limit={reports[0]:04x}"


_LDT: Final = "    mov eax, LDT_SELECTOR\n    SITE V_SETLDT, lldt ax\n"

TABLES: Final = (
    *(
        Row(name, where, found, near, "mem:00138000", native, mine, shows=_limit_and_base)
        for name, call, native, mine in (
            ("sgdt", 12, f"base={_GDT:08x} limit=007f", "base=fc000000 limit=ffff"),
            ("sidt", 14, "base=00120000 limit=01ff", "base=fc010000 limit=07ff"),
        )
        for near in (table(name, call)[1],)
        for where, found in (("in the kernel", table(name, call)[0]), ("in user code", by_user(name)))
    ),
    Row(
        "sldt",
        "in the kernel",
        kernel(f"{_LDT}site:\n    sldt ax\n    movzx eax, ax\n    REPORT eax"),
        kernel(f"{_LDT}site:\n    SITE 13, sldt eax\n    movzx eax, ax\n    REPORT eax"),
        "eax",
        0x30,
        0xFFE8,
        shows=first,
    ),
    Row(
        "str",
        "in the kernel",
        shown("str ax"),
        kernel("site:\n    SITE 15, str eax\n    movzx eax, ax\n    REPORT eax"),
        "eax",
        0x28,
        0xFFF0,
        shows=first,
    ),
    Row(
        "str",
        "in user code",
        guest(to_user("    str [MEMORY]\n    REPORT_AT [MEMORY]")),
        guest(to_user("    REPORT_AT [MEMORY]")),
        "mem:00138000",
        0x28,
        0xFFF0,
        shows=first,
    ),
)

PROCESSOR: Final = (
    Row(
        "cpuid",
        "by instruction",
        kernel("    mov eax, 1\nsite:\n    cpuid"),
        kernel("    mov eax, 1\nsite:\n    SITE V_CPUID, cpuid"),
        "leaf:1",
        "the same",
        "the same",
        POTENTIAL,
    ),
    Row(
        "tsc",
        "RDTSC",
        kernel("site:\n    rdtsc"),
        kernel("site:\n    SITE 33, rdtsc"),
        "edx:eax",
        "the same",
        "the same",
        POTENTIAL,
    ),
    Row(
        "tsc",
        "RDPMC",
        kernel("    xor ecx, ecx\nsite:\n    rdpmc"),
        kernel("    xor ecx, ecx\nsite:\n    SITE 32, rdpmc"),
        "edx:eax",
        "the same",
        "the same",
        POTENTIAL,
    ),
    Row(
        "smsw",
        "equal",
        kernel("site:\n    smsw eax"),
        kernel("site:\n    mov eax, cr0"),
        "cr0",
        "the same",
        "the same",
        POTENTIAL,
    ),
    Row(
        "smsw",
        "paging that was switched off",
        kernel(
            "    mov eax, cr0\n    and eax, 0x7FFFFFFF\n    SITE V_SETCR0, mov cr0, eax\nsite:\n    smsw eax\n"
            "    REPORT eax",
            "PAGING",
        ),
        kernel(
            "    mov eax, cr0\n    and eax, 0x7FFFFFFF\n    SITE V_SETCR0, mov cr0, eax\nsite:\n    mov eax, cr0\n"
            "    REPORT eax",
            "PAGING",
        ),
        "eax",
        0x00010011,
        0x80010011,
        shows=first,
    ),
)


def top(code: str, *, mapped: str = "    mov dword [HIGH_TABLE + 4 * 0x3FE], MEMORY + 7\n") -> Case:
    """A guest that reaches for the page at FFFFE000h."""
    return kernel(f"{mapped}    mov dword [MEMORY], 0x1234\n{code}\n    REPORT 1", "PAGING")


def user_top(code: str) -> Case:
    """User code that does."""
    mapping = "start:\n    mov dword [HIGH_TABLE + 4 * 0x3FE], MEMORY + 7\n"
    return guest(to_user(f"{code}\n    REPORT 1").replace("start:\n", mapping, 1), "PAGING")


_WRAPPING: Final = "    mov ax, WRAPPING\n    mov gs, ax\nsite:\n    mov eax, [gs:{offset:#x}]"

ADDRESSES: Final = (
    Row(
        "linear-top",
        "a load",
        top("site:\n    mov eax, [0xFFFFE000]"),
        top("site:\n    mov eax, [0xFBFFF000]"),
        "exception",
        "passes",
        "#GP(0x0)",
        shows=unless_caught("passes"),
    ),
    Row(
        "linear-top",
        "a store of nothing that is mapped",
        top("site:\n    mov [0xFFFFE000], eax", mapped=""),
        top("site:\n    mov [0xFBFFF000], eax", mapped=""),
        "exception",
        "#PF(0x2)",
        "#GP(0x0)",
        shows=lambda reports: f"#PF({reports[2]:#x})" if reports[1] == 14 else "another",
    ),
    Row(
        "linear-top",
        "a store across two pages, of which the first is mapped",
        top("site:\n    mov [0xFFFFEFFE], eax"),
        top("site:\n    mov [0xFBFFEFFE], eax"),
        "exception",
        "#PF(0x2)",
        "#GP(0x0)",
        shows=lambda reports: f"#PF({reports[2]:#x})" if reports[1] == 14 else "another",
    ),
    Row(
        "linear-top",
        "a string move",
        top("    mov esi, 0xFFFFE000\n    mov edi, MEMORY\nsite:\n    movsd"),
        top("    mov esi, 0x00138000\n    mov edi, MEMORY + 8\nsite:\n    movsd"),
        "exception",
        "passes",
        "#GP(0x0)",
        shows=unless_caught("passes"),
    ),
    Row(
        "linear-top",
        "a push of user code",
        user_top("    mov edi, esp\n    mov esp, 0xFFFFE010\nsite:\n    push eax\n    mov esp, edi"),
        user_top("    mov edi, esp\n    mov esp, MEMORY + 16\nsite:\n    push eax\n    mov esp, edi"),
        "exception",
        "passes",
        "#GP(0x0)",
        shows=unless_caught("passes"),
    ),
    Row(
        "clipped-limit",
        "through a segment with a base",
        top(_WRAPPING.format(offset=0xFFFFE000 - 0xB7000000)),
        top(_WRAPPING.format(offset=0x49138000)),
        "exception",
        "passes",
        "#GP(0x0)",
        shows=unless_caught("passes"),
    ),
    Row(
        "user-ports",
        "IOPL of an image",
        _CASES["M9 IRET leaves IOPL alone"],
        changed("M9 IRET leaves IOPL alone", "    CATCH caught\n", "    CATCH caught\n    USER_IOPL 3\n"),
        "exception",
        "passes",
        "#GP(0x0)",
        shows=unless_caught("passes"),
    ),
)

_ENTRY: Final = "gdt + KDATA"


def reading(code: str) -> Case:
    return kernel(f"site:\n    {code}\n    REPORT eax")


READ_BACK: Final = (
    Row(
        "descriptor-image",
        "a load of the high doubleword",
        reading(f"mov eax, [{_ENTRY} + 4]"),
        reading("mov eax, [gdt + SMALL]"),
        f"mem:{_GDT + 0x14:08x}",
        0x00CF9300,
        0x00CFB300,
        shows=first,
    ),
    Row(
        "descriptor-image",
        "a byte of it",
        reading(f"movzx eax, byte [{_ENTRY} + 5]"),
        reading(f"movzx eax, byte [{_ENTRY} + 7]"),
        f"mem:{_GDT + 0x15:08x}",
        0x93,
        0xB3,
        shows=first,
    ),
    Row(
        "descriptor-image",
        "a register that the load overwrites",
        reading(f"mov eax, {_ENTRY}\n    mov eax, [eax + 4]"),
        reading(f"mov eax, {_ENTRY}\n    lea eax, [eax + 4]"),
        f"mem:{_GDT + 0x14:08x}",
        0x00CF9300,
        0x00CFB300,
        shows=first,
    ),
    Row(
        "descriptor-image",
        "a copy of the table",
        reading("mov esi, gdt\n    mov edi, MEMORY\n    mov ecx, 8\n    rep movsd\n    mov eax, [MEMORY + 12]"),
        reading("mov esi, gdt_register\n    mov edi, MEMORY\n    mov ecx, 8\n    rep movsd\n    xor eax, eax"),
        f"mem:{_GDT + 8:08x}",
        0x0000FFFF,
        0x0000BFFF,
        shows=lambda reports: 0x0000FFFF if reports[0] == 0x00CF9B00 else 0,
    ),
    Row(
        "descriptor-image",
        "not what the processor reads",
        reading(f"push dword [{_ENTRY} + 4]\n    pop eax"),
        reading("mov ax, KDATA\n    mov fs, ax\n    lar eax, ax\n    push dword KDATA\n    pop es"),
        f"mem:{_GDT + 0x14:08x}",
        0x00CF9300,
        0x00CFB300,
        shows=first,
    ),
)

ROWS: Final = (*READ_BACK, *FLAGS, *SELECTORS, *SEGMENTS, *TRANSFERS, *TABLES, *PROCESSOR, *ADDRESSES)
