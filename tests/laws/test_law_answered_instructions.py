"""Who answers a trapped instruction changes nothing: the CPU's answers are those of the machine, for any state."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvtrace.machine.journal import LINE
from pvtrace.machine.machine import Machine
from pvtrace.machine.pc import CONSOLE
from pvtrace.model.events import Event
from pvtrace.model.registers import Gpr, Seg
from pvtrace.model.step import Step
from pvtrace.tape.scripted import ScriptedTape
from tests.laws.test_law1_machine import End, end
from tests.machine.small import assemble, machine

CODE = 0x200000
INSTRUCTIONS = {
    "CPUID": b"\x0f\xa2",
    "IN AL, DX": b"\xec",
    "OUT DX, AL": b"\xee",
    "IN AL, imm8": b"\xe4\x80",
    "OUT imm8, AL": b"\xe6\x80",
    "IN EAX, DX": b"\xed",
    "OUT DX, EAX": b"\xef",
    "REP OUTSB": b"\xf3\x6e",
    "LOCK CPUID": b"\xf0\x0f\xa2",
    "CS IN AL, DX": b"\x2e\xec",
}


class Case(NamedTuple):
    """`code`: repeated from CODE + `offset` on; `uart`: registers and what is written to them; `line`: bytes that the
    guest has said since the last line feed; `typed`: bytes that wait at the UART."""

    code: bytes
    offset: int
    paravirtual: bool
    eax: int
    port: int
    flags: int
    cpl: int
    viopl: int
    big: bool
    uart: tuple[tuple[int, int], ...]
    line: int
    typed: bytes
    heard: bool
    jump: int
    steps: int


cases = st.builds(
    Case,
    code=st.sampled_from(tuple(INSTRUCTIONS.values())),
    offset=st.sampled_from((0, 0, 0xFF9, 0xFFF)),
    paravirtual=st.booleans(),
    eax=st.one_of(st.sampled_from((0, 1, 2, 3, 0x80000000, 0x80000004, 0x0A, 0x41)), st.integers(0, 0xFFFFFFFF)),
    port=st.one_of(st.integers(CONSOLE, CONSOLE + 7), st.sampled_from((CONSOLE, CONSOLE + 5, 0x61, 0x80, 0x1234))),
    flags=st.sampled_from((0, 0, 0, 0x8D5, 0x400, 0x100, 1 << 14)),
    cpl=st.sampled_from((None, None, None, None, 0, 1, 3)).map(lambda level: -1 if level is None else level),
    viopl=st.integers(0, 3),
    big=st.sampled_from((True,) * 9 + (False,)),
    uart=st.lists(
        st.tuples(st.sampled_from((0, 0, 1, 2, 3, 4, 7)), st.sampled_from((0, 1, 2, 3, 0x0B, 0x10, 0x80, 0xFF)))
    ).map(tuple),
    line=st.sampled_from((0, 1, LINE - 3, LINE - 2, LINE - 1)),
    typed=st.sampled_from((b"", b"", b"x", b"xy" * 20)),
    heard=st.booleans(),
    jump=st.integers(2000, 1 << 40),
    steps=st.integers(1, 6),
)


def arranged(case: Case, tape: ScriptedTape) -> Machine:
    built = machine(assemble("start:\n INIT\n.spin: jmp .spin", case.paravirtual), tape)
    built.run(Step(1000))
    cpu, uart = built.cpu, built.platform.uart
    cpu.write_physical(CODE + case.offset, case.code * 8)
    cpu.set_gpr(Gpr.EAX, case.eax)
    cpu.set_gpr(Gpr.EDX, case.port)
    cpu.set_gpr(Gpr.ESI, CODE)
    cpu.set_gpr(Gpr.ECX, 3)
    cpu.eip = CODE + case.offset
    cpu.eflags |= case.flags
    stack, code = cpu.segment(Seg.SS), cpu.segment(Seg.CS)
    if case.cpl >= 0:
        cpu.set_segment(Seg.SS, replace(stack, attributes=stack.attributes & ~0x6000 | case.cpl << 13))
    if not case.big:
        cpu.set_segment(Seg.CS, replace(code, attributes=code.attributes & ~(1 << 22)))
    for register, value in case.uart:
        uart.write(register, 1, value, built.ticks)
    uart.receive(case.typed)
    built.journal.line[:] = b"l" * case.line
    built.system = replace(built.system, viopl=case.viopl)
    built.clock = built.clock.jumped_to(case.jump, built.step)
    built.set_horizon()
    return built


def ran(case: Case, allowed: bool, steps: int) -> tuple[End, list[Event], bytes]:
    """The machine so many steps later, what it did, and what was heard of its console."""
    tape = ScriptedTape()
    built = arranged(case, tape)
    heard = bytearray()
    built.journal.heard = heard.append
    built.answers.allowed, built.answers.lag = allowed, case.heard
    before = len(tape.events)
    stop = built.run(Step(built.step + steps))
    return end(built, stop), tape.events[before:], bytes(heard)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_an_instruction_is_answered_as_the_machine_does(case: Case) -> None:
    assert ran(case, True, case.steps) == ran(case, False, case.steps)


SENT = ((0, 0x41),)
"""A byte was sent before: from then on the UART posts."""

PLAIN = Case(b"", 0, True, 0x41, CONSOLE, 0, -1, 0, True, SENT, 0, b"", True, 3000, 0)


@pytest.mark.parametrize("paravirtual", [True, False])
@pytest.mark.parametrize(
    ("code", "port", "eax"),
    [
        (b"\x31\xc0\x0f\xa2", 0, 1),  # XOR EAX, EAX
        (b"\xec", CONSOLE + 5, 0),
        (b"\xec", CONSOLE + 1, 0),
        (b"\xee", CONSOLE, 0x41),
    ],
    ids=["CPUID", "LSR", "IER", "THR"],
)
def test_the_cpu_answers_the_plain_case(code: bytes, port: int, eax: int, paravirtual: bool) -> None:
    case = PLAIN._replace(code=code, port=port, eax=eax, paravirtual=paravirtual)
    built = arranged(case, ScriptedTape())
    exits: list[str] = []
    run = built.cpu.run
    built.cpu.run = lambda until: exits.append(type(exit_ := run(until)).__name__) or exit_  # type: ignore[method-assign,func-returns-value]
    built.set_horizon()
    built.run(Step(built.step + 3))
    assert set(exits) <= {"Arrived", "Sensitive", "PortRead", "PortWrite"}
    assert exits.count("Arrived") == len(exits) - (port != 0)  # a port's last step is Python's
