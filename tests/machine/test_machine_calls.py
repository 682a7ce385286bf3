"""Calls of VMI at the edges: from odd places, before their time, with pointers that lead nowhere."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.stops import Why
from tests.machine.small import ENTRY, run

BOTH = pytest.mark.parametrize("paravirtual", [False, True])
GET_MASK, SET_IDT, INIT = 0xD25, 0xD0A, 0xD04


@BOTH
@pytest.mark.parametrize("instruction", ["db 0x0F, 0x01, 0xC1", "db 0x0F, 0x01, 0xC2", "db 0x0F, 0x01, 0xC3"])
def test_vmcall_outside_of_a_rom_is_no_instruction(instruction: str, paravirtual: bool) -> None:
    source = f"""
    start:
        LOAD_IDT
        GATE 6, on_undefined
        INIT
    here: {instruction}
        EXIT 1
    on_undefined:
        pop ebx
        sub ebx, here
        EXIT 0
    """
    ran = run(source, paravirtual=paravirtual)
    assert ran.stop.code == 0
    assert ran.vectors == [6]
    assert ran.gpr(Gpr.EBX) == 0


def test_a_copy_of_the_rom_works() -> None:
    """Guests copy it into their own memory; the code of an entry point knows itself what it is."""
    source = """
    start:
        mov esi, ROM
        mov edi, MEMORY
        mov ecx, 2048
        cld
        rep movsd
        call MEMORY + 32 * 4
        mov ebx, eax
        call MEMORY + 32 * 35
        call MEMORY + 32 * 37
        mov esi, eax
        mov eax, 37
        call MEMORY + 32 * 85
        mov ebp, eax
        mov edi, edx
        EXIT 0
    """
    ran = run(source)
    assert ran.stop.code == 0
    assert (ran.gpr(Gpr.EBX), ran.gpr(Gpr.ESI)) == (0, 0x200)
    assert (ran.gpr(Gpr.EBP), ran.gpr(Gpr.EDI)) == (0x10A000 + 32 * 37, 1)


@pytest.mark.parametrize("call", ["V_GETMASK", "V_ENABLE", "VMI(10)", "V_SHUTDOWN"])
def test_a_call_before_init_ends_the_run(call: str) -> None:
    """There is no hypervisor yet that could serve it; who would go on would only fail later."""
    ran = run(f"start:\n call {call}\n EXIT 0")
    assert ran.stop.why is Why.TERMINATED
    assert "Init" in ran.stop.detail


def test_the_relocation_query_may_come_before_init() -> None:
    ran = run("start:\n mov eax, 35\n call VMI(85)\n mov ebx, eax\n mov esi, edx\n INIT\n mov ecx, cs\n EXIT 0")
    assert ran.stop.code == 0
    assert (ran.gpr(Gpr.EBX), ran.gpr(Gpr.ESI)) == (0xC8000 + 32 * 35, 1)
    assert ran.gpr(Gpr.ECX) & 3 == 1


def test_init_twice_is_once() -> None:
    ran = run("start:\n INIT\n call V_ENABLE\n call V_INIT\n mov ebx, eax\n call V_GETMASK\n mov esi, eax\n EXIT 0")
    assert ran.stop.code == 0
    assert (ran.gpr(Gpr.EBX), ran.gpr(Gpr.ESI)) == (0, 0x200)
    assert len([row for row in ran.of(Kind.HYPERCALL) if row["call"] == INIT]) == 2


PAGED_CALL = """
start:
    LOAD_IDT
    GATE 14, on_page
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
    or eax, 0x80010000
    mov cr0, eax
    {before}
here:
    call {call}
    EXIT 1
on_page:
    mov ebx, [esp]              ; error code
    mov esi, [esp + 4]          ; where
    sub esi, here
    lea ebp, [esp + 16]         ; the stack as it was
    mov edx, cr2
    EXIT 0
"""


@pytest.mark.parametrize(
    ("call", "before", "error"),
    [
        ("VMI(10)", "mov eax, 0x3F5678", 0),  # SetIDT reads its table register
        ("VMI(8)", "mov eax, 0x3F5678", 0),  # SetGDT
        ("VMI(14)", "mov eax, 0x3F5678", 2),  # GetIDT writes
        ("VMI(12)", "mov eax, 0x3F5678", 2),  # GetGDT
        ("VMI(46)", "mov eax, 0x3F5678", 0),  # GetPxE
        ("VMI(86)", "mov eax, 1\n mov edx, 0x3F5678\n mov ecx, 0", 2),  # SetPxE
        ("VMI(18)", "push dword 0\n mov eax, 0x3F5678\n mov edx, 0\n mov ecx, 0", 2),  # WriteIDTEntry
    ],
)
def test_a_wild_pointer_faults_at_the_call(call: str, before: str, error: int) -> None:
    """#PF as the instruction at the site would raise it, with the return address gone from the stack."""
    ran = run(PAGED_CALL.format(call=call, before=before))
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    assert ran.vectors == [14]
    assert ran.gpr(Gpr.ESI) == 0
    assert ran.gpr(Gpr.EBX) & 2 == error
    assert ran.gpr(Gpr.EBP) == (0x7BFC if "push" in before else 0x7C00)
    assert ran.gpr(Gpr.EDX) & ~7 == 0x3F5678 & ~7
    called = ran.of(Kind.HYPERCALL)[-1]
    (fault,) = ran.of(Kind.EXCEPTION)
    assert called["pc"] == fault["pc"]
    causes = [event.cause for event in ran.events if event.kind is Kind.EXCEPTION]
    assert ran.events[causes[0] or 0].kind is Kind.HYPERCALL


RESERVE = """
start:
    LOAD_IDT
    GATE 3, on_breakpoint
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
    mov dword [MEMORY + 0x1000 + 4 * 0x3A0], 0       ; 3A0000h is not there, 3A1000h is
    mov cr3, edi
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
    mov esp, 0x3A1000 + 12 + {room}
    int3
    EXIT 0
on_breakpoint:
    EXIT 0
"""


@pytest.mark.parametrize(("room", "ends"), [(0, True), (4, True), (28, True), (32, False), (64, False)])
def test_a_handler_must_have_32_bytes_of_stack(room: int, ends: bool) -> None:
    ran = run(RESERVE.format(room=room))
    if ends:
        assert ran.stop.why is Why.TERMINATED
        assert "32" in ran.stop.detail
    else:
        assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0)
    native = run(RESERVE.format(room=room), paravirtual=False)
    assert (native.stop.why, native.stop.code) == (Why.EXIT, 0)


def test_a_call_from_user_mode_is_the_guests_fault() -> None:
    """Whatever comes of it, the machine does not obey a program of ring 3."""
    source = """
    start:
        LOAD_IDT
        GATE 6, on_fault
        GATE 13, on_fault
        mov dword [0x600 + 0x18], 0x0000FFFF
        mov dword [0x600 + 0x1C], 0x00CFFA00
        mov dword [0x600 + 0x20], 0x0000FFFF
        mov dword [0x600 + 0x24], 0x00CFF200
        lgdt [gdt]
        INIT
        mov eax, 0x10
        mov edx, 0x7C00
        sub esp, 64
        mov [MEMORY], dword 0
        mov dword [MEMORY + 4], 0x7800
        mov dword [MEMORY + 8], 0x10
        mov eax, MEMORY
        mov edx, 0x7800
        call VMI(19)
        push dword 0x23
        push dword 0x7000
        push dword 0x202
        push dword 0x1B
        push dword user
        RETURN
    user:
        call V_SHUTDOWN
        jmp $
    on_fault:
        mov ebx, 77
        EXIT 0
    gdt:
        dw 0x27
        dd 0x600
    """
    ran = run(source)
    assert ran.stop.why is not Why.SHUTDOWN
    assert ran.gpr(Gpr.EBX) == 77


def test_the_site_is_the_call() -> None:
    ran = run("start:\n INIT\n EXIT 0")
    (called,) = ran.of(Kind.HYPERCALL)
    assert called["call"] == INIT
    assert ENTRY <= called["pc"] < ENTRY + 64  # type: ignore[operator]
    code = ran.machine.cpu.read_physical(called["pc"], 1)  # type: ignore[arg-type]
    assert code == b"\xe8"


def test_an_undefined_slot_ends_the_run_or_faults() -> None:
    """A call that is not implemented never pretends to have worked."""
    ran = run("start:\n LOAD_IDT\n GATE 6, u\n INIT\n call VMI(28)\n EXIT 1\nu: EXIT 0")
    assert ran.stop.code == 0 or ran.stop.why is Why.UNSUPPORTED
