"""The differences that the proposal states elsewhere, as far as one CPU can show them (catalogue, second table)."""

from typing import Final

from pvtrace.model.stops import Why
from tests.differences.guests import UNSEEN, Case
from tests.differences.ten import CAUGHT

ENTRY: Final = """
; What a kernel does natively to write an entry: EAX table, EDX index, ECX low, [ESP] high.
%macro STORE_ENTRY 0
    mov [eax + 8 * edx], ecx
    mov ecx, [esp]
    mov [eax + 8 * edx + 4], ecx
%endmacro
; An entry of the GDT: selector, low, high.
%macro WRITE 3
    push dword %3
    mov eax, gdt
    mov edx, (%1) >> 3
    mov ecx, %2
    SITE V_WRITEGDT, STORE_ENTRY
    add esp, 4
%endmacro
"""

STATED: Final = (
    Case(
        "a task gate on the double fault",
        """
%define TASK (MEMORY + 0x100)
start:
    mov dword [gdt + FREE], (TASK & 0xFFFF) << 16 | 0x67
    mov dword [gdt + FREE + 4], 0x8900 | TASK >> 16
    mov dword [TASK + 0x1C], DIRECTORY
    mov dword [TASK + 0x20], handler
    mov dword [TASK + 0x24], 2
    mov dword [TASK + 0x38], STACK - 0x800
    mov dword [TASK + 0x48], KDATA
    mov dword [TASK + 0x4C], KCODE
    mov dword [TASK + 0x50], KDATA
    mov dword [TASK + 0x54], KDATA
    mov dword [TASK + 0x64], 0x680000
    mov dword [IDT + 8 * 8], FREE << 16
    mov dword [IDT + 8 * 8 + 4], 0x8500
    mov dword [TABLE + (MEMORY >> 10) + 16], 0
    mov esp, MEMORY + 0x5000
here:
    int3                        ; its frame is a page fault, whose frame is one as well
handler:
    pop eax
    REPORT eax
    str eax
    REPORT eax
    movzx eax, word [TASK]
    REPORT eax
    mov eax, [TSS + 0x20]
    sub eax, here
    REPORT eax
    pushf
    pop eax
    and eax, 0x4000             ; NT: this task was called
    REPORT eax
    push dword 0
    popf
    FINISH
""",
        native=(0, 0x60, 0x28, 0, 0x4000),
        vmi=Why.UNSUPPORTED,
        options=("PAGING",),
    ),
    Case(
        "M1 the ring of CS across Init",
        """
before_init:
    mov [MEMORY], cs
    mov [MEMORY + 4], ss
    ret
start:
    REPORT_AT [MEMORY]
    REPORT_AT [MEMORY + 4]
    mov eax, cs
    REPORT eax
    mov eax, ss
    REPORT eax
    FINISH
""",
        native=(8, 0x10, 8, 0x10),
        vmi=(8, 0x10, 9, 0x11),
        options=("BEFORE_INIT",),
    ),
    Case(
        "M2 a descriptor is not what was written",
        ENTRY
        + """
start:
    WRITE FREE, 0x0000FFFF, 0x00CF9300
    REPORT_AT [gdt + FREE]
    REPORT_AT [gdt + FREE + 4]
    FINISH
""",
        native=(0x0000FFFF, 0x00CF9300),
        vmi=(0x0000BFFF, 0x00CFB300),
    ),
    Case(
        "M3 a limit that wraps around is clipped",
        """
start:
    mov eax, WRAPPING
    lsl ecx, eax
    REPORT ecx
    FINISH
""",
        native=(0xFFFFFFFF,),
        vmi=(0x44FFFFFF,),
    ),
    Case(
        "M4 a live segment changes with its descriptor",
        ENTRY
        + """
start:
    mov dword [MEMORY], 1
    mov dword [MEMORY + 0x1000], 2
    mov ax, SPARE
    mov fs, ax
    WRITE SPARE, 0x1000FFFF, 0x00CF9300
    mov eax, [fs:MEMORY]
    REPORT eax
    FINISH
""",
        native=(1,),
        vmi=(2,),
    ),
    Case(
        "M4 SetGDT loads all segment registers anew",
        """
start:
    mov dword [MEMORY], 1
    mov dword [MEMORY + 0x1000], 2
    mov ax, SPARE
    mov fs, ax
    mov byte [gdt + SPARE + 3], 0x10
    mov eax, gdt_register
    SITE V_SETGDT, lgdt [eax]
    mov eax, [fs:MEMORY]
    REPORT eax
    FINISH
""",
        native=(1,),
        vmi=(2,),
    ),
    Case(
        "M5 a live segment whose descriptor goes becomes null",
        ENTRY
        + """
start:
    mov ax, SPARE
    mov gs, ax
    WRITE SPARE, 0, 0
    mov eax, gs
    REPORT eax
    FINISH
""",
        native=(0x58,),
        vmi=(0,),
    ),
    Case(
        "M6 the top of linear space is taken",
        """
start:
    CATCH caught
    mov dword [HIGH_TABLE + 4 * 0x3FE], MEMORY + 7
    mov dword [MEMORY], 0x1234
site:
    mov eax, [0xFFFFE000]
    REPORT eax
    FINISH
"""
        + CAUGHT,
        native=(0x1234, UNSEEN, UNSEEN, UNSEEN),
        vmi=(UNSEEN, 13, 0, 0),
        options=("PAGING",),
    ),
    Case(
        "M7 paging cannot be turned off",
        """
start:
    mov eax, cr0
    and eax, 0x7FFFFFFF
    SITE V_SETCR0, mov cr0, eax
    mov eax, cr0
    shr eax, 31
    REPORT eax
    FINISH
""",
        native=(0,),
        vmi=(1,),
        options=("PAGING",),
    ),
    Case(
        "M8 no shadow behind the call that enables interrupts",
        """
start:
    PIC 0xFE
    PIT_ONCE
    AWAIT_PIT
    CATCH interrupted
site:
    SITE V_ENABLE, sti
    mov eax, 2
    FINISH
interrupted:
    REPORT_AT [trap.vector]
    mov eax, [trap.eip]
    sub eax, site
    REPORT eax
    FINISH
""",
        native=(0x20, 2),  # STI and one NOP
        vmi=(0x20, 5),  # the call
    ),
    Case(
        "M9 IRET leaves IOPL alone",
        """
start:
    CATCH caught
    TO_USER site, 0x3202
site:
    out 0x80, al
    REPORT 1
    int 0x31
"""
        + CAUGHT,
        native=(1, UNSEEN, UNSEEN, UNSEEN),
        vmi=(UNSEEN, 13, 0, 0),
    ),
    Case(
        "M12 no non-maskable interrupt",
        """
start:
    CATCH caught
    mov dword [TABLE + (MEMORY >> 10)], 0xFEE0001B
    mov dword [MEMORY + 0x310], 0
    mov dword [MEMORY + 0x300], 0x4400
    mov ecx, 1000
.wait:
    dec ecx
    jnz .wait
    REPORT 1
    FINISH
caught:
    REPORT_AT [trap.vector]
    FINISH
""",
        native=(UNSEEN, 2),
        vmi=(1, UNSEEN),
        options=("PAGING",),
    ),
    Case(
        "M13 ports of user mode by the TSS's bitmap",
        """
start:
    and byte [BITMAP + 0x80 / 8], 0xFE
    CATCH caught
    TO_USER user
user:
    out 0x80, al
    REPORT 1
site:
    out 0x81, al
    REPORT 1
    int 0x31
"""
        + CAUGHT,
        native=(1, UNSEEN, 13, 0, 0),
        vmi=(1, UNSEEN, 13, 0, 0),
    ),
    Case(
        "M15 Halt enables interrupts",
        """
start:
    PIC 0xFE
    PIT_ONCE
    CATCH interrupted
    cli
    SITE V_HALT, hlt
    FINISH
interrupted:
    REPORT_AT [trap.vector]
    FINISH
""",
        native=Why.IDLE,
        vmi=(0x20,),
        not_in_qemu="a CPU that halts with interrupts off does so for ever",
    ),
    Case(
        "M16 CPUID by instruction and by call",
        """
start:
    mov eax, 1
    cpuid
    mov [MEMORY], eax
    mov [MEMORY + 4], edx
    mov eax, 1
    SITE V_CPUID, cpuid
    sub eax, [MEMORY]
    sub edx, [MEMORY + 4]
    REPORT eax
    REPORT edx
    FINISH
""",
        native=(0, 0),
        vmi=(0, 0),  # this hypervisor's CPUID traps, so that the two never differ
    ),
)
