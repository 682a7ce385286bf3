"""One guest for each freedom that the proposal leaves: it lives with the kind end, and the harsh one hurts it.

Exit code 0: all was as the guest had hoped.
"""

from typing import Final

COMMON: Final = """
%define USER_CS 0x1B
%define USER_SS 0x23
%define PAGE 0x3F0000
%define ENTRY (MEMORY + 0x1000 + 4 * (PAGE >> 12))
%define OLD_FRAME 0x3F1000
%define NEW_FRAME 0x3F2000
; VMI 3.0 reaches Init where 13.x does, and call n here:
%define V3(n) (ROM + 0x100 + 16 * (n))
gdt:
    dq 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF
    dq 0x0000F3000000FFFF           ; 28: a 16-bit stack of privilege level 3
    dq 0x00CF73000000FFFF           ; 30: a user stack that is not present
gdt_register:
    dw $ - gdt - 1
    dd gdt

%macro LOAD_GDT 0
    lgdt [gdt_register]
    jmp 8:%%here
%%here:
%endmacro

; Identity maps 4 MiB but for PAGE.
%macro PAGING 0
    mov edi, MEMORY
    mov dword [edi], MEMORY + 0x1003
    mov ecx, 1024
    mov eax, 3
    xor edx, edx
%%map:
    mov [MEMORY + 0x1000 + edx * 4], eax
    add eax, 0x1000
    inc edx
    loop %%map
    mov dword [ENTRY], 0
    mov cr3, edi
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
%endmacro

%macro PASS_IF 1
    j%1 good
    EXIT 1
%endmacro

good:
    EXIT 0
"""

FLAGS: Final = """
start:
    LOAD_IDT
    GATE 6, on_undefined
    INIT
    stc
    ud2
on_undefined:
    PASS_IF c
"""
"""A handler believes the live carry flag of the code that faulted."""

STACK32: Final = """
start:
    LOAD_IDT
    GATE 3, on_breakpoint
    PAGING
    INIT
    mov esp, PAGE + 0x1000 + 16
    int3
on_breakpoint:
    cmp esp, PAGE + 0x1000 + 4
    PASS_IF e
"""
"""A trap is taken on the last bytes of a stack; its handler pushes nothing."""

FAULT_EIP: Final = """
start:
    LOAD_IDT
    GATE 13, on_protection
    INIT
    mov ecx, 0xDEAD
site:
    call VMI(7)                     ; RDMSR
    EXIT 1
on_protection:
    cmp dword [esp + 4], site
    PASS_IF e
"""
"""An exception table knows the site of an RDMSR that may fault."""

STACK16: Final = """
start:
    LOAD_GDT
    INIT
    mov eax, 0x3000
    call VMI(71)                    ; SetIOPLMask, for the exit port
    push dword 0x2B
    push dword 0xABCD9000
    push dword 0x202
    push dword USER_CS
    push dword user
    call V_IRET
user:
    cmp esp, 0xABCD9000
    PASS_IF e
"""
"""A user program with a 16-bit stack looks at all of ESP."""

IRET_FAULT: Final = """
start:
    LOAD_GDT
    LOAD_IDT
    GATE 12, on_stack
    INIT
    push dword 0x33                 ; not present
    push dword 0x9000
    push dword 0x202
    push dword USER_CS
    push dword good
    mov ebp, esp
site:
    call V_IRET
on_stack:
    cmp dword [esp], 0x30
    jne bad
    cmp dword [esp + 4], site
    jne bad
    lea eax, [esp + 16]
    cmp eax, ebp
    PASS_IF e
bad:
    EXIT 2
"""
"""A kernel catches the fault of its own return to user mode, to end the program."""

_DEFER: Final = """
start:
    PAGING
    mov dword [OLD_FRAME], 0x01D
    mov dword [NEW_FRAME], 0x2E3
    mov dword [ENTRY], OLD_FRAME | 3
    INIT
    mov ebx, [PAGE]
    mov eax, NEW_FRAME | 3
    mov edx, ENTRY
    mov ecx, PAGE | 0x31            ; PT, CURRENT_AS, DEFER
    call VMI(86)                    ; SetPxE
    {between}
    cmp dword [PAGE], 0x2E3
    PASS_IF e
"""

DEFER: Final = _DEFER.format(between="")
"""A deferred update of a page table is used without any flush."""

DEFER_FLUSHED: Final = {
    "InvalPage": _DEFER.format(between="mov eax, PAGE\ncall VMI(55)"),
    "InvalPage, further in": _DEFER.format(between="mov eax, PAGE + 0x123\ncall VMI(55)"),
    "FlushTLB": _DEFER.format(between="mov eax, 1\ncall VMI(56)"),
    "SetCR3": _DEFER.format(between="mov eax, MEMORY\ncall VMI(22)"),
    "mov cr3": _DEFER.format(between="mov eax, MEMORY\nmov cr3, eax"),
    "invlpg": _DEFER.format(between="invlpg [PAGE]"),
    "FlushDeferredCalls": _DEFER.format(between="mov eax, 0x80\ncall VMI(57)"),
    "GetPxE": _DEFER.format(between="mov eax, ENTRY\ncall VMI(46)\ncmp eax, NEW_FRAME | 3\njne start"),
    "SetPxE of it": _DEFER.format(
        between="mov eax, NEW_FRAME | 3\nmov edx, ENTRY\nmov ecx, 1\ncall VMI(86)",
    ),
    "UpdatePxE by a later store": _DEFER.format(between="mov dword [ENTRY], NEW_FRAME | 3"),
}
"""What makes the update visible, whatever the end."""

DEFER_OTHER: Final = _DEFER.format(between="mov eax, PAGE + 0x1000\ncall VMI(55)")
"""Another page is invalidated."""

LAZY_MMU: Final = """
start:
    LOAD_IDT
    GATE 14, on_fault
    PAGING
    mov dword [NEW_FRAME], 0x2E3
    INIT
    mov eax, 1
    call V3(73)                     ; SetLazyMode(MMU)
    mov eax, NEW_FRAME | 3
    mov edx, ENTRY
    mov ecx, 1
    call V3(38)                     ; SetPxE
    mov ebx, [ENTRY]
    cmp dword [PAGE], 0x2E3         ; was not present: a page fault, which applies it
    jne bad
    cmp dword [ENTRY], (NEW_FRAME | 3 | 0x20)
    jne bad
    mov eax, 0
    call V3(73)
    jmp good
bad:
    EXIT 1
on_fault:
    EXIT 2
"""
"""In lazy mode MMU a page is mapped and used: a page fault ends the waiting, and the guest sees none. EBX: the entry as
the guest reads it between."""

_LAZY_CPU: Final = """
start:
    LOAD_GDT
    mov ax, 0x10
    mov fs, ax
    mov dword [0], 0x111
    mov dword [0x30000], 0x222
    INIT
    mov eax, 2
    call V3(73)                     ; SetLazyMode(CPU)
    mov eax, gdt
    mov edx, 2
    mov ecx, 0x0000FFFF
    mov ebx, 0x00CF9303
    push dword 0x00CF9303           ; the same segment from 30000h on
    call V3(11)                     ; WriteGDTEntry
    add esp, 4
    {between}
    cmp dword [fs:0], 0x222
    PASS_IF e
"""

LAZY_CPU: Final = _LAZY_CPU.format(between="")
"""A segment is used before lazy mode ends."""

LAZY_CPU_ENDED: Final = _LAZY_CPU.format(between="xor eax, eax\ncall V3(73)")

HURT: Final = {
    "flags": FLAGS,
    "stack32": STACK32,
    "fault-eip": FAULT_EIP,
    "stack16": STACK16,
    "iret-fault": IRET_FAULT,
    "defer": DEFER,
}
