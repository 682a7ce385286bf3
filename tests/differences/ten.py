"""The ten differences that the proposal lists, each with a guest that shows it (catalogue, first table)."""

from typing import Final

from pvtrace.model.stops import Why
from tests.differences.guests import UNSEEN, Case

CAUGHT: Final = """
caught:
    REPORT_AT [trap.vector]
    REPORT_AT [trap.error]
    mov eax, [trap.eip]
    sub eax, site
    REPORT eax
    FINISH
"""

TEN: Final = (
    Case(
        "1 live carry at the handler's entry",
        """
start:
    GATE 6, handler
    stc
    ud2
handler:
    setc al
    movzx eax, al
    REPORT eax
    mov eax, [esp + 8]
    and eax, 1
    REPORT eax
    FINISH
""",
        native=(1, 1),
        vmi=(0, 1),
    ),
    Case(
        "1 live IF behind an interrupt gate",
        """
start:
    GATE 6, handler
    SITE V_ENABLE, sti
    ud2
handler:
    pushf
    pop eax
    and eax, 0x200
    REPORT eax
    mov eax, [esp + 8]
    and eax, 0x200
    REPORT eax
    FINISH
""",
        native=(0, 0x200),
        vmi=(0x200, 0x200),
    ),
    Case(
        "2 kernel stack with a base",
        """
%define FRAME (MEMORY + 0x800 - 20)
start:
    mov dword [TSS + 8], BASED
    mov dword [TSS + 4], MEMORY + 0x800
    mov eax, TSS
    mov edx, MEMORY + 0x800
    SITE V_KERNELSTACK, nop
    GATE 0x32, handler
    TO_USER user
user:
    int 0x32
behind:
handler:
    xor eax, eax
    cmp dword [FRAME], behind
    sete al
    REPORT eax
    xor eax, eax
    cmp dword [FRAME + 0x1000], behind
    sete al
    REPORT eax
    mov ss, [kernel_ss]
    mov esp, STACK
    FINISH
""",
        native=(0, 1),
        vmi=(1, 0),
    ),
    Case(
        "3 less than 32 bytes at the handler's entry",
        """
start:
    GATE 3, handler
    mov dword [TABLE + (MEMORY >> 10)], 0
    mov esp, MEMORY + 0x1000 + 16
    int3
handler:
    REPORT 1
    mov esp, STACK
    FINISH
""",
        native=(1,),
        vmi=Why.TERMINATED,
        options=("PAGING",),
    ),
    Case(
        "4 a call on a 16-bit stack",
        """
start:
    CATCH caught
    mov eax, [kernel_ss]
    and eax, 3
    or eax, STACK16
    mov ss, ax
    mov esp, 0x6000
site:
    SITE V_DISABLE, cli
    mov ss, [kernel_ss]
    mov esp, STACK
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, UNSEEN, UNSEEN, UNSEEN),
        vmi=(UNSEEN, 13, 0, 0),
    ),
    Case(
        "5 a call without DS",
        """
start:
    CATCH caught
    xor eax, eax
    mov ds, ax
site:
    SITE V_SETCR3, mov cr3, eax
    mov ax, KDATA
    mov ds, ax
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, UNSEEN, UNSEEN, UNSEEN),
        vmi=(UNSEEN, 13, 0, 0),
    ),
    Case(
        "5 the interrupt flag's calls need no DS and ES",
        """
start:
    CATCH caught
    xor eax, eax
    mov ds, ax
    mov es, ax
    SITE V_ENABLE, sti
site:
    SITE V_DISABLE, cli
    mov ax, KDATA
    mov ds, ax
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, UNSEEN, UNSEEN, UNSEEN),
        vmi=(1, UNSEEN, UNSEEN, UNSEEN),
    ),
    Case(
        "6 IRET to user mode with IF clear",
        """
start:
    CATCH back
    TO_USER user, 2
user:
    pushf
    pop eax
    and eax, 0x200
    REPORT eax
    int 0x30
back:
    mov eax, [trap.flags]
    and eax, 0x200
    REPORT eax
    FINISH
""",
        native=(0, 0),
        vmi=(0x200, 0x200),
    ),
    Case(
        "7 CLI of user mode with IOPL 3",
        """
start:
    CATCH back
    USER_IOPL 3
    TO_USER user, 0x3202
user:
    cli
    pushf
    pop eax
    and eax, 0x3200
    REPORT eax
    int 0x30
back:
    mov eax, [trap.flags]
    and eax, 0x3200
    REPORT eax
    FINISH
""",
        native=(0x3000, 0x3000),
        vmi=(0x200, 0x3200),
    ),
    Case(
        "8 a fault in a call, at its site",
        """
start:
    CATCH caught
    mov ecx, 0xDEAD
site:
    SITE V_RDMSR, rdmsr
    FINISH
"""
        + CAUGHT,
        native=(13, 0, 0),
        vmi=(13, 0, 0),
        not_in_qemu="TCG ignores the reading of an MSR that does not exist, where hardware raises #GP(0)",
    ),
    Case(
        "9 entering virtual-8086 mode clears SYSENTER_CS",
        """
start:
    CATCH back
    mov byte [0x5000], 0xF4
    mov ecx, 0x174
    mov eax, 0x60
    xor edx, edx
    SITE V_WRMSR, wrmsr
    push dword 0
    push dword 0
    push dword 0
    push dword 0
    push dword 0
    push dword 0x4000
    push dword 0x20202
    push dword 0x500
    push dword 0
    SITE V_IRET, iretd
back:
    REPORT_AT [trap.vector]
    mov eax, [trap.flags]
    and eax, 0x20000
    REPORT eax
    REPORT_AT [trap.cs]
    mov ecx, 0x174
    SITE V_RDMSR, rdmsr
    REPORT eax
    FINISH
""",
        native=(13, 0x20000, 0x500, 0x60),
        vmi=(13, 0x20000, 0x500, 0),
    ),
    Case(
        "10a a 16-bit stack of user mode",
        """
start:
    CATCH back
    push dword USTACK16
    push dword 0xABCD4000
    push dword 0x202
    push dword UCODE
    push dword user
    mov ax, UDATA
    mov ds, ax
    SITE V_IRET, iretd
user:
    mov eax, esp
    REPORT eax
    int 0x30
back:
    FINISH
""",
        native=(0x00124000,),
        vmi=(0xABCD4000,),
    ),
    Case(
        "10b IRET to a stack that is not present",
        """
start:
    CATCH caught
    push dword ABSENT
    push dword USTACK
    push dword 0x202
    push dword UCODE
    push dword site
site:
    SITE V_IRET, iretd
caught:
    REPORT_AT [trap.vector]
    REPORT_AT [trap.error]
    mov eax, [trap.eip]
    sub eax, site
    REPORT eax
    mov eax, [trap.esp]
    sub eax, STACK - 20 - 12
    REPORT eax
    FINISH
""",
        native=(12, 0x50, 0, 0),
        vmi=(12, 0x50, 0, 0),
        not_in_qemu="TCG raises #NP for a stack that is not present, where IRET raises #SS (SDM volume 2, IRET)",
    ),
)
