"""Guests that use a disk, in nasm behind the prelude of small.py."""

from typing import Final

MACROS: Final = """
%macro SET 2                    ; port, value
    mov dx, %1
    mov al, %2
    out dx, al
%endmacro
%macro COMMAND 3                ; command, LBA, count
    SET 0x1F2, %3
    SET 0x1F3, (%2) & 0xFF
    SET 0x1F4, (%2) >> 8 & 0xFF
    SET 0x1F5, (%2) >> 16 & 0xFF
    SET 0x1F6, 0xE0 | (%2) >> 24
    SET 0x1F7, %1
%endmacro
%macro SECTORS_IN 1             ; to EDI
    mov dx, 0x1F0
    mov ecx, 256 * (%1)
    cld
    rep insw
%endmacro
%macro SECTORS_OUT 1            ; from ESI
    mov dx, 0x1F0
    mov ecx, 256 * (%1)
    cld
    rep outsw
%endmacro
"""

COPIES: Final = (
    MACROS
    + """
start:                          ; sector 1 to sector 9, waiting for the interrupts
    LOAD_IDT
    GATE 0x2E, on_disk
    PIC 0xFB
    mov al, 0xBF
    out 0xA1, al
    INIT
    xor ebx, ebx
    sti
    COMMAND 0x20, 1, 1
.read:
    cmp ebx, 1
    jb .read
    mov edi, MEMORY
    SECTORS_IN 1
    mov esi, MEMORY
    COMMAND 0x30, 9, 1
    SECTORS_OUT 1
.written:
    cmp ebx, 2
    jb .written
    EXIT 0
on_disk:
    push eax
    push edx
    mov dx, 0x1F7
    in al, dx
    inc ebx
    mov al, 0x20
    out 0xA0, al
    out 0x20, al
    pop edx
    pop eax
    RETURN
"""
)
"""Copies a sector; EBX counts the interrupts."""
