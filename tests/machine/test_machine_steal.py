"""Stolen time on the machine: the proposal's worked example by a guest, and alarms on both counters."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.stops import Why
from pvtrace.vmi.steal import parse
from tests.machine.small import Ran, run

HZ = 1_000_000
MS = HZ // 1000
SLACK = 100
"""Instructions between an event and its look at the counters."""

PROGRAM = """
start:
    LOAD_IDT
    GATE 0x20, on_alarm
    PIC 0xFE
    INIT
    mov edi, MEMORY
    {arm}
    {body}
    EXIT 0

; Waits, running, until the real counter is at least EBP.
until:
    xor eax, eax
    call VMI(80)
    cmp eax, ebp
    jb until
    ret

; Stores real, available and stolen at EDI.
look:
    xor ebx, ebx
.next:
    mov eax, ebx
    call VMI(80)
    stosd
    inc ebx
    cmp ebx, 3
    jb .next
    ret

on_alarm:
    pusha
    xor eax, eax
    call VMI(80)
    mov ecx, [MEMORY + 0x800]
    mov [MEMORY + 0x804 + ecx * 4], eax
    inc dword [MEMORY + 0x800]
    popa
    EOI
    RETURN
%macro ALARM 3                          ; flags, expiry, period
    push dword 0
    push dword %3
    mov eax, %1
    mov edx, %2
    xor ecx, ecx
    call VMI(81)
    add esp, 8
%endmacro
%macro UNTIL 1
    mov ebp, %1
    call until
%endmacro
"""

BODY = f"""
    UNTIL {3 * MS}
    call look
    call V_HALT                         ; the alarm is the work that arrives at 4
    call look
    UNTIL {6 * MS}
    call look
    UNTIL {10 * MS}
    call look
"""


def ran(arm: str, body: str, steal: str) -> Ran:
    source = PROGRAM.split("%macro", 1)
    macros = "%macro" + source[1]
    return run(macros + source[0].format(arm=arm, body=body), hz=HZ, steal=parse(steal))


def looks(found: Ran, count: int) -> list[tuple[int, ...]]:
    """(real, stolen, available) in ms, rounded down to what the slack allows."""
    rows = []
    for at in range(count):
        real, available, stolen = (found.word(0x10A000 + 12 * at + 4 * place) for place in range(3))
        assert abs(real - available - stolen) < SLACK
        rows.append(tuple(int((value + SLACK / 10) // MS) for value in (real, stolen, available)))
    return rows


def alarms(found: Ran) -> list[int]:
    """The real counter, in ms, at each alarm's handler."""
    count = found.word(0x10A800)
    return [found.word(0x10A804 + 4 * each) // MS for each in range(count)]


def test_the_worked_example() -> None:
    found = ran(f"ALARM 0, {4 * MS}, 0", BODY, "4ms-5ms,6ms-9ms")
    assert found.stop.why is Why.EXIT
    assert looks(found, 4) == [(3, 0, 3), (5, 1, 4), (9, 4, 5), (10, 4, 6)]
    assert [row["length"] for row in found.of(Kind.STOLEN)] == [pytest.approx(MS, abs=2), 3 * MS]


def test_a_periodic_alarm_of_the_available_counter() -> None:
    """First at 1, every 2: in the worked example it fires at 1, 3 and 6 of the real counter."""
    body = f"call V_ENABLE\n UNTIL {3 * MS + MS // 2}\n call V_HALT\n UNTIL {10 * MS}"
    arm = f"ALARM 0x101, {MS}, {2 * MS}\n ALARM 0, {4 * MS}, 0"
    found = ran(arm, body, "4ms-5ms,6100us-9ms")
    assert alarms(found) == [1, 3, 5, 6]  # at 5 the one-shot alarm, which was due at 4


@pytest.mark.parametrize("steal", ["", "1ms/10ms", "9ms/10ms"])
def test_a_loop_gets_its_share(steal: str) -> None:
    found = ran("", f"UNTIL {50 * MS}\n call look", steal)
    share = {"": 0, "1ms/10ms": 5, "9ms/10ms": 45}[steal]
    assert looks(found, 1) == [(50, share, 50 - share)]


def test_a_halted_guest_loses_nothing() -> None:
    found = ran(f"ALARM 0, {25 * MS}, 0", "call V_HALT\n call look", "5ms/10ms")
    assert found.of(Kind.STOLEN)[0]["ticks"] is not None
    assert looks(found, 1) == [(30, 5, 25)]
