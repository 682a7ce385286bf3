"""Guests that use the PC's devices through the real machine: keys, the clock's interrupts, the screen, the tables."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.registers import Gpr
from pvtrace.model.step import Step
from pvtrace.model.stops import Why
from tests.machine.small import run

BOTH_PICS = """
%macro SLAVE_EOI 0
    push eax
    mov al, 0x20
    out 0xA0, al
    out 0x20, al
    pop eax
%endmacro
"""

KEYS = """
start:
    LOAD_IDT
    GATE 0x21, on_key
    PIC 0xFD
    INIT
    mov edi, MEMORY
    xor ecx, ecx
    sti
.wait:
    hlt
    cmp ecx, 4
    jb .wait
    EXIT 0
on_key:
    in al, 0x60
    stosb
    inc ecx
    EOI
    RETURN
"""


@pytest.mark.parametrize("paravirtual", [False, True])
def test_keys_interrupt(paravirtual: bool) -> None:
    waiting = run(KEYS, paravirtual=paravirtual)
    assert waiting.stop.why is Why.IDLE
    at = waiting.stop.step
    codes = b"\x1e\x9e\x30\xb0"
    inputs = [Input(at, InputKind.WAKE, 1_000_000), Input(at, InputKind.KEYS, data=codes)]
    ran = run(KEYS, paravirtual=paravirtual, inputs=inputs)
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    assert ran.machine.cpu.read_physical(0x10A000, 4) == codes
    assert [row["data"] for row in ran.of(Kind.KEYS_IN)] == [codes]
    assert [(row["vector"], row["irq"]) for row in ran.of(Kind.INTERRUPT)] == [(0x21, 1)] * 4


def test_the_clock_interrupts() -> None:
    ran = run(
        BOTH_PICS
        + """
start:
    LOAD_IDT
    GATE 0x28, on_clock
    PIC 0xFB
    mov al, 0xFE
    out 0xA1, al
    INIT
    mov al, 0x0B
    out 0x70, al
    mov al, 0x42
    out 0x71, al
    mov al, 0x0C
    out 0x70, al
    in al, 0x71
    xor ecx, ecx
    sti
.wait:
    hlt
    cmp ecx, 3
    jb .wait
    EXIT 0
on_clock:
    inc ecx
    mov al, 0x0C
    out 0x70, al
    in al, 0x71
    SLAVE_EOI
    RETURN
"""
    )
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    assert ran.gpr(Gpr.ECX) == 3
    assert [row["irq"] for row in ran.of(Kind.INTERRUPT)] == [8] * 3
    woken = [row["ticks"] for row in ran.of(Kind.WAKE)]
    edges = [-(-edge * 100_000_000 // 1024) for edge in (1, 2, 3)]
    assert woken == edges


def test_power_off_by_acpi() -> None:
    ran = run("start:\n mov dx, 0x604\n mov ax, 0x2000\n out dx, ax\n EXIT 1", paravirtual=False)
    assert ran.stop.why is Why.SHUTDOWN


def test_a_guest_finds_the_tables_and_the_screen() -> None:
    ran = run(
        """
start:
    mov esi, 0xF0000
.scan:
    cmp dword [esi], '_MP_'
    je .found
    add esi, 16
    cmp esi, 0x100000
    jb .scan
.found:
    mov ebx, [esi + 4]
    mov ebx, [ebx]
    mov word [0xB8000], 0x0741
    mov dx, 0x3D4
    mov al, 0x0F
    out dx, al
    inc dx
    mov al, 1
    out dx, al
    EXIT 0
""",
        paravirtual=False,
    )
    assert ran.gpr(Gpr.EBX).to_bytes(4, "little") == b"PCMP"
    assert ran.machine.cpu.read_physical(0xB8000, 4) == b"A\x07 \x07"
    assert ran.of(Kind.UNKNOWN_PORT) == []


def test_inputs_of_keys_belong_to_the_record() -> None:
    """A key that arrives while nobody halts is taken at its step."""
    source = KEYS.replace("    hlt\n", "    nop\n")
    inputs = [Input(Step(1000), InputKind.KEYS, data=b"\x02\x82\x03\x83")]
    ran = run(source, paravirtual=False, inputs=inputs)
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    assert ran.of(Kind.KEYS_IN)[0]["step"] == 1000


TIMED = """
start:
    rdtsc
    mov ebx, eax
    mov ecx, 100
.again:
    %s
    loop .again
    rdtsc
    sub eax, ebx
    mov [MEMORY], eax
    EXIT 0
"""


@pytest.mark.parametrize("access", ["out 0x80, al", "in al, 0x61", "in al, 0x80"])
def test_an_access_to_a_slow_port_takes_a_microsecond(access: str) -> None:
    """Kernels wait for slow devices so, and count on it: 100 ticks here, beside those of the instructions."""
    slow, quick = (run(TIMED % one, paravirtual=False).word(0x10A000) for one in (access, "in al, 0xE9"))
    assert slow - quick == 100 * 100


def test_a_timer_fires_while_a_guest_waits_by_port_80h() -> None:
    ran = run(
        """
start:
    LOAD_IDT
    GATE 0x20, on_tick
    PIC 0xFE
    PIT 1193            ; a millisecond
    xor ebx, ebx
    sti
.wait:
    out 0x80, al
    cmp ebx, 3
    jb .wait
    EXIT 0
on_tick:
    inc ebx
    EOI
    iretd
""",
        paravirtual=False,
    )
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    assert 2700 < sum(row["port"] == 0x80 for row in ran.of(Kind.PORT_WRITE)) < 3000
