"""Hardware task switches by native guests: a double fault's task gate, far CALL and JMP, and IRET back.

Each guest looks at what it gets and ends with code 0 if it is right; under QEMU it must, too.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from pvtrace.model.events import How, Kind
from pvtrace.model.stops import Why
from tests.machine.small import PRELUDE, Ran, run

TASKS = """
%define MINE 0x18
%define OTHER 0x20
%define GATE_TO_OTHER 0x28
align 8
gdt:
    dq 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
    dq 0, 0, 0x0000850000200000
gdt_register:
    dw $ - gdt - 1
    dd gdt
my_tss:
    times 26 dd 0
other_tss:
    times 26 dd 0
%macro TSS 2
    mov word [gdt + %1], 103
    mov eax, %2
    mov [gdt + %1 + 2], ax
    shr eax, 16
    mov [gdt + %1 + 4], al
    mov byte [gdt + %1 + 5], 0x89
%endmacro
%macro PREPARE 1                        ; the other task begins there
    lgdt [gdt_register]
    TSS MINE, my_tss
    TSS OTHER, other_tss
    mov ax, MINE
    ltr ax
    mov dword [other_tss + 0x20], %1
    mov dword [other_tss + 0x24], 2
    mov dword [other_tss + 0x38], 0x7000
    mov dword [other_tss + 0x3C], 0x55AA
    mov dword [other_tss + 0x48], 0x10
    mov dword [other_tss + 0x4C], 8
    mov dword [other_tss + 0x50], 0x10
    mov dword [other_tss + 0x54], 0x10
%endmacro
"""

CALL = """
start:
    PREPARE other
    mov ebx, 0x1234
    stc
    call {selector}:0
    jnc bad
    cmp ebx, 0x1234
    jne bad
    str ax
    cmp ax, MINE
    jne bad
    mov eax, cr0
    test al, 8                          ; TS
    jz bad
    call {selector}:0                   ; once more: it goes on behind its IRET
    EXIT 0
other:
    cmp ebp, 0x55AA
    jne bad
    pushf
    test dword [esp], 0x4000            ; NT
    jz bad
    cmp word [other_tss], MINE
    jne bad
    mov ebx, 0
    iretd
    cmp ebx, 0
    jne bad
    iretd
bad:
    EXIT 1
"""

JUMP = """
start:
    PREPARE other
    jmp OTHER:0
    EXIT 0
other:
    test byte [gdt + MINE + 5], 2       ; available again
    jnz bad
    jmp MINE:0
bad:
    EXIT 1
"""

DOUBLE_FAULT = """
start:
    LOAD_IDT
    PREPARE handler
    mov dword [IDT + 8 * 8], GATE_SELECTOR << 16
    mov dword [IDT + 8 * 8 + 4], 0x8500
    INIT
    mov esp, 0x200000
crash:
    int 0x30                            ; its gate is empty: #GP, whose gate is empty: #DF
    EXIT 2
handler:
    cmp dword [esp], 0                  ; the error code
    jne bad
    cmp dword [my_tss + 0x20], crash
    jne bad
    cmp dword [my_tss + 0x38], 0x200000
    jne bad
    EXIT 0
bad:
    EXIT 1
""".replace("GATE_SELECTOR", "OTHER")


SOFTWARE = """
start:
    LOAD_IDT
    PREPARE other
    mov dword [IDT + 8 * 0x30], OTHER << 16
    mov dword [IDT + 8 * 0x30 + 4], 0x8500
    xor ebx, ebx
    int 0x30
    int 0x30                            ; the task goes on behind its IRET
    cmp ebx, 0                          ; registers are each task's own
    jne bad
    EXIT 0
other:
    inc ebx
    iretd
    inc ebx
    cmp ebx, 2
    jne bad
    iretd
bad:
    EXIT 1
"""

GUESTS = {
    "software interrupt": SOFTWARE,
    "call": CALL.format(selector="OTHER"),
    "call by a gate": CALL.format(selector="GATE_TO_OTHER"),
    "jump": JUMP,
    "double fault": DOUBLE_FAULT,
}
MULTIBOOT = """org 0x100000
    dd 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000)
    dd 0x100000, 0x100000, 0, 0x120000, 0x100054
    times 0x54 - ($ - $$) db 0
"""
"""In place of the prelude's ORG: a header that QEMU loads by."""


@pytest.mark.parametrize("source", GUESTS.values(), ids=GUESTS.keys())
def test_qemu_agrees(source: str, tmp_path: Path) -> None:
    if shutil.which("qemu-system-i386") is None:
        pytest.skip("qemu-system-i386 is not installed")
    assembly, kernel = tmp_path / "guest.asm", tmp_path / "guest"
    prelude = PRELUDE.replace("org 0x100054", MULTIBOOT)
    assembly.write_text(f"%define PARAVIRTUAL 0\n{prelude}\n{TASKS}\n{source}\n")
    subprocess.run(["nasm", "-f", "bin", "-o", kernel, assembly], check=True)
    command = ["qemu-system-i386", "-kernel", str(kernel), "-display", "none", "-serial", "none", "-monitor", "none"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-no-reboot"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 1  # code 0, as that device says it


def ran(source: str, paravirtual: bool = False) -> Ran:
    return run(TASKS + source, paravirtual=paravirtual)


@pytest.mark.parametrize("selector", ["OTHER", "GATE_TO_OTHER"])
def test_call_and_iret(selector: str) -> None:
    found = ran(CALL.format(selector=selector))
    assert (found.stop.why, found.stop.code) == (Why.EXIT, 0), found.stop
    assert len(found.of(Kind.RETURN)) == 2
    flags = [row["flag"] for row in found.of(Kind.FLAG_TRANSITION) if row["how"] == How.TASK_SWITCH]
    assert flags == [14] * 4
    assert {row["mnemonic"] for row in found.of(Kind.EMULATED) if row["operand"] in (0x20, 0x28)} == {"CALL FAR"}


def test_a_software_interrupt_by_a_task_gate_returns_behind_itself() -> None:
    found = ran(SOFTWARE)
    assert (found.stop.why, found.stop.code) == (Why.EXIT, 0), found.stop
    assert len(found.of(Kind.SOFTWARE_INTERRUPT)) == 2


def test_jump_and_back() -> None:
    found = ran(JUMP)
    assert (found.stop.why, found.stop.code) == (Why.EXIT, 0), found.stop


def test_a_double_fault_by_a_task_gate() -> None:
    found = ran(DOUBLE_FAULT)
    assert (found.stop.why, found.stop.code) == (Why.EXIT, 0), found.stop
    assert found.vectors == [8]


def test_a_double_fault_by_a_task_gate_ends_a_paravirtual_guest() -> None:
    found = ran(DOUBLE_FAULT, paravirtual=True)
    assert found.stop.why is Why.UNSUPPORTED
    assert "#DF has a task gate" in found.stop.detail
    assert found.of(Kind.STOP)
