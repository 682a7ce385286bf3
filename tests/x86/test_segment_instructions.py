"""What x86.segment_instructions and x86.code_transfers say that the CPU does is what the CPU does: for any descriptors,
selectors, registers and page rights, natively at CPL 0 and 3 and deprivileged at CPL 1 and 3.

Two machines stand in the same state. On one the CPU runs the instruction; on the other the handler is asked, and its
effects are applied.
"""

from dataclasses import dataclass, replace
from struct import pack
from typing import Final

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.apply import apply
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.exits import Arrived, Exit, Fault, Seen, Sensitive
from pvtrace.model.registers import Registers, Seg, Segment, TableRegister
from pvtrace.model.step import Step
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.x86 import code_transfers, privileged, segment_instructions
from pvtrace.x86.descriptors import null_segment, segment_from_descriptor
from pvtrace.x86.disasm import decode
from pvtrace.x86.effects import Effects, Native, Raise
from pvtrace.x86.operands import code_bits
from pvtrace.x86.state import System
from pvtrace.x86.view import PageFault
from tests.oracle.assembler import assemble

RAM: Final = 1 << 20
CODE, DATA, STACK, INNER = 0x10000, 0x20000, 0x30800, 0x38800
GDT, LDT, TSS, DIRECTORY, TABLE = 0x40000, 0x41000, 0x42000, 0x50000, 0x51000
HOLE: Final = 0xFC000000
USER: Final = 4
"""Of a page fault's error code. The CPU sets it for user code whose descriptor table is not mapped, where the manual
has a supervisor's access (SDM volume 3, 4.7)."""

ENTRIES: Final = 12
"""Of the GDT: null, the six that a level runs in, and random ones. The LDT has four random ones."""

LEVELS: Final = {0: (0x08, 0x10), 1: (0x19, 0x21), 3: (0x2B, 0x33)}
FIXED: Final = (0, *(0x00CF9B000000FFFF | dpl << 45 | data << 43 for dpl in (0, 1, 3) for data in (0, 1)))

MEMORY_FORMS: Final = ("ax", "word [edi]", "word [fs:edi + 2]")
SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs")
LOADED: Final = ("es", "ss", "ds", "fs", "gs")
SOURCES: Final = {
    "LAR": [f"lar {register}, {form}" for register in ("ebx", "bx") for form in MEMORY_FORMS],
    "LSL": [f"lsl {register}, {form}" for register in ("ebx", "bx") for form in MEMORY_FORMS],
    "VERR": [f"verr {form}" for form in MEMORY_FORMS],
    "VERW": [f"verw {form}" for form in MEMORY_FORMS],
    "ARPL": [f"arpl {form}, cx" for form in MEMORY_FORMS],
    "MOV from a segment register": [f"mov {to}, {name}" for name in SEGMENTS for to in ("ebx", "bx", "[edi]")],
    "PUSH of a segment register": [f"{size} push {name}" for name in SEGMENTS for size in ("o32", "o16")],
    "MOV to a segment register": [f"mov {name}, {form}" for name in LOADED for form in MEMORY_FORMS],
    "POP of a segment register": [f"{size} pop {name}" for name in LOADED for size in ("o32", "o16")],
    "LDS, LES, LFS, LGS, LSS": [f"l{name} {register}, [edi]" for name in LOADED for register in ("ebx", "bx")],
    "RETF": [f"{size} {name}" for name in ("retf", "retf 12") for size in ("o32", "o16")],
    "JMP FAR": ["jmp dword far [edi]", "jmp word far [edi]", "jmp 0x3B:0x10100", "jmp 0x40:0x100"],
    "CALL FAR": ["call dword far [edi]", "call word far [edi]", "call 0x3B:0x10100", "call 0x41:0x12345678"],
}


def descriptor(base: int, limit: int, attributes: int) -> int:
    low = (base & 0xFFFF) << 16 | limit & 0xFFFF
    return low | (base & 0xFF000000 | attributes & 0x00F0FF00 | limit & 0xF0000 | base >> 16 & 0xFF) << 32


SELECTOR: Final = st.one_of(
    st.sampled_from([0, 1, 3, 4, 7]),
    st.builds(lambda index, table, rpl: index << 3 | table << 2 | rpl, *(st.integers(0, top) for top in (13, 1, 3))),
)
SEGMENT: Final = st.builds(
    descriptor,
    st.sampled_from([0, 0x100, 0x10000, 0xFFFFF000]),
    st.sampled_from([0, 0xFF, 0xFFFF, 0x10200, 0xFFFFF]),
    st.builds(
        lambda kind, system, dpl, present, high: kind << 8 | system << 12 | dpl << 13 | present << 15 | high << 20,
        st.integers(0, 15),
        st.sampled_from([1, 1, 1, 0]),
        st.integers(0, 3),
        st.sampled_from([1, 1, 1, 0]),
        st.sampled_from([0, 4, 8, 12]),
    ),
)
GATE: Final = st.builds(
    lambda selector, offset, kind, dpl, count, present: (
        selector << 16 | offset & 0xFFFF | (offset & 0xFFFF0000 | present << 15 | dpl << 13 | kind << 8 | count) << 32
    ),
    SELECTOR,
    st.sampled_from([0x10100, 0x100, 0xFFFFFFF]),
    st.sampled_from([4, 12]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([1, 1, 1, 0]),
)
ENTRY: Final = st.one_of(SEGMENT, SEGMENT, GATE)


@dataclass(frozen=True, slots=True)
class Start:
    """Where both machines begin. `pages`: the rights (present, writable, user) of the pages of DATA, GDT and LDT;
    None without paging. `level`: CPL, and whether it is that of a paravirtual guest."""

    source: str
    level: tuple[int, bool]
    gdt: tuple[int, ...]
    ldt: tuple[int, ...]
    eax: int
    ecx: int
    words: tuple[int, ...]
    stack: tuple[int, ...]
    inner: tuple[int, int, int]
    live: tuple[int, int]
    flags: int
    pages: tuple[int, int, int] | None


PAGES: Final = st.one_of(st.none(), st.tuples(*(st.sampled_from([7, 7, 7, 5, 3, 1, 6]) for _ in range(3))))
STARTS: Final = st.builds(
    Start,
    source=st.just(""),
    level=st.sampled_from([(0, False), (3, False), (1, True), (3, True)]),
    gdt=st.tuples(*(ENTRY for _ in range(ENTRIES - len(FIXED)))),
    ldt=st.tuples(*(ENTRY for _ in range(4))),
    eax=st.builds(lambda low, high: low | high << 16, SELECTOR, st.integers(0, 0xFFFF)),
    ecx=SELECTOR,
    words=st.tuples(st.sampled_from([0x10100, 0xFFFFFFF, 0x100]), SELECTOR, SELECTOR, SELECTOR),
    stack=st.tuples(st.sampled_from([0x10100, 0x1010000]), SELECTOR, SELECTOR, st.integers(0, 0xFFFFFFFF), SELECTOR),
    inner=st.tuples(SELECTOR, SELECTOR, SELECTOR),
    live=st.tuples(SELECTOR, SELECTOR),
    flags=st.sampled_from([2, 0x46, 0x8D7]),
    pages=PAGES,
)


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def to_word(selector: int) -> bytes:
    return selector.to_bytes(2, "little")


def unused() -> Machine:
    return Machine(UnicornCpu(RAM, watchful=True), ScriptedTape(), Settings(ram=RAM, hz=1_000_000))


MACHINES: Final[list[Machine]] = []


def machines() -> tuple[Machine, Machine]:
    if not MACHINES:
        MACHINES.extend((unused(), unused()))
    return MACHINES[0], MACHINES[1]


def placed(machine: Machine, start: Start) -> None:
    """Put the machine into this state."""
    cpu = machine.cpu
    assert isinstance(cpu, UnicornCpu)
    cpl, paravirtual = start.level
    code, data = LEVELS[cpl]
    cpu.set_cr(0, 0x11)
    for address, size in ((CODE, 16), (DATA, 64), (STACK - 64, 128), (INNER - 64, 128), (GDT, 128), (LDT, 64)):
        cpu.write_physical(address, bytes(size))
    cpu.write_physical(CODE, assemble(start.source, CODE))
    cpu.write_physical(GDT, pack(f"<{ENTRIES}Q", *FIXED, *start.gdt))
    cpu.write_physical(LDT, pack("<4Q", *start.ldt))
    for index, word in enumerate(start.words):
        cpu.write_physical(DATA + 2 * index, to_word(word & 0xFFFF))
    size = 2 if "o16" in start.source else 4
    cpu.write_physical(
        STACK, b"".join((value & ((1 << 8 * size) - 1)).to_bytes(size, "little") for value in start.stack)
    )
    cpu.write_physical(TSS, bytes(104))
    for level, selector in enumerate(start.inner):
        cpu.write_physical(TSS + 4 + 8 * level, words(INNER, selector))
    cpu.gdtr = TableRegister(GDT, 8 * ENTRIES - 1)
    cpu.ldtr = Segment(0x38, LDT, 8 * 4 - 1, 0x8200)
    cpu.tr = Segment(0x40, TSS, 103, 0x8B00)
    for register in Seg:
        flat = FIXED[(code if register == Seg.CS else data) >> 3]
        cpu.set_segment(
            register,
            segment_from_descriptor(code if register == Seg.CS else data, flat & 0xFFFFFFFF, flat >> 32),
        )
    for register, selector in zip((Seg.ES, Seg.GS), start.live, strict=True):
        image = (*FIXED, *start.gdt)[selector >> 3] if selector >> 3 < ENTRIES and not selector & 4 else 0
        live = segment_from_descriptor(selector, image & 0xFFFFFFFF, image >> 32)
        cpu.set_segment(register, live if image else null_segment(selector))
    for number, value in enumerate((start.eax, start.ecx, 0x22222222, 0x33333333, STACK, 0x55555555, 0x66666666, DATA)):
        cpu.set_gpr(number, value)
    machine.system = System(paravirtual=paravirtual, vif=False, hole=HOLE if paravirtual else 1 << 32)
    cpu.hole = machine.system.hole
    cpu.eflags = start.flags
    cpu.eip = CODE
    paged(cpu, start.pages)
    cpu.take_dirty()


def paged(cpu: UnicornCpu, pages: tuple[int, int, int] | None) -> None:
    """1 MiB, each page at its own address."""
    cpu.flush_tlb()
    if pages is None:
        return
    rights = dict(zip((DATA >> 12, GDT >> 12, LDT >> 12), pages, strict=True))
    table = [page << 12 | rights.get(page, 7) | 0x60 for page in range(RAM >> 12)]
    cpu.write_physical(DIRECTORY, words(TABLE | 0x27, *[0] * 1023))
    cpu.write_physical(TABLE, words(*table, *[0] * (1024 - len(table))))
    cpu.set_cr(3, DIRECTORY)
    cpu.set_cr(0, 0x80010011)


def reaches_a_task(machine: Machine, source: str) -> bool:
    """A far transfer that the CPU is not left to run."""
    try:
        return privileged.execute(machine.view, assemble(source, CODE)).effects != (Native(),)
    except PageFault:
        return False


def on_the_cpu(machine: Machine) -> Fault | None:
    """Run one instruction, which may be intercepted first."""
    cpu = machine.cpu
    found: Exit | None = cpu.run(Step(cpu.steps + 1))
    if isinstance(found, Sensitive | Seen):
        found = cpu.run_native()
    assert found is None or isinstance(found, Arrived | Fault), found
    if not isinstance(found, Fault):
        return None
    absent_table = found.address is not None and found.address >> 12 in (GDT >> 12, LDT >> 12) and found.error == USER
    return replace(found, error=0) if absent_table else found


def by_the_handler(machine: Machine, source: str) -> Fault | None:
    """Ask the handler, and apply what it says."""
    view = machine.view
    instruction = decode(assemble(source, CODE), code_bits(view))
    handler = code_transfers.HANDLERS.get(instruction.mnemonic) or segment_instructions.handler(instruction)
    assert handler is not None, instruction
    try:
        effects = handler(view, instruction).effects
        if isinstance(effects[-1], Raise):
            return Fault(effects[-1].vector, effects[-1].error, effects[-1].address)
        return applied(machine, effects)
    except PageFault as refused:
        return Fault(14, refused.error, refused.address)


def applied(machine: Machine, effects: Effects) -> Fault | None:
    before = state(machine)
    try:
        assert apply(machine, effects) == ()
    except PageFault as refused:
        assert state(machine) == before, "a refused store comes before everything else"
        return Fault(14, refused.error, refused.address)
    return None


def state(machine: Machine) -> tuple[Registers, bytes]:
    return machine.cpu.registers(), machine.cpu.read_physical(0, RAM)


@pytest.mark.parametrize("family", SOURCES)
@settings(max_examples=200, deadline=None)
@given(data=st.data(), blank=STARTS)
def test_handlers_say_what_the_cpu_does(family: str, data: st.DataObject, blank: Start) -> None:
    start = replace(blank, source=data.draw(st.sampled_from(SOURCES[family])))
    one, other = machines()
    placed(one, start)
    placed(other, start)
    assert state(one) == state(other)
    assume(not reaches_a_task(one, start.source))
    did, said = on_the_cpu(one), by_the_handler(other, start.source)
    event(f"{start.source.split()[0]} {did}")
    assert said == did
    if did is None:
        left, right = state(one), state(other)
        assert right[0] == left[0]
        assert right[1] == left[1]
