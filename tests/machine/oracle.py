"""Guests that tell what they see as words on the debug console, here and under QEMU."""

import subprocess
from pathlib import Path
from typing import Final

from pvtrace.model.events import Kind
from tests.machine.small import Ran

PROLOGUE: Final = """
align 4
dd 0x1BADB002, 0, -0x1BADB002
say:                            ; EAX to the debug console
    mov ecx, 4
.byte:
    out 0xE9, al
    shr eax, 8
    loop .byte
    ret
%macro SAY 1
    mov eax, %1
    call say
%endmacro
%macro SAY_PORT 1
    xor eax, eax
    in al, %1
    call say
%endmacro
%macro WRITE 2
    mov dword [0xFEE00000 + (%1)], %2
%endmacro
%macro APIC_SAY 1
    SAY [0xFEE00000 + (%1)]
%endmacro
%macro REDIRECTION 2
    mov dword [0xFEC00000], %1
    mov dword [0xFEC00010], %2
    SAY [0xFEC00010]
%endmacro
%macro INDEXED 3                ; index port, index, value
    mov dx, %1
    mov al, %2
    out dx, al
    inc dx
    mov al, %3
    out dx, al
    xor eax, eax
    in al, dx
    call say
%endmacro
%macro OUTB 2
    mov al, %2
    out %1, al
%endmacro
%macro KEYBOARD 1               ; a byte to the keyboard; says the two bytes that come first
    OUTB 0x60, %1
    call wait_keyboard
    SAY_PORT 0x60
%endmacro
wait_keyboard:
    in al, 0x64
    test al, 1
    jz wait_keyboard
    ret
"""


def said(ran: Ran) -> bytes:
    """All that a guest said here."""
    words = b""
    for row in ran.of(Kind.CONSOLE_OUT):
        assert isinstance(row["data"], bytes)
        words += row["data"]
    return words


def in_qemu(guest: bytes, folder: Path, *options: str) -> bytes:
    """All that it says under QEMU, where it has to end well, too."""
    path, words = folder / "guest.elf", folder / "said"
    path.write_bytes(guest)
    command = ["qemu-system-i386", "-kernel", str(path), "-display", "none", "-serial", "none", "-monitor", "none"]
    command += ["-m", "64", "-cpu", "qemu32", "-no-reboot", "-debugcon", f"file:{words}"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4", *options]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True)
    assert done.returncode == 1, done.stderr.decode()
    return words.read_bytes()
