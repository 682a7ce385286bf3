"""Small guests that together use all that a machine does: paging and rings, interrupts and time, traps, devices."""

from typing import Final

from tests.machine.apic_guests import APIC_GUESTS

INTERRUPTS: Final = """
start:
    LOAD_IDT
    GATE 0x20, on_tick
    PIC 0xFE
    INIT
    PIT 200
    xor ecx, ecx
    sti
.busy:
    inc ebx
    cmp ecx, 5
    jb .busy
    cli
    sti
    hlt
    push ecx
    popf
    EXIT 0
on_tick:
    inc ecx
    EOI
    RETURN
"""
"""The periodic timer interrupts a loop, and a halt."""

TRACED: Final = """
start:
    LOAD_IDT
    GATE 1, on_trap
    GATE 6, on_undefined
    GATE 13, on_protection
    INIT
    pushf
    or dword [esp], 0x100
    popf
    nop
    cpuid
    cli
    sti
    in al, 0x64
    pushf
    pop eax
    mov ecx, 3
    mov edi, MEMORY
    rep stosd
    ud2
    mov eax, cr0
    mov ecx, 0x12345
    rdmsr
    pushf
    and dword [esp], ~0x100
    popf
    EXIT 0
on_trap:
    inc dword [MEMORY + 0x100]
    iretd
on_undefined:
    add dword [esp], 2
    iretd
on_protection:
    add dword [esp + 4], 2
    add esp, 4
    iretd
"""
"""Single-stepped over emulated instructions, faults and REP."""

PAGED: Final = """
start:
    LOAD_IDT
    GATE 14, on_fault
    INIT
    mov edi, MEMORY             ; a directory of one table, in which 4 MiB are mapped but for the last pages
    mov dword [edi], MEMORY + 0x1003
    mov ecx, 1000
    mov eax, 3
    lea edx, [edi + 0x1000]
.map:
    mov [edx], eax
    add eax, 0x1000
    add edx, 4
    loop .map
    mov cr3, edi
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
    mov ecx, 4
    mov esi, 0x3F0000
.touch:
    mov [esi], ecx
    mov byte [.patched + 1], cl
.patched:
    mov bl, 0x55
    add [MEMORY + 0x3000], bl
    add esi, 0x1000
    loop .touch
    EXIT 0
on_fault:                       ; maps the page that was not there
    push eax
    mov eax, cr2
    shr eax, 12
    mov edx, eax
    shl edx, 12
    or edx, 3
    mov [MEMORY + 0x1000 + eax * 4], edx
    pop eax
    add esp, 4
    iretd
"""
"""Demand paging and code that changes itself."""

DEVICES: Final = """
start:
    INIT
    mov dx, 0x3FD
    in al, dx
    mov dx, 0x3F8
    mov esi, text
    mov ecx, 6
    rep outsb
    mov dx, 0x1234
    in eax, dx
    out dx, eax
    in al, 0x71
    mov al, 0xA0
    mov [0xF0000], al
    mov eax, [0xE0000000]
    mov [0xE0000000], eax
    rdtsc
    mov ebp, eax
    EXIT 0
text:
    db 'hello', 10
"""
"""Ports with and without devices, device memory where none is."""

GUESTS: Final = {
    "interrupts": INTERRUPTS,
    "traced": TRACED,
    "paged": PAGED,
    "devices": DEVICES,
    **APIC_GUESTS,
}
