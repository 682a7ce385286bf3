"""Instructions that trap at CPL 1 and are performed with their native meaning: the outcomes are equal, but for what the
catalogue says of the interrupt flag of user mode."""

from typing import Any, Final

from tests.differences.guests import UNSEEN, Case
from tests.differences.sensitive import NOT_CAUGHT, VIRTUAL_IF, to_user, with_site
from tests.differences.ten import CAUGHT


def same(name: str, source: str, *reports: int, **more: Any) -> Case:
    return Case(name, source, native=reports, vmi=reports, **more)


def kernel(code: str) -> str:
    return f"start:\n    CATCH caught\n{with_site(code)}\n    FINISH\n{CAUGHT}"


PRIVILEGED: Final = (
    "mov eax, cr0",
    "mov cr3, eax",
    "mov eax, dr7",
    "clts",
    "lmsw ax",
    "lgdt [MEMORY]",
    "lidt [MEMORY]",
    "lldt ax",
    "ltr ax",
    "invlpg [MEMORY]",
    "invd",
    "wbinvd",
    "rdmsr",
    "wrmsr",
    "hlt",
    "sysexit",
)
"""All of these are #GP(0) in user mode."""

TRAPPING: Final = (
    same(
        "MOV to and from control registers",
        kernel("""
    mov eax, 0x12345678
    mov cr2, eax
    mov ecx, cr2
    REPORT ecx
    mov eax, DIRECTORY
    mov cr3, eax
    mov ecx, cr3
    REPORT ecx
    mov eax, 0x10
    mov cr4, eax
    mov ecx, cr4
    REPORT ecx
"""),
        0x12345678,
        0x130000,
        0x10,
        *NOT_CAUGHT,
    ),
    same(
        "MOV to CR0 with PG but without PE",
        kernel("    mov eax, 0x80000010\nsite:\n    mov cr0, eax\n"),
        13,
        0,
        0,
        not_in_qemu="TCG takes paging without protection, where hardware raises #GP(0)",
    ),
    same(
        "MOV to and from debug registers",
        kernel("""
    mov eax, 0x1234
    mov dr0, eax
    mov dr3, eax
    mov ecx, dr0
    REPORT ecx
    mov ecx, dr3
    REPORT ecx
    xor eax, eax
    mov dr7, eax
    mov ecx, dr7
    REPORT ecx
"""),
        0x1234,
        0x1234,
        0x400,
        *NOT_CAUGHT,
    ),
    same(
        "CLTS and LMSW",
        kernel("""
    mov ax, 9
    lmsw ax
    mov eax, cr0
    and eax, 0xF
    REPORT eax
    clts
    mov eax, cr0
    and eax, 0xF
    REPORT eax
    xor eax, eax
    lmsw ax
    mov eax, cr0
    and eax, 1
    REPORT eax
"""),
        9,
        1,
        1,
        *NOT_CAUGHT,
    ),
    same(
        "LGDT",
        kernel("""
    mov esi, gdt
    mov edi, MEMORY
    mov ecx, (gdt_end - gdt) / 4
    rep movsd
    mov word [MEMORY + 0x800], gdt_end - gdt - 1
    mov dword [MEMORY + 0x802], MEMORY
    mov byte [MEMORY + SPARE + 2], 0
    mov byte [MEMORY + SPARE + 3], 0x10
    lgdt [MEMORY + 0x800]
    mov ax, SPARE
    mov fs, ax
    mov dword [MEMORY + 0x1800], 77
    mov eax, [fs:MEMORY + 0x800]
    REPORT eax
"""),
        77,
        *NOT_CAUGHT,
    ),
    same(
        "LIDT",
        kernel("""
    mov esi, IDT
    mov edi, MEMORY
    mov ecx, 0x40 * 2
    rep movsd
    mov word [MEMORY + 0x800], 8 * 0x40 - 1
    mov dword [MEMORY + 0x802], MEMORY
    lidt [MEMORY + 0x800]
    mov dword [IDT + 8 * 6], 0
    mov dword [IDT + 8 * 6 + 4], 0
site:
    ud2
"""),
        6,
        0,
        0,
    ),
    same(
        "LLDT",
        kernel("""
    mov dword [LDT], 0x1000FFFF
    mov dword [LDT + 4], 0x00CF9300
    mov eax, LDT_SELECTOR
    lldt ax
    mov ax, 4
    mov fs, ax
    mov dword [MEMORY + 0x1000], 78
    mov eax, [fs:MEMORY]
    REPORT eax
"""),
        78,
        *NOT_CAUGHT,
    ),
    same(
        "LLDT of what is no LDT",
        kernel("    mov ax, KDATA\nsite:\n    lldt ax\n"),
        13,
        0x10,
        0,
    ),
    same(
        "LTR marks its descriptor busy and refuses a busy one",
        kernel("""
    mov byte [gdt + TSS_SELECTOR + 5], 0x89
    mov ax, TSS_SELECTOR
    ltr ax
    movzx eax, byte [gdt + TSS_SELECTOR + 5]
    REPORT eax
    mov ax, TSS_SELECTOR
site:
    ltr ax
"""),
        0x8B,
        13,
        0x28,
        0,
    ),
    same(
        "INVLPG, INVD and WBINVD", kernel("    invlpg [MEMORY]\n    invd\n    wbinvd\n    REPORT 1\n"), 1, *NOT_CAUGHT
    ),
    same(
        "RDMSR and WRMSR",
        kernel("""
    mov ecx, 0x175
    mov eax, 0x1234
    xor edx, edx
    wrmsr
    xor eax, eax
    rdmsr
    REPORT eax
"""),
        0x1234,
        *NOT_CAUGHT,
    ),
    *(
        same(
            f"{name} of a register that does not exist",
            kernel(f"    mov ecx, 0xDEAD\nsite:\n    {name.lower()}\n"),
            13,
            0,
            0,
            not_in_qemu="TCG ignores MSRs that do not exist, where hardware raises #GP(0)",
        )
        for name in ("RDMSR", "WRMSR")
    ),
    same(
        "CLI and STI",
        VIRTUAL_IF + kernel("    sti\n    REPORT_IF\n    cli\n    REPORT_IF\n"),
        0x200,
        0,
        *NOT_CAUGHT,
    ),
    same(
        "STI has its shadow",
        """
start:
    PIC 0xFE
    PIT_ONCE
    AWAIT_PIT
    CATCH interrupted
site:
    sti
    nop
    nop
    FINISH
interrupted:
    REPORT_AT [trap.vector]
    mov eax, [trap.eip]
    sub eax, site
    REPORT eax
    FINISH
""",
        0x20,
        2,
    ),
    same(
        "HLT wakes by an interrupt",
        """
start:
    PIC 0xFE
    PIT_ONCE
    CATCH interrupted
    sti
site:
    hlt
    FINISH
interrupted:
    REPORT_AT [trap.vector]
    mov eax, [trap.eip]
    sub eax, site
    REPORT eax
    FINISH
""",
        0x20,
        1,
    ),
    same(
        "IN and OUT of the kernel",
        kernel("""
    mov al, 0xA5
    out 0x21, al
    xor eax, eax
    in al, 0x21
    REPORT eax
    mov edi, MEMORY
    mov dword [edi], 0
    mov dx, 0x21
    mov ecx, 2
    rep insb
    REPORT_AT [MEMORY]
    mov byte [MEMORY], 0xFF
    mov esi, MEMORY
    outsb
    in al, dx
    movzx eax, al
    REPORT eax
"""),
        0xA5,
        0xA5A5,
        0xFF,
        *NOT_CAUGHT,
    ),
    same(
        "SYSENTER and SYSEXIT",
        """
start:
    xor edx, edx
    mov ecx, 0x174
    mov eax, KCODE
    wrmsr
    inc ecx
    mov eax, STACK
    wrmsr
    inc ecx
    mov eax, handler
    wrmsr
    mov edx, user
    mov ecx, USTACK
    sysexit
user:
    mov eax, cs
    REPORT eax
    mov eax, ss
    REPORT eax
    sub esp, USTACK
    REPORT esp
    mov esp, USTACK
    sysenter
handler:
    sub esp, STACK
    REPORT esp
    FINISH
""",
        0x1B,
        0x23,
        0,
        0,
    ),
    *(
        same(f"{code.upper()} in user mode", to_user(f"site:\n    {code}\n    REPORT 1"), UNSEEN, 13, 0, 0)
        for code in PRIVILEGED
    ),
)

AFTER: Final = """
    pushf
    pop eax
    and eax, 0x3200
    REPORT eax
    int 0x30
"""
CALLED: Final = """
caught:
    REPORT_AT [trap.vector]
    mov eax, [trap.flags]
    and eax, 0x3200
    REPORT eax
    FINISH
"""


def flags_of_user(code: str, iopl: int) -> str:
    """User mode runs `code`, puts down what PUSHF shows, and enters the kernel, which puts down the pushed image."""
    return f"""
start:
    CATCH caught
    USER_IOPL {iopl}
    TO_USER user, {0x202 | iopl << 12}
user:
{code}
{AFTER}{CALLED}"""


POPF_WITHOUT_IF: Final = "    pushf\n    and dword [esp], ~0x200\n    popf"
USER_FLAGS: Final = (
    *(
        Case(f"{name} of user mode at IOPL {iopl}", flags_of_user(code, iopl), native=native, vmi=vmi)
        for name, code, iopl, native, vmi in (
            ("CLI", "    cli", 0, (UNSEEN, 13, 0x200), (UNSEEN, 13, 0x200)),
            ("CLI", "    cli", 3, (0x3000, 0x30, 0x3000), (0x200, 0x30, 0x3200)),
            ("STI", "    sti", 0, (UNSEEN, 13, 0x200), (UNSEEN, 13, 0x200)),
            ("STI", "    sti", 3, (0x3200, 0x30, 0x3200), (0x200, 0x30, 0x3200)),
            ("POPF", POPF_WITHOUT_IF, 0, (0x200, 0x30, 0x200), (0x200, 0x30, 0x200)),
            ("POPF", POPF_WITHOUT_IF, 3, (0x3000, 0x30, 0x3000), (0x200, 0x30, 0x3200)),
            ("PUSHF", "", 0, (0x200, 0x30, 0x200), (0x200, 0x30, 0x200)),
            ("PUSHF", "", 3, (0x3200, 0x30, 0x3200), (0x200, 0x30, 0x3200)),
            ("IN", "    in al, 0x64", 0, (UNSEEN, 13, 0x200), (UNSEEN, 13, 0x200)),
            ("IN", "    in al, 0x64", 3, (0x3200, 0x30, 0x3200), (0x200, 0x30, 0x3200)),
            ("OUT", "    out 0x80, al", 0, (UNSEEN, 13, 0x200), (UNSEEN, 13, 0x200)),
            ("OUT", "    out 0x80, al", 3, (0x3200, 0x30, 0x3200), (0x200, 0x30, 0x3200)),
        )
    ),
)
