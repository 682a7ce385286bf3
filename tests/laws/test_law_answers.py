"""Who answers a VMI call changes nothing: the CPU's answers are those of the handlers, for any state and in any run."""

from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvtrace.machine.answers import HOW
from pvtrace.machine.machine import Machine
from pvtrace.model.events import Event
from pvtrace.model.exits import Exit
from pvtrace.model.registers import Gpr, Seg, Segment, TableRegister
from pvtrace.model.step import Step
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.x86.machine_specific import TSC
from rom.abi import Generation, by_name, by_number
from rom.layout import stub
from tests.examples import examples
from tests.laws.test_law1_machine import DEMOS, SMALL, End, build, end
from tests.machine.small import LIMIT, assemble, machine

CODE, STACK = 0x200000, 0x201000
CALLS = tuple(
    (generation, number)
    for name in HOW
    for generation in Generation
    if (number := by_name(name).number(generation)) is not None
)
PLAIN_CALLS = tuple(call for call in CALLS if (info := by_number(*call)) and info.name not in ("IRET", "SYSEXIT"))
"""Those that return to their caller: of the others, test_law_entering has the plain case."""

FLAGS = 0xCD5 | 1 << 14 | 1 << 18 | 1 << 21
"""The arithmetic flags, DF, NT, AC and ID."""

PAGES = 0x300000
"""Memory for tables; the pages behind the first are read-only and not present where paging is on."""

DIRECTORY, TABLE = 0x310000, 0x311000
POINTERS = (
    PAGES,
    PAGES + 0xFFC,
    PAGES + 0xFFE,
    PAGES + 0x1000,
    PAGES + 0x2000,
    DIRECTORY,
    DIRECTORY + 4,
    TABLE + 0xC00,
)
FRAMES = tuple(pointer >> 12 for pointer in (PAGES, DIRECTORY, TABLE, CODE, 0x320000))


class Case(NamedTuple):
    """A machine at the entry point of a call. `segment`: a register, and what its limit and attributes are made."""

    call: tuple[Generation, int]
    damaged: bool
    registers: tuple[int, int, int]
    esp: int
    flags: int
    return_eip: int
    vif: bool
    viopl: int
    pending: bool
    tsc: int
    start: int
    stolen: int
    jump: int
    cpl: int
    segment: tuple[Seg, int, int] | None
    paravirtual: bool
    paging: bool
    cr0: int
    announced: tuple[tuple[int, int], ...]
    told: tuple[int, ...]
    defer: bool
    lazy: int
    tables: bool
    steps: int


words = st.integers(0, 0xFFFFFFFF)
pointers = st.sampled_from(POINTERS)
entries = st.builds(lambda frame, low: frame << 12 | low, st.sampled_from((*FRAMES, 0xFFFFF)), st.integers(0, 255))
arguments = st.one_of(pointers, pointers, entries, st.integers(0, 10), words)
types = st.integers(1, 15)
ALL_ANNOUNCED = [(frame, 1) for frame in FRAMES]
MOSTLY = (True,) * 9 + (False,)
RARELY = (False,) * 9 + (True,)
cases = st.builds(
    Case,
    call=st.sampled_from(CALLS),
    damaged=st.sampled_from(RARELY),
    registers=st.tuples(st.one_of(st.integers(0, 45), arguments, pointers), arguments, arguments),
    esp=st.sampled_from((*(STACK,) * 9, STACK + 1, STACK + 0xFFD, 0x3FFFFC, 0x3FFFFE, 0xFFFFFFFC, 0xFFFFFFFE, 0)),
    flags=words.map(lambda n: n & FLAGS),
    return_eip=st.one_of(st.just(CODE + 0x100), words),
    vif=st.booleans(),
    viopl=st.integers(0, 3),
    pending=st.booleans(),
    tsc=st.integers(0, (1 << 64) - 1),
    start=st.integers(0, 1000),
    stolen=st.integers(0, 500),
    jump=st.integers(2000, 1 << 40),
    cpl=st.sampled_from((*(1,) * 9, 0, 2, 3)),
    segment=st.one_of(
        *(st.none(),) * 5,
        st.tuples(
            st.sampled_from((Seg.CS, Seg.SS, Seg.DS, Seg.ES)),
            st.sampled_from((0xFFFFFFFF, 0xFBFFFFFF, 0xFBFFFFFE, 0xFFFF)),
            st.sampled_from((0, 1 << 10, 1 << 22)),  # attributes to change: expand-down, big
        ),
    ),
    paravirtual=st.sampled_from(MOSTLY),
    paging=st.booleans(),
    cr0=st.sampled_from((0, 1 << 16)),
    announced=st.one_of(
        st.just(ALL_ANNOUNCED), st.lists(st.tuples(st.sampled_from(FRAMES), types), unique_by=itemgetter(0))
    ).map(lambda pages: tuple(sorted(pages))),
    told=st.sets(st.sampled_from(FRAMES)).map(lambda frames: tuple(sorted(frames))),
    defer=st.sampled_from(RARELY),
    lazy=st.integers(0, 2),
    tables=st.booleans(),
    steps=st.sampled_from((1, 2, 3)),
)


def ran(case: Case, allowed: bool) -> tuple[End, list[Event]]:
    """The machine a few steps later, and what it did."""
    tape = ScriptedTape()
    built = machine(assemble("start:\n INIT\n.spin: jmp .spin", case.paravirtual), tape)
    built.run(Step(1000))
    arrange(built, case)
    built.answers.allowed = allowed
    before = len(tape.events)
    stop = built.run(Step(built.step + case.steps))
    return end(built, stop), tape.events[before:]


def arrange(built: Machine, case: Case) -> None:
    cpu, system = built.cpu, built.system
    code = bytearray(stub(*case.call))
    if case.damaged:
        code[3] ^= 1
    cpu.write_physical(CODE, bytes(code))
    cpu.write_physical(CODE + 0x100, b"\x90" * 16)
    for page in (STACK, 0x3FF000):
        cpu.write_physical(page, case.return_eip.to_bytes(4, "little") * 1024)
    for gpr, value in zip((Gpr.EAX, Gpr.EDX, Gpr.ECX), case.registers, strict=True):
        cpu.set_gpr(gpr, value)
    cpu.set_gpr(Gpr.ESP, case.esp)
    cpu.set_cr(2, case.registers[1])
    cpu.eip = CODE
    cpu.eflags = cpu.eflags & ~FLAGS | case.flags
    if case.segment is not None:
        register, limit, change = case.segment
        segment = cpu.segment(register)
        cpu.set_segment(register, segment._replace(limit=limit, attributes=segment.attributes ^ change))
    stack = cpu.segment(Seg.SS)
    cpu.set_segment(Seg.SS, stack._replace(attributes=stack.attributes & ~0x6000 | case.cpl << 13))
    if case.tables:  # where the calls store: their own are live
        cpu.gdtr = TableRegister(case.registers[0], 0x2F)
        cpu.ldtr = Segment(0x28, case.registers[0], 0x2F, 0x8200)
    if case.paging:
        turn_paging_on(built, case.cr0)
    msrs = system.with_msr(TSC, case.tsc)
    vif = case.vif and not case.pending  # else the interrupt would come before the call
    built.latitude = replace(built.latitude, defer=case.defer)
    built.system = replace(system, vif=vif, viopl=case.viopl, msrs=msrs)
    built.vmi = replace(
        built.vmi, start=case.start, stolen=case.stolen, page_types=case.announced, told=case.told, lazy=case.lazy
    )
    built.clock = built.clock.jumped_to(case.jump, built.step)
    built.set_horizon()
    if case.pending:
        built.platform.interrupts.line(0)(True)


def turn_paging_on(built: Machine, cr0: int) -> None:
    """All of memory where it is, one page read-only, one not present."""
    cpu = built.cpu
    entries = [frame << 12 | 3 for frame in range(1024)]
    entries[(PAGES >> 12) + 1] ^= 2
    entries[(PAGES >> 12) + 2] ^= 1
    cpu.write_physical(TABLE, b"".join(entry.to_bytes(4, "little") for entry in entries))
    cpu.write_physical(DIRECTORY, (TABLE | 3).to_bytes(4, "little"))
    cpu.set_cr(3, DIRECTORY)
    cpu.set_cr(0, cpu.cr(0) | 1 << 31 | cr0)


@settings(max_examples=examples(600), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_a_call_is_answered_as_its_handler_does(case: Case) -> None:
    assert ran(case, allowed=True) == ran(case, allowed=False)


PLAIN = Case(
    call=CALLS[0],
    damaged=False,
    registers=(0, 0x200, 7),
    esp=STACK,
    flags=0,
    return_eip=CODE + 0x100,
    vif=False,
    viopl=0,
    pending=False,
    tsc=5,
    start=100,
    stolen=10,
    jump=5000,
    cpl=1,
    segment=None,
    paravirtual=True,
    paging=False,
    cr0=0,
    announced=tuple(ALL_ANNOUNCED),
    told=(),
    defer=False,
    lazy=0,
    tables=False,
    steps=2,
)
ARGUMENTS = {
    "SetPxE": (0x320067, PAGES, 0),
    "SetPxELong": (0x320067, 0, PAGES),
    "SetPxE0": (PAGES, 0x320067, 0),
    "SetPxELong0": (0x320067, 0, PAGES),
    "UpdatePxE": (PAGES, 0, 0),
    "UpdatePxELong": (PAGES, 0, 0),
    "SetCR3": (DIRECTORY, 0, 0),
    "SetLazyMode": (1, 0, 0),
}
"""EAX, EDX and ECX, where the plain call needs them."""


@pytest.mark.parametrize("call", PLAIN_CALLS, ids=lambda call: f"{call[0].name}-{call[1]}")
def test_the_cpu_answers_the_plain_case(call: tuple[Generation, int]) -> None:
    built = machine(assemble("start:\n INIT\n.spin: jmp .spin", True), ScriptedTape())
    built.run(Step(1000))
    info = by_number(*call)
    assert info is not None
    arrange(built, PLAIN._replace(call=call, registers=ARGUMENTS.get(info.name, (PAGES, 2, 7))))
    exits: list[str] = []
    run = built.cpu.run
    built.cpu.run = lambda until: exits.append(type(exit_ := run(until)).__name__) or exit_  # type: ignore[method-assign,func-returns-value]
    built.run(Step(built.step + 2))
    assert exits == ["Arrived"]


@pytest.mark.parametrize(("name", "paravirtual"), [*SMALL, *((name, True) for name in DEMOS)])
def test_a_run_is_the_same_with_and_without_answers(name: str, paravirtual: bool) -> None:
    outcomes = []
    for allowed in (True, False):
        built, tape = build(name, paravirtual)
        built.answers.allowed = allowed
        stop = built.run(LIMIT)
        outcomes.append((end(built, stop), tape.events))
    assert outcomes[0] == outcomes[1]


def test_a_witness_hears_of_every_call_by_its_event_alone() -> None:
    seen: list[Exit] = []
    built, tape = build("irqs", True)
    alone, events = build("irqs", True)
    built.witness = seen.append
    stop = built.run(LIMIT)
    assert end(built, stop) == end(alone, alone.run(LIMIT))
    assert tape.events == events.events
    shown = sum(type(exit_).__name__ == "Hypercall" for exit_ in seen)
    assert 0 < shown < sum(event.kind == 1 for event in tape.events)
