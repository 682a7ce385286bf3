"""Instructions of the same kind that the proposal does not list (catalogue, third table, second part)."""

from typing import Final

from tests.differences.guests import UNSEEN, Case
from tests.differences.sensitive import NOT_CAUGHT
from tests.differences.ten import CAUGHT

ALSO_SENSITIVE: Final = (
    Case(
        "RDTSC by instruction and by call run evenly",
        """
start:
    rdtsc
    mov ebx, eax
    SITE 33, rdtsc
    cmp eax, ebx
    setae al
    movzx eax, al
    REPORT eax
    FINISH
""",
        native=(1,),
        vmi=(1,),  # this hypervisor's RDTSC traps, so that the two are one clock
    ),
    Case(
        "RDPMC by instruction and by call",
        """
start:
    xor ecx, ecx
    rdpmc
    mov ebx, eax
    SITE 32, rdpmc
    sub eax, ebx
    REPORT eax
    FINISH
""",
        native=(0,),
        vmi=(0,),
        not_in_qemu="TCG has no performance counters: RDPMC is an undefined opcode there",
    ),
    Case(
        "SMSW",
        """
start:
    mov eax, cr0
    or eax, 8
    mov cr0, eax
    smsw ecx
    and ecx, 0xF
    REPORT ecx
    clts
    smsw ecx
    and ecx, 0xF
    REPORT ecx
    FINISH
""",
        native=(9, 1),
        vmi=(9, 1),  # this hypervisor keeps no bits of its own in CR0
    ),
    Case(
        "VERR and VERW of a descriptor whose DPL nobody raised",
        """
start:
    mov byte [gdt + SPARE + 5], 0x93
    mov eax, SPARE
    verr ax
    setz cl
    verw ax
    setz ch
    movzx ecx, cx
    REPORT ecx
    FINISH
""",
        native=(0x0101,),
        vmi=(0,),
    ),
    Case(
        "RETF to privilege level 0",
        """
start:
    CATCH caught
    push dword KCODE
    push dword there
site:
    retf
there:
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, *NOT_CAUGHT),
        vmi=(UNSEEN, 13, 8, 0),
    ),
    Case(
        "far JMP and CALL with RPL 0",
        """
start:
    jmp KCODE:.there
.there:
    mov eax, cs
    REPORT eax
    call KCODE:.far
    FINISH
.far:
    mov eax, [esp + 4]
    movzx eax, ax
    REPORT eax
    retf
""",
        native=(8, 8),
        vmi=(9, 9),
    ),
    Case(
        "far CALL through a gate",
        """
start:
    call CALL_GATE:0
    REPORT 1
    FINISH
""",
        native=(1,),
        vmi=(1,),
    ),
    Case(
        "MOV to DS of a descriptor whose DPL nobody raised",
        """
start:
    CATCH caught
    mov byte [gdt + SPARE + 5], 0x93
    mov eax, SPARE
site:
    mov ds, ax
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, *NOT_CAUGHT),
        vmi=(UNSEEN, 13, 0x58, 0),
    ),
    Case(
        "INT of the kernel through a gate of DPL 0",
        """
start:
    GATE 0x33, handler
    mov byte [IDT + 8 * 0x33 + 5], 0x8E
    int 0x33
handler:
    REPORT 1
    FINISH
""",
        native=(1,),
        vmi=(1,),  # delivery reads the guest's gates, and for those the kernel is at level 0
    ),
    Case(
        "SYSENTER of the kernel",
        """
start:
    xor edx, edx
    mov ecx, 0x174
    mov eax, KCODE
    wrmsr
    inc ecx
    mov eax, STACK - 0x100
    wrmsr
    inc ecx
    mov eax, handler
    wrmsr
    sysenter
handler:
    mov eax, cs
    REPORT eax
    mov eax, ss
    REPORT eax
    sub esp, STACK - 0x100
    REPORT esp
    FINISH
""",
        native=(8, 0x10, 0),
        vmi=(9, 0x11, 0),
    ),
)
