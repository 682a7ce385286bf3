"""Small guests that drive the local APIC and the IO-APIC, natively and under VMI."""

from typing import Final

MAP: Final = """
%define IOAPIC 0x800000
%define APIC 0xA00000
%macro MAP 0                    ; pages of 4 MiB: memory as it is, and FEC00000h at 800000h
    mov edi, MEMORY
    mov dword [edi], 0x83
    mov dword [edi + 8], 0xFEC00083
    mov cr3, edi
    mov eax, cr4
    or eax, 0x10
    mov cr4, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
%endmacro
%macro REDIRECT 2               ; low word of a redirection entry; to APIC 0
    mov dword [IOAPIC], 0x11 + 2 * (%1)
    mov dword [IOAPIC + 0x10], 0
    mov dword [IOAPIC], 0x10 + 2 * (%1)
    mov dword [IOAPIC + 0x10], %2
%endmacro
%macro APIC_EOI 0
    mov dword [APIC + 0xB0], 0
%endmacro
"""

BOTH_APICS: Final = (
    MAP
    + """
start:
    LOAD_IDT
    GATE 0x30, on_timer
    GATE 0x31, on_pit
    GATE 0x42, on_self
    PIC 0xFF
    INIT
    MAP
    mov dword [APIC + 0xF0], 0x1FF
    mov dword [APIC + 0x3E0], 0xB
    mov dword [APIC + 0x320], 0x20030
    mov dword [APIC + 0x380], 3000
    REDIRECT 2, 0x31
    PIT 100
    xor ebx, ebx
    xor ecx, ecx
    xor esi, esi
    sti
.busy:
    inc ebp
    cmp ecx, 3
    jb .busy
    cmp ebx, 3
    jb .busy
    mov dword [APIC + 0x300], 0x40042
    cmp esi, 1
    jne .bad
    cli
    mov dword [APIC + 0x320], 0x10030
    REDIRECT 2, 0x10031
    mov dword [APIC + 0x320], 0x30
    mov dword [APIC + 0x380], 5000
    xor ecx, ecx
    sti
    hlt
    cmp ecx, 1
    jne .bad
    EXIT 0
.bad:
    EXIT 1
on_timer:
    inc ecx
    APIC_EOI
    RETURN
on_pit:
    inc ebx
    APIC_EOI
    RETURN
on_self:
    inc esi
    APIC_EOI
    RETURN
"""
)
"""The APIC's timer and the PIT through the IO-APIC interrupt a loop; a self-IPI; a one-shot ends a halt."""

LEVEL: Final = (
    MAP
    + """
start:
    LOAD_IDT
    GATE 0x44, on_uart
    PIC 0xFF
    INIT
    MAP
    REDIRECT 4, 0x8044
    xor esi, esi
    mov edi, MEMORY + 0x2000
    sti
    mov dx, 0x3F9
    mov al, 2
    out dx, al                  ; THRE: the line rises
    nop
    cmp esi, 2
    jne .bad
    EXIT 0
.bad:
    EXIT 1
on_uart:
    mov dword [IOAPIC], 0x18
    mov eax, [IOAPIC + 0x10]
    mov [edi], eax
    inc esi
    cmp esi, 1
    je .again                   ; ended with the line still up: it comes again
    mov dx, 0x3FA
    in al, dx
.again:
    APIC_EOI
    mov eax, [IOAPIC + 0x10]
    mov [edi + 4], eax
    add edi, 8
    RETURN
"""
)
"""A level-triggered interrupt comes until its line drops."""

APIC_GUESTS: Final = {"apics": BOTH_APICS, "level": LEVEL}
