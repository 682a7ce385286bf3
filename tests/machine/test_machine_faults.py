"""Faults within faults, and the single-step trap, natively and under VMI."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.stops import Why
from tests.machine.small import run

BOTH = pytest.mark.parametrize("paravirtual", [False, True])

DOUBLE = """
start:
    LOAD_IDT
    GATE 8, on_double
    INIT
wrong: div dword [zero]            ; #DE has no gate: #GP while delivering it, and both are contributory
    EXIT 1
on_double:
    pop ebx                     ; the error code
    pop esi                     ; where it was
    EXIT 0
zero: dd 0
"""


@BOTH
def test_a_double_fault_has_a_handler(paravirtual: bool) -> None:
    ran = run(DOUBLE, paravirtual=paravirtual)
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0)
    assert ran.vectors == [8]
    (entered,) = ran.of(Kind.EXCEPTION)
    assert entered["error"] == 0
    assert ran.gpr(Gpr.EBX) == 0
    assert ran.gpr(Gpr.ESI) == entered["pc"]
    assert entered["cpl"] == int(paravirtual)


@BOTH
def test_a_fault_in_the_delivery_of_a_double_fault_ends_the_run(paravirtual: bool) -> None:
    ran = run("start:\n LOAD_IDT\n INIT\nwrong: ud2\n EXIT 1", paravirtual=paravirtual)
    assert ran.stop.why is Why.TRIPLE_FAULT
    assert "#GP while delivering #DF" in ran.stop.detail
    assert ran.vectors == []
    assert ran.events[-1].kind is Kind.STOP


@BOTH
def test_without_a_table_the_first_fault_is_the_third(paravirtual: bool) -> None:
    ran = run("start:\n INIT\n lidt [none]\n int3\n EXIT 1\nnone: dw 0\n dd 0", paravirtual=paravirtual)
    assert ran.stop.why is Why.TRIPLE_FAULT


@BOTH
def test_page_fault_in_a_page_fault(paravirtual: bool) -> None:
    """A second page fault while the first is delivered makes a double fault; CR2 is the second one's."""
    source = """
    start:
        LOAD_IDT
        GATE 14, on_page
        GATE 8, on_double
        INIT
        mov edi, MEMORY
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
        or eax, 0x80000000
        mov cr0, eax
        mov ebp, esp
        mov esp, 0x3F0000       ; no stack for any handler
        mov eax, [0x3F1000]
        EXIT 1
    on_page:
    on_double:
        EXIT 2
    """
    ran = run(source, paravirtual=paravirtual)
    assert ran.stop.why is Why.TRIPLE_FAULT  # the double fault has no stack either
    assert ran.machine.cpu.cr(2) == 0x3F0000 - 4


@BOTH
def test_an_exception_that_is_benign_is_followed_by_the_other(paravirtual: bool) -> None:
    """#UD is benign: a #GP while delivering it is just that."""
    source = """
    start:
        LOAD_IDT
        GATE 13, on_protection
        INIT
        ud2
        EXIT 1
    on_protection:
        pop ebx
        EXIT 0
    """
    ran = run(source, paravirtual=paravirtual)
    assert ran.vectors == [13]
    assert ran.gpr(Gpr.EBX) == 6 * 8 + 2 + 1  # the entry of the IDT, by an external event


TRAPPED = """
start:
    LOAD_IDT
    GATE 1, on_trap
    INIT
    xor edi, edi
    pushf
    or dword [esp], 0x100
    popf
    nop                         ; the first trap is behind this
    {instruction}
after:
    pushf
    and dword [esp], ~0x100
    popf
    EXIT 0
on_trap:
    mov eax, [esp]
    mov [MEMORY + edi * 4], eax
    inc edi
    iretd
"""


@BOTH
@pytest.mark.parametrize(
    "instruction",
    ["nop", "cpuid", "cli", "sti", "in al, 0x64", "out 0x80, al", "mov eax, cr0", "rdtsc", "sgdt [MEMORY + 0x200]"],
)
def test_a_single_step_is_trapped_behind_every_instruction(instruction: str, paravirtual: bool) -> None:
    """Also behind those that are emulated."""
    ran = run(TRAPPED.format(instruction=instruction), paravirtual=paravirtual)
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0)
    count = ran.gpr(Gpr.EDI)
    stops = [ran.word(0x10A000 + 4 * number) for number in range(count)]
    assert count == 5, [hex(stop) for stop in stops]  # nop, the instruction, PUSHF, AND, POPF (which began with TF set)
    assert stops == sorted(set(stops))
    assert ran.machine.system.drs[6] & 1 << 14
    assert ran.vectors == [1] * 5


@BOTH
def test_the_step_of_a_string_instruction(paravirtual: bool) -> None:
    """REP is trapped behind every repetition, with EIP still on it."""
    source = TRAPPED.format(instruction="mov ecx, 3\n mov esi, MEMORY + 0x400\nagain: rep lodsb")
    ran = run(source, paravirtual=paravirtual)
    stops = [ran.word(0x10A000 + 4 * number) for number in range(ran.gpr(Gpr.EDI))]
    again = [stop for stop in stops if stops.count(stop) > 1]
    assert len(again) == 3  # behind the instruction before it, and behind all repetitions but the last
    assert ran.stop.code == 0


@BOTH
def test_a_handler_begins_without_the_trap_flag(paravirtual: bool) -> None:
    ran = run(TRAPPED.format(instruction="nop"), paravirtual=paravirtual)
    assert all(not event["flags"] & 0x100 for event in ran.of(Kind.EXCEPTION))  # type: ignore[operator]
    images = [event["image"] for event in ran.of(Kind.EXCEPTION)]
    assert all(image & 0x100 for image in images[:-1])  # type: ignore[operator]
    assert not images[-1] & 0x100  # type: ignore[operator]
