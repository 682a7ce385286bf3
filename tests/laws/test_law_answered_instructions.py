"""Who answers a trapped instruction changes nothing: the CPU's answers are those of the machine, for any state."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pvtrace.machine.journal import LINE
from pvtrace.machine.machine import Machine
from pvtrace.machine.pc import CONSOLE
from pvtrace.model.events import Event
from pvtrace.model.registers import Gpr, Seg
from pvtrace.model.step import Step
from pvtrace.tape.scripted import ScriptedTape
from tests.examples import examples
from tests.laws.test_law1_machine import End, end
from tests.machine.small import assemble, machine

CODE = 0x200000
INSTRUCTIONS = {
    "CPUID": b"\x0f\xa2",
    "IN AL, DX": b"\xec",
    "OUT DX, AL": b"\xee",
    "IN AL, imm8": b"\xe4\x80",
    "OUT imm8, AL": b"\xe6\x80",
    "IN AL, 21h; OUT 21h, AL; OUT DX, AL": b"\xe4\x21\xe6\x21\xee",
    "OUT DX, AL; IN AL, DX; OUT 20h, AL": b"\xee\xec\xe6\x20",
    "OUT DX, EAX; IN AL, DX": b"\xef\xec",
    "IN EAX, DX": b"\xed",
    "OUT DX, EAX": b"\xef",
    "REP OUTSB": b"\xf3\x6e",
    "LOCK CPUID": b"\xf0\x0f\xa2",
    "CS IN AL, DX": b"\x2e\xec",
    "RDTSC": b"\x0f\x31",
    "CLI": b"\xfa",
    "STI": b"\xfb",
    "STI, CLI": b"\xfb\xfa",
    "PUSHFD": b"\x9c",
    "POPFD": b"\x9d",
    "PUSHFD, CLI, POPFD": b"\x9c\xfa\x9d",
    "PUSHF": b"\x66\x9c",
    "POPF": b"\x66\x9d",
}
STACK = 0x201000
PIC_PORTS = (0x20, 0x21, 0xA0, 0xA1)
PIC_WORDS = (0, 0xFF, 0xFF, 0xEF, 0x11, 0x13, 0x20, 0x64, 0x80, 0xA0, 0xC3, 0x08, 0x0A, 0x0B, 0x0C, 0x68, 0x48)
"""Masks, initialisation, ends of interrupts with and without rotation, polling, special mask mode."""


class Case(NamedTuple):
    """`code`: repeated from CODE + `offset` on; `uart`: registers and what is written to them; `line`: bytes that the
    guest has said since the last line feed; `typed`: bytes that wait at the UART; `pic`: ports of the 8259 pair, and
    what is written to them; `raised`: interrupt lines, not the UART's."""

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
    esp: int
    popped: int
    vif: bool
    pending: bool
    user_if: bool
    limit: int
    tsd: bool
    pic: tuple[tuple[int, int], ...] = ()
    raised: tuple[int, ...] = ()


cases = st.builds(
    Case,
    code=st.sampled_from(tuple(INSTRUCTIONS.values())),
    offset=st.sampled_from((0, 0, 0xFF9, 0xFFF)),
    paravirtual=st.booleans(),
    eax=st.one_of(
        st.sampled_from((0, 1, 2, 3, 0x80000000, 0x80000004, 0x0A, 0x41, 0x20, 0x60, 0x64, 0xFF, 0xFB)),
        st.integers(0, 0xFFFFFFFF),
    ),
    port=st.one_of(
        st.integers(CONSOLE, CONSOLE + 7),
        st.sampled_from((CONSOLE, CONSOLE + 5, 0x61, 0x80, 0x1234)),
        st.sampled_from((*PIC_PORTS, 0xCF8, 0xCF9, 0xCFC)),
    ),
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
    esp=st.sampled_from((*(STACK + 0x800,) * 9, STACK, STACK + 2, STACK + 0xFFE, 0, 0xFFFFFFFC)),
    popped=st.sampled_from((0x202, 0x2, 0x3202, 0x3002, 0x1A02, 0x302, 0x102, 0x4A57, 0xFFFFFFFF, 0x10000, 0x20000)),
    vif=st.booleans(),
    pending=st.sampled_from((False, False, False, True)),
    user_if=st.sampled_from((False, False, True)),
    limit=st.sampled_from((*(0xFFFFFFFF,) * 5, STACK + 0x803, STACK + 0x7FE)),
    tsd=st.sampled_from((False, False, True)),
    pic=st.one_of(
        st.just(()),
        st.lists(st.tuples(st.sampled_from(PIC_PORTS), st.sampled_from(PIC_WORDS)), max_size=4).map(tuple),
    ),
    raised=st.sets(st.sampled_from((0, 1, 5, 7, 8, 12))).map(lambda lines: tuple(sorted(lines))),
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
    cpu.write_physical(STACK, case.popped.to_bytes(4, "little") * 1024)
    cpu.set_gpr(Gpr.ESP, case.esp)
    if case.tsd:
        cpu.set_cr(4, cpu.cr(4) | 1 << 2)
    stack, code = cpu.segment(Seg.SS), cpu.segment(Seg.CS)
    stack = stack._replace(limit=case.limit)
    if case.cpl >= 0:
        stack = stack._replace(attributes=stack.attributes & ~0x6000 | case.cpl << 13)
    cpu.set_segment(Seg.SS, stack)
    if not case.big:
        cpu.set_segment(Seg.CS, code._replace(attributes=code.attributes & ~(1 << 22)))
    for register, value in case.uart:
        uart.write(register, 1, value, built.ticks)
    uart.receive(case.typed)
    for port, value in case.pic:
        built.platform.bus.write(port, 1, value, built.ticks)
    for irq in case.raised:
        built.platform.interrupts.line(irq)(True)
    built.journal.line[:] = b"l" * case.line
    vif = case.vif and not case.pending  # else the interrupt would come first
    built.user_if = case.user_if
    built.system = replace(built.system, viopl=case.viopl, vif=vif)
    if not case.paravirtual:
        cpu.eflags = cpu.eflags & ~0x3200 | vif << 9 | case.viopl << 12
    if case.pending:
        built.platform.interrupts.line(0)(True)
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


SENT = ((0, 0x41),)
"""A byte was sent before: from then on the UART posts."""

ON_STACK = (STACK + 0x800, 0x46, False, False, False, 0xFFFFFFFF, False)
PLAIN = Case(b"", 0, True, 0x41, CONSOLE, 0, -1, 0, True, SENT, 0, b"", True, 3000, 0, *ON_STACK)


NEVER_AGAIN = PLAIN._replace(code=INSTRUCTIONS["POPFD"], cpl=3, user_if=True, popped=0x202, steps=1)
"""User code has turned interrupts off, and wants them back by POPF."""


@settings(max_examples=examples(800), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
@example(NEVER_AGAIN)
def test_an_instruction_is_answered_as_the_machine_does(case: Case) -> None:
    assert ran(case, True, case.steps) == ran(case, False, case.steps)


@pytest.mark.parametrize("paravirtual", [True, False])
@pytest.mark.parametrize(
    ("code", "port", "eax"),
    [
        (b"\x31\xc0\x0f\xa2", 0, 1),  # XOR EAX, EAX
        (b"\xec", CONSOLE + 5, 0),
        (b"\xec", CONSOLE + 1, 0),
        (b"\xee", CONSOLE, 0x41),
        (b"\x0f\x31", 0, 0),
        (b"\x9c\x9d", 0, 0),
        (b"\xfa\xfb", 0, 0),
        (b"\xee\xec", 0x21, 0xFF),
        (b"\xec\xee", 0xA1, 0),
        (b"\xee", 0x20, 0x20),
        (b"\xee", 0xA0, 0x63),
        (b"\xef", 0xCF8, 0x80000000),
    ],
    ids=[
        *("CPUID", "LSR", "IER", "THR", "RDTSC", "PUSHF, POPF", "CLI, STI"),
        *("IMR", "second IMR", "EOI", "specific EOI", "PCI address"),
    ],
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
