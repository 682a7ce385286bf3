"""Interrupts: when they are taken, when they must wait, what halts wait for; alarms."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.registers import Gpr
from pvtrace.model.step import Step
from pvtrace.model.stops import Why
from tests.machine.small import run

BOTH = pytest.mark.parametrize("paravirtual", [False, True])

TICKING = """
start:
    LOAD_IDT
    GATE 0x20, on_tick
    PIC 0xFE
    INIT
    PIT 100
    mov ecx, 20000              ; long enough for a tick, which has to wait
    loop $
    {code}
    EXIT 0
on_tick:
    mov ebx, [esp]
    inc ebp
    EOI
    {end}
    RETURN
"""
MASK_AGAIN = "mov al, 0xFF\n out 0x21, al"


def ticking(code: str, paravirtual: bool, end: str = MASK_AGAIN):  # type: ignore[no-untyped-def]
    return run(TICKING.format(code=code, end=end), paravirtual=paravirtual)


@BOTH
def test_sti_lets_one_instruction_pass(paravirtual: bool) -> None:
    ran = ticking("sti\n nop\nhere: mov [MEMORY], dword here\n nop", paravirtual)
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EBX) == ran.word(0x10A000)
    (taken,) = ran.of(Kind.INTERRUPT)
    assert taken["image"] & 0x200
    assert taken["irq"] == 0


@BOTH
def test_sti_and_cli_let_nothing_in(paravirtual: bool) -> None:
    ran = ticking("sti\n cli\n nop", paravirtual)
    assert ran.of(Kind.INTERRUPT) == []
    assert ran.stop.code == 0


@BOTH
def test_sti_twice_has_one_shadow(paravirtual: bool) -> None:
    """STI while interrupts are on already has none of its own (SDM volume 2, STI)."""
    ran = ticking("sti\n sti\nhere: mov [MEMORY], dword here", paravirtual)
    assert ran.gpr(Gpr.EBX) == ran.word(0x10A000)


@BOTH
@pytest.mark.parametrize("load", ["mov ss, ax", "push eax\n pop ss"])
def test_a_load_of_ss_lets_one_instruction_pass(load: str, paravirtual: bool) -> None:
    """As a switch of stacks needs; the shadow of STI ends with the load itself, and its own begins."""
    code = f"mov eax, ss\n sti\n {load}\n mov esp, esp\nhere: mov [MEMORY], dword here"
    if "pop" in load:
        code = "mov eax, ss\n push eax\n sti\n pop ss\n mov esp, esp\nhere: mov [MEMORY], dword here"
    ran = ticking(code, paravirtual)
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EBX) == ran.word(0x10A000)


@pytest.mark.parametrize("call", ["V_ENABLE", "mov eax, 0x200\n call V_SETMASK"])
def test_enabling_by_a_call_delivers_inside_it(call: str) -> None:
    """The handler returns to the instruction behind the CALL: there is no shadow."""
    code = f"{call if 'call' in call else 'call ' + call}\nhere: mov [MEMORY], dword here"
    ran = ticking(code, paravirtual=True)
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EBX) == ran.word(0x10A000)
    (taken,) = ran.of(Kind.INTERRUPT)
    enabling = [row for row in ran.of(Kind.HYPERCALL) if row["call"] in (0xD23, 0xD26)]
    assert taken["step"] == enabling[0]["step"]
    assert taken["image"] & 0x200


def test_disabling_by_a_call_keeps_interrupts_out() -> None:
    ran = ticking("call V_ENABLE\n call V_DISABLE\n mov ebp, 0\n mov ecx, 20000\n loop $", True, end="")
    assert ran.gpr(Gpr.EBP) == 0
    assert len(ran.of(Kind.INTERRUPT)) >= 1


def test_a_raw_popf_at_cpl_1_lets_no_interrupt_in() -> None:
    ran = ticking("push dword 0x202\n popf\n nop\n nop", paravirtual=True)
    assert ran.of(Kind.INTERRUPT) == []
    assert not ran.machine.system.vif
    ran = ticking("push dword 0x202\n popf\n nop\n nop", paravirtual=False)
    assert len(ran.of(Kind.INTERRUPT)) == 1


@BOTH
def test_halt_with_interrupts_off_is_for_ever(paravirtual: bool) -> None:
    ran = ticking("cli\n hlt", paravirtual)
    assert ran.stop.why is Why.IDLE
    assert "interrupts off" in ran.stop.detail


@BOTH
def test_sti_and_halt_are_one(paravirtual: bool) -> None:
    """What waits already is taken before anything sleeps; the handler returns behind the HLT."""
    ran = ticking("sti\n hlt\nhere: mov [MEMORY], dword here", paravirtual)
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EBX) == ran.word(0x10A000)


@BOTH
def test_a_halt_jumps_to_the_next_tick(paravirtual: bool) -> None:
    source = """
    start:
        LOAD_IDT
        GATE 0x20, on_tick
        PIC 0xFE
        INIT
        PIT 59659                   ; 50 ms
        sti
    .again:
        hlt
        cmp ebp, 3
        jb .again
        EXIT 0
    on_tick:
        inc ebp
        EOI
        RETURN
    """
    ran = run(source, paravirtual=paravirtual)
    assert ran.stop.code == 0
    assert ran.stop.step < 1000
    wakes = ran.of(Kind.WAKE)
    assert len(wakes) == 3
    assert 0.1499 < ran.machine.ticks / 100_000_000 < 0.1501
    assert all(abs(row["jumped"] - 5_000_000) < 500 for row in wakes)  # type: ignore[operator]


@BOTH
def test_a_storm_of_interrupts(paravirtual: bool) -> None:
    """A handler that never acknowledges a level, at the fastest rate that the timer has: the guest still gets on."""
    source = """
    start:
        LOAD_IDT
        GATE 0x20, on_tick
        PIC 0xFE
        INIT
        PIT 2                       ; a tick in 168 steps
        sti
        mov ecx, 30000
    .busy:
        nop
        loop .busy
        cli
        EXIT 0
    on_tick:
        inc ebp
        EOI
        RETURN
    """
    ran = run(source, paravirtual=paravirtual)
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EBP) == len(ran.of(Kind.INTERRUPT)) > 300


@BOTH
def test_an_interrupt_without_a_gate_is_a_fault(paravirtual: bool) -> None:
    """#GP with the vector as error code, and EXT set."""
    source = """
    start:
        LOAD_IDT
        GATE 13, on_protection
        PIC 0xFE
        INIT
        PIT 100
        sti
        jmp $
    on_protection:
        pop ebx
        EXIT 0
    """
    ran = run(source, paravirtual=paravirtual)
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EBX) == 0x20 * 8 + 3
    assert ran.vectors == [13]


@BOTH
def test_a_byte_from_the_console_interrupts(paravirtual: bool) -> None:
    source = """
    start:
        LOAD_IDT
        GATE 0x24, on_byte
        PIC 0xEF
        INIT
        mov dx, 0x3F9
        mov al, 1
        out dx, al
        mov dx, 0x3FC
        mov al, 8
        out dx, al
        sti
    .again:
        hlt
        jmp .again
    on_byte:
        mov dx, 0x3F8
        in al, dx
        mov ebx, eax
        EXIT 0
    """
    plain = run(source, paravirtual=paravirtual)
    assert plain.stop.why is Why.IDLE
    step = plain.stop.step
    typed = [Input(step, InputKind.WAKE, 5_000), Input(step, InputKind.CONSOLE, data=b"x")]
    ran = run(source, paravirtual=paravirtual, inputs=typed)
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EBX) & 0xFF == ord("x")
    assert [row["data"] for row in ran.of(Kind.CONSOLE_IN)] == [b"x"]
    assert ran.of(Kind.WAKE)[0]["ticks"] == 5_000


ALARM = """
start:
    LOAD_IDT
    GATE 0x20, on_alarm
    PIC 0xFE
    INIT
    push dword 0
    push dword {period}
    mov eax, {flags}
    mov edx, {expiry}
    xor ecx, ecx
    call VMI(81)
    add esp, 8
    {code}
    EXIT 0
on_alarm:
    inc ebp
    mov eax, 0
    call VMI(80)
    mov [MEMORY + ebp * 4], eax
    EOI
    RETURN
"""
PERIODIC = 0x100


def alarm(code: str, expiry: int = 50_000, period: int = 0, flags: int = 0):  # type: ignore[no-untyped-def]
    return run(ALARM.format(code=code, expiry=expiry, period=period, flags=flags))


def test_an_alarm_fires_once() -> None:
    ran = alarm("call V_ENABLE\n mov ecx, 200000\n loop $")
    assert ran.gpr(Gpr.EBP) == 1
    (fired,) = ran.of(Kind.ALARM)
    assert fired["expiry"] == 50_000
    (taken,) = ran.of(Kind.INTERRUPT)
    events = list(ran.events)
    assert events[[e.kind for e in events].index(Kind.INTERRUPT)].cause is not None
    assert 50_000 <= ran.word(0x10A004) < 50_100
    assert taken["irq"] == 0


def test_an_alarm_fires_again_and_again() -> None:
    ran = alarm("call V_ENABLE\n mov ecx, 200000\n loop $", period=30_000, flags=PERIODIC)
    assert ran.gpr(Gpr.EBP) == 6
    assert [row["expiry"] for row in ran.of(Kind.ALARM)] == [50_000 + 30_000 * n for n in range(6)]
    assert all(50_000 + 30_000 * n <= ran.word(0x10A004 + 4 * n) < 50_100 + 30_000 * n for n in range(6))


def test_halt_waits_for_the_alarm() -> None:
    ran = alarm("call V_HALT", expiry=5_000_000)
    assert ran.gpr(Gpr.EBP) == 1
    assert ran.stop.step < 1000
    assert 5_000_000 <= ran.word(0x10A004) < 5_000_100
    (woke,) = ran.of(Kind.WAKE)
    assert woke["jumped"] > 4_990_000


def test_halt_waits_no_longer_than_until_the_next_tick_of_the_pc() -> None:
    """The BIOS leaves the PC's own timer running, at 18.2 ticks in a second of the same interrupt."""
    ran = alarm("call V_HALT", expiry=1_000_000_000)
    assert ran.of(Kind.ALARM) == []
    assert 5_400_000 < ran.word(0x10A004) < 5_500_000


def test_halt_without_an_alarm_is_for_ever() -> None:
    ran = run("start:\n LOAD_IDT\n PIC 0xFF\n INIT\n call V_HALT\n EXIT 1")
    assert ran.stop.why is Why.IDLE


def test_halt_with_a_masked_alarm_is_for_ever() -> None:
    ran = alarm("mov al, 0xFF\n out 0x21, al\n call V_HALT")
    assert ran.stop.why is Why.IDLE


def test_an_alarm_in_the_past_fires_at_once() -> None:
    ran = alarm("call V_ENABLE\nhere: nop", expiry=0)
    assert ran.gpr(Gpr.EBP) == 1


def test_a_cancelled_alarm_does_not_fire() -> None:
    code = "mov eax, 0\n call VMI(82)\n mov esi, eax\n mov eax, 0\n call VMI(82)\n mov edi, eax\n call V_ENABLE\n"
    ran = alarm(code + "mov ecx, 100000\n loop $")
    assert (ran.gpr(Gpr.ESI), ran.gpr(Gpr.EDI), ran.gpr(Gpr.EBP)) == (1, 0, 0)


def test_an_alarm_set_anew_moves() -> None:
    again = "push dword 0\n push dword 0\n mov eax, 0\n mov edx, 90000\n xor ecx, ecx\n call VMI(81)\n add esp, 8\n"
    ran = alarm(again + "call V_ENABLE\n mov ecx, 200000\n loop $")
    assert ran.gpr(Gpr.EBP) == 1
    assert 90_000 <= ran.word(0x10A004) < 90_100


@BOTH
def test_time_is_one_tick_for_each_step(paravirtual: bool) -> None:
    ran = run(
        "start:\n INIT\n rdtsc\n mov ebx, eax\n nop\n nop\n nop\n rdtsc\n sub eax, ebx\n mov ebx, eax\n EXIT 0",
        paravirtual=paravirtual,
    )
    assert ran.gpr(Gpr.EBX) == 5
    assert ran.stop.step == Step(ran.machine.ticks)
