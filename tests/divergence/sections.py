"""A tiny kernel for programs in ring 3 that switch interrupts off, with a second program that it can switch to.

The same binary runs natively, where CLI and STI of ring 3 work, and under VMI, where they do nothing.
"""

from typing import Final

from tests.differences.guests import Case

_KERNEL: Final = """
%define OTHER_STACK (MEMORY + 0x2000)
%define OTHER_USER_STACK (MEMORY + 0x4000)
%define SYSENTER_STACK (MEMORY + 0x1000)

; One timer interrupt, and more than enough time for it to come.
%macro TICK 0
    PIT_ONCE
    mov ecx, 2000
%%again:
    loop %%again
%endmacro

; The kernel's stack of whoever runs now.
%macro KERNEL_STACK 1
    mov eax, TSS
    mov edx, %1
    SITE V_KERNELSTACK, {{mov [TSS + 4], edx}}
%endmacro

%macro SET_MSR 2
    mov ecx, %1
    mov eax, %2
    xor edx, edx
    SITE V_WRMSR, wrmsr
%endmacro

%macro STI_SYSEXIT 0
    sti
    sysexit
%endmacro

%macro BACK 0
    SITE V_IRET, iretd
%endmacro

start:
    GATE 6, on_undefined
    GATE 0x20, on_tick
    GATE 0x32, back             ; a system call that does nothing
    GATE 0x33, on_long_call
    mov word [IDT + 8 * 0x33 + 4], 0xEF00       ; a trap gate, as Linux has for INT 80h
    GATE 0x34, yield            ; the other program runs, until it says so by INT 35h
    GATE 0x35, come_back
    GATE 0x36, on_kill
    SET_MSR 0x174, KCODE
    SET_MSR 0x175, SYSENTER_STACK
    SET_MSR 0x176, on_sysenter
    PIC 0xFE
    {kernel}
    USER_IOPL {iopl}
    TO_USER user, 0x{iopl}202

on_tick:
    push eax
    EOI
    pop eax
    jmp [ss:after_tick]
after_tick:
    dd back
on_undefined:
    add dword [esp], 2
back:
    BACK
on_long_call:
    push ecx
    TICK
    pop ecx
    BACK
on_sysenter:
    mov edx, behind_sysenter
    SITE V_SYSEXIT, STI_SYSEXIT
yield:
    pushad
    mov [ss:waiting], esp
    KERNEL_STACK OTHER_STACK
    mov esp, OTHER_STACK
    TO_USER other, 0x{iopl}202
waiting:
    dd 0
come_back:
    KERNEL_STACK STACK
    mov esp, [ss:waiting]
    popad
    BACK
on_kill:                        ; nobody returns to the first program, and the other one takes its stack
    mov esp, STACK
    TO_USER other, 0x{iopl}202

fast_call:
    mov ecx, esp
    sysenter
behind_sysenter:
    ret
other:
    mov esp, OTHER_USER_STACK
    {other}
    int 0x35
    int 0x30
user:
    {program}
    int 0x30
"""


def guest(program: str, *, other: str = "nop", kernel: str = "", iopl: int = 3) -> Case:
    """`program`, `other`: the two programs of ring 3; `kernel`: what the kernel does before it starts the first."""
    source = _KERNEL.format(program=program, other=other, kernel=kernel, iopl=iopl)
    return Case("section", source, native=(), vmi=())


TICKS_YIELD: Final = "mov dword [after_tick], yield"
"""For `kernel`: whenever a timer interrupt comes, the other program runs."""
