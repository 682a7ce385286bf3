"""Guests drive the local APIC and the IO-APIC by memory and by VMI calls, through the real machine."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.stops import Why
from tests.machine.apic_guests import APIC_GUESTS, BOTH_APICS, LEVEL, MAP
from tests.machine.small import Ran, run

CALLS = """
%define V_SETINITIALAPSTATE VMI(75)
%define V_APICWRITE VMI(76)
%define V_APICREAD VMI(77)
%define V_SETALARM VMI(81)
%macro APIC_WRITE 2
    mov eax, 0xFFF0A000 + (%1)
    mov edx, %2
    call V_APICWRITE
%endmacro
%macro APIC_READ 1
    mov eax, 0xFFF0A000 + (%1)
    call V_APICREAD
%endmacro
%macro SET_ALARM 3              ; flags, expiry, period
    push dword 0
    push dword %3
    mov eax, %1
    mov edx, %2
    xor ecx, ecx
    call V_SETALARM
    add esp, 8
%endmacro
"""


def ended_well(ran: Ran) -> Ran:
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    return ran


@pytest.mark.parametrize("paravirtual", [False, True])
@pytest.mark.parametrize("name", APIC_GUESTS)
def test_ends_well(name: str, paravirtual: bool) -> None:
    ended_well(run(APIC_GUESTS[name], paravirtual=paravirtual))


@pytest.mark.parametrize("paravirtual", [False, True])
def test_interrupts_tell_their_line(paravirtual: bool) -> None:
    ran = ended_well(run(BOTH_APICS, paravirtual=paravirtual))
    taken = {(row["vector"], row["irq"]) for row in ran.of(Kind.INTERRUPT)}
    assert taken == {(0x30, None), (0x31, 0), (0x42, None)}
    (wake,) = ran.of(Kind.WAKE)
    assert wake["jumped"]


def test_a_level_triggered_interrupt_shows_its_remote_irr_until_it_is_ended() -> None:
    ran = ended_well(run(LEVEL))
    words = [ran.word(0x10C000 + 4 * index) for index in range(4)]
    assert words == [0xC044, 0xC044, 0xC044, 0x8044]  # after the first EOI it is under way again at once


def test_the_apic_by_calls() -> None:
    ran = run(
        CALLS
        + """
start:
    LOAD_IDT
    GATE 0x50, on_self
    INIT
    APIC_READ 0x30
    mov [MEMORY], eax
    APIC_WRITE 0x320, 0x10055
    APIC_READ 0x320
    mov [MEMORY + 4], eax
    xor esi, esi
    call V_ENABLE
    APIC_WRITE 0x300, 0x40050
    mov [MEMORY + 8], esi       ; taken inside the call
    call V_DISABLE
    APIC_WRITE 0x300, 0x40050
    mov [MEMORY + 12], esi      ; pending
    APIC_READ 0x220
    mov [MEMORY + 16], eax
    call V_ENABLE
    mov [MEMORY + 20], esi
    EXIT 0
on_self:
    inc esi
    push eax
    push edx
    APIC_WRITE 0xB0, 0
    pop edx
    pop eax
    RETURN
"""
    )
    ended_well(ran)
    assert [ran.word(0x10A000 + 4 * index) for index in range(6)] == [0x00050014, 0x10055, 1, 1, 1 << 16, 2]
    first, second = ran.of(Kind.INTERRUPT)
    assert (first["vector"], first["irq"]) == (0x50, None)
    assert first["step"] != second["step"]


@pytest.mark.parametrize(("entry", "taken"), [(0x61, True), (0x20061, True), (0x10061, False)])
def test_an_alarm_by_the_timer_entry(entry: int, taken: bool) -> None:
    """The vector and the mask of the entry count, its mode does not."""
    ran = run(
        CALLS
        + f"""
start:
    LOAD_IDT
    GATE 0x61, on_alarm
    PIC 0xFF
    INIT
    APIC_WRITE 0x320, {entry}
    SET_ALARM 0x10101, 5000, 3000
    call V_HALT
    call V_HALT
    EXIT 0
on_alarm:
    inc esi
    push eax
    push edx
    APIC_WRITE 0xB0, 0
    pop edx
    pop eax
    RETURN
"""
    )
    if taken:
        ended_well(ran)
        alarms, interrupts = ran.of(Kind.ALARM), ran.of(Kind.INTERRUPT)
        assert [alarm["expiry"] for alarm in alarms] == [5000, 8000]
        assert [(row["vector"], row["irq"]) for row in interrupts] == [(0x61, None)] * 2
    else:
        assert ran.stop.why is Why.IDLE
        assert ran.stop.detail == "nothing can wake it"


def test_a_state_for_another_processor_is_recorded() -> None:
    ran = run(
        CALLS
        + """
start:
    INIT
    mov dword [MEMORY], 0x80050023
    mov eax, MEMORY
    mov edx, 1
    call V_SETINITIALAPSTATE
    APIC_WRITE 0x310, 0x01000000
    APIC_WRITE 0x300, 0x4500    ; INIT
    APIC_WRITE 0x300, 0x4608    ; start-up
    APIC_READ 0x300
    mov ebx, eax
    APIC_READ 0x280
    EXIT 0
"""
    )
    ended_well(ran)
    assert ran.machine.vmi.ap_states == ((1, "23000580" + "00" * 86),)
    assert "never starts" in ran.notes[0]
    assert ran.gpr(Gpr.EBX) & 1 << 12 == 0


NMI = (
    MAP
    + """
start:
    LOAD_IDT
    GATE 2, on_nmi
    INIT
    MAP
    xor esi, esi
    mov dword [APIC + 0x300], 0x40400
    mov [MEMORY + 0x2000], esi
    EXIT 0
on_nmi:
    inc esi
    cmp esi, 2
    je .done
    mov dword [APIC + 0x300], 0x40400
    mov [MEMORY + 0x2004], esi  ; blocked until the return
.done:
    iretd
"""
)


def test_a_non_maskable_interrupt_to_itself() -> None:
    ran = ended_well(run(NMI, paravirtual=False))
    assert (ran.word(0x10C000), ran.word(0x10C004)) == (2, 1)
    assert [row["vector"] for row in ran.of(Kind.INTERRUPT)] == [2, 2]


def test_vmi_delivers_no_non_maskable_interrupt() -> None:
    ran = ended_well(run(NMI))
    assert ran.word(0x10C000) == 0
    assert ran.of(Kind.INTERRUPT) == []
    assert ran.notes[-1] == "a non-maskable interrupt was dropped: VMI has none"


@pytest.mark.parametrize("paravirtual", [False, True])
def test_the_apic_moves_and_goes_with_its_msr(paravirtual: bool) -> None:
    """To FEC10000h, where it answers; switched off it answers nowhere, CPUID does not tell of it, and a memory hole is
    told once."""
    ran = run(
        MAP
        + """
%macro MOVE 1
    mov ecx, 0x1B
    mov eax, %1
    xor edx, edx
    wrmsr
%endmacro
start:
    INIT
    MAP
    MOVE 0xFEC10900
    mov eax, [IOAPIC + 0x10030]
    mov [MEMORY + 0x2000], eax
    mov eax, [APIC + 0x30]
    mov eax, [APIC + 0x30]
    mov [MEMORY + 0x2004], eax
    mov dword [IOAPIC + 0x100F0], 0x1AA
    MOVE 0xFEC10100
    mov eax, [IOAPIC + 0x10030]
    mov [MEMORY + 0x2008], eax
    mov eax, 1
    cpuid
    mov [MEMORY + 0x200C], edx
    MOVE 0xFEE00900
    mov eax, [APIC + 0xF0]      ; on again: as after power-up
    mov [MEMORY + 0x2010], eax
    mov eax, 1
    cpuid
    mov [MEMORY + 0x2014], edx
    EXIT 0
""",
        paravirtual=paravirtual,
    )
    ended_well(ran)
    words = [ran.word(0x10C000 + 4 * index) for index in range(6)]
    words[3] &= 1 << 9
    words[5] &= 1 << 9
    assert words == [0x00050014, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0xFF, 1 << 9]
    unknown = ran.of(Kind.UNKNOWN_MEMORY)
    assert [(row["address"], row["width"], row["write"]) for row in unknown] == [(0xFEE00030, 4, 0), (0xFEC10030, 4, 0)]


def test_the_8259_works_without_the_apic() -> None:
    """Switched off, or with LINT0 masked: what passes and what does not."""
    body = """
start:
    LOAD_IDT
    GATE 0x20, on_tick
    PIC 0xFE
    mov dword [0xFEE00350], {lint0}
    mov ecx, 0x1B
    mov eax, {base}
    xor edx, edx
    wrmsr
    PIT 200
    sti
    hlt
    EXIT 0
on_tick:
    EOI
    iretd
"""
    for lint0, base, ticks in ((0x8700, 0xFEE00900, 1), (0x18700, 0xFEE00900, 0), (0x18700, 0xFEE00100, 1)):
        ran = run(body.format(lint0=lint0, base=base), paravirtual=False)
        assert len(ran.of(Kind.INTERRUPT)) == ticks
        assert ran.stop.why is (Why.EXIT if ticks else Why.IDLE)


def test_an_init_to_itself_is_a_reboot() -> None:
    ran = run("start:\n mov dword [0xFEE00300], 0x44500\n EXIT 0", paravirtual=False)
    assert ran.stop.why is Why.REBOOT


@pytest.mark.parametrize("paravirtual", [False, True])
def test_a_single_stepped_store_arrives(paravirtual: bool) -> None:
    """The trap behind the instruction takes nothing away from it."""
    ran = run(
        MAP
        + """
start:
    LOAD_IDT
    GATE 1, on_trap
    INIT
    MAP
    pushf
    or dword [esp], 0x100
    popf
    nop
    mov dword [APIC + 0x80], 0x20
    or dword [APIC + 0x80], 0x03
    mov eax, [APIC + 0x80]
    mov ebx, eax
    pushf
    and dword [esp], ~0x100
    popf
    EXIT 0
on_trap:
    inc ecx
    iretd
""",
        paravirtual=paravirtual,
    )
    ended_well(ran)
    assert ran.gpr(Gpr.EBX) == 0x23
    assert len(ran.vectors) == 8
