"""User CLI and STI at virtual IOPL 3: ignored, as the proposal has it, or honoured, as the alternative would."""

from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.step import Step
from pvtrace.model.stops import Why
from pvtrace.tape.scripted import ScriptedTape
from tests.latitude.guests import COMMON
from tests.machine.small import Ran, demo, machine, run

SECTION = """
start:
    LOAD_GDT
    LOAD_IDT
    GATE 0x20, on_tick
    GATE 0x80, on_call
    PIC 0xFE
    INIT
    PIT 1000
    mov eax, 0x3000
    call VMI(71)                    ; SetIOPLMask
    mov dword [MEMORY + 0x508], 0x10
    mov eax, MEMORY + 0x500
    mov edx, 0x7000
    call VMI(19)                    ; UpdateKernelStack
    mov ax, USER_SS
    mov ds, ax
    mov es, ax
    push dword USER_SS
    push dword 0x110000
    push dword 0x202
    push dword USER_CS
    push dword user
    call V_IRET
on_tick:
    inc dword [MEMORY]
    EOI
    RETURN
on_call:                            ; the kernel, entered with IF as the user has it
    RETURN
user:
    {program}
    EXIT 0
"""

LOOP = "mov ecx, 1000000\n%%again: loop %%again\n"
MACROS = f"""
%macro LONG 0
    {LOOP}
%endmacro
"""

PROGRAM = """
    cli
    mov dword [MEMORY], 0
    LONG
    mov ebx, [MEMORY]
    int 0x80
    LONG
    add ebx, [MEMORY]               ; what came inside the section, also behind a system call
    sti
    LONG
    mov edx, [MEMORY]
"""
"""The program of the discussion: a section that no interrupt may enter, and then all is as before."""

NESTED = """
    pushf
    cli
    pushf
    cli
    popf
    mov dword [MEMORY], 0
    popf
    LONG
    mov ebx, [MEMORY]
    sti
    LONG
    mov edx, [MEMORY]
"""
"""Nested sections that save and restore the flags."""


def ran(program: str, user_if: bool) -> Ran:
    return run(MACROS + COMMON + SECTION.format(program=program), user_if=user_if, limit=Step(20_000_000))


def inside_and_behind(found: Ran) -> tuple[int, int]:
    assert (found.stop.why, found.stop.code) == (Why.EXIT, 0), found.stop
    return found.gpr(Gpr.EBX), found.gpr(Gpr.EDX)


def test_ignored_a_section_protects_nothing() -> None:
    inside, behind = inside_and_behind(ran(PROGRAM, user_if=False))
    assert inside > 0
    assert behind > 0


def test_honoured_the_program_works() -> None:
    found = ran(PROGRAM, user_if=True)
    inside, behind = inside_and_behind(found)
    assert inside == 0
    assert behind > 0
    assert found.notes == []
    interrupts = {row["cpl"] for row in found.of(Kind.INTERRUPT)}
    assert interrupts == {1}


def test_ignored_nested_sections_end() -> None:
    found = ran(NESTED, user_if=False)
    assert inside_and_behind(found)[0] > 0
    assert found.notes == []


def test_honoured_nested_sections_leave_interrupts_off_and_it_is_said() -> None:
    found = ran(NESTED, user_if=True)
    inside, behind = inside_and_behind(found)
    assert inside == 0
    assert behind > 0
    notes = found.of(Kind.NOTE)
    assert len(notes) == 2, "once for each POPF"
    assert all("silently ignored" in str(row["text"]) for row in notes)
    assert all(row["cpl"] == 3 and row["step"] for row in notes)


def test_the_demo_says_so_too() -> None:
    tape = ScriptedTape(())
    built = machine(demo("userland"), tape, "13.3", ram=16 << 20, user_if=True)
    stop = built.run(Step(60_000_000))
    assert stop.why is Why.SHUTDOWN
    said = b"".join(event.args[0] for event in tape.events if event.kind is Kind.CONSOLE_OUT)  # type: ignore[misc]
    assert b"no timer interrupt came inside the section" in said
    assert [event.kind for event in tape.events].count(Kind.NOTE) == 3
