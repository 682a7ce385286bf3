"""Every call of both generations does what its row says, and changes its results alone."""

import pytest

from pvtrace.model.registers import Gpr, Seg
from pvtrace.vmi import apic, init, table, transitions
from pvtrace.vmi.effects import transfers_control
from pvtrace.x86 import eflags
from pvtrace.x86.effects import (
    Raise,
    ReadPort,
    SetEip,
    SetFlags,
    SetGpr,
    SetSystem,
    WriteMemory,
)
from pvtrace.x86.exceptions import PF
from rom.abi import CALLS, Generation, Place, by_name
from tests.vmi.vmi_cases import CASES, Case, generations, guest
from tests.vmi.vmi_flat import (
    DATA,
    KERNEL_CS,
    SITE,
    STACK,
)

ELSEWHERE = {*init.HANDLERS, *transitions.HANDLERS, *apic.UNSUPPORTED, "INVD"}
"""Tested by themselves, here or in a file of their own."""


EVERY = [
    pytest.param(case, generation, id=f"{generation}-{case.name}-{index}")
    for index, case in enumerate(CASES)
    for generation in generations(case.name)
    if case.only in (None, generation)
]


@pytest.mark.parametrize(("case", "generation"), EVERY)
def test_a_call_does_what_its_row_says(case: Case, generation: Generation) -> None:
    g = guest()
    case.prepare(g)
    wanted = case.wanted(g) if callable(case.wanted) else case.wanted
    assert g.call(case.name, generation, **case.operands) == wanted


@pytest.mark.parametrize(("case", "generation"), EVERY)
def test_a_call_changes_its_results_and_no_other_register(case: Case, generation: Generation) -> None:
    g = guest()
    case.prepare(g)
    results = {operand.place for operand in by_name(case.name).results}
    effects = g.call(case.name, generation, **case.operands)
    changed = {Place[Gpr(effect.register).name] for effect in effects if isinstance(effect, SetGpr)}
    changed |= {Place.EAX for effect in effects if isinstance(effect, ReadPort) and effect.address is None}
    assert changed <= results <= table.may_change(by_name(case.name))


@pytest.mark.parametrize(("case", "generation"), EVERY)
def test_stores_come_first_and_flags_after_the_system(case: Case, generation: Generation) -> None:
    """A store that faults leaves the call undone; SetSystem replaces what SetFlags changes."""
    g = guest()
    case.prepare(g)
    effects = g.call(case.name, generation, **case.operands)
    stores = [isinstance(effect, WriteMemory) for effect in effects]
    assert stores == sorted(stores, reverse=True)
    kinds = [type(effect) for effect in effects]
    if SetFlags in kinds and SetSystem in kinds:
        assert kinds.index(SetSystem) < kinds.index(SetFlags)


def test_every_call_has_a_handler_and_a_test() -> None:
    names = {info.name for info in CALLS}
    assert set(table.HANDLERS) == names
    assert {case.name for case in CASES} | ELSEWHERE == names


def test_protection_and_paging_stay_on() -> None:
    g = guest()
    g.do("SetCR0", value=0x10)
    assert g.do("GetCR0") & 0xFFFFFFFF == 0x80000011
    assert g.notes


def test_debug_registers_that_do_not_exist_are_ignored() -> None:
    g = guest()
    before = g.system
    g.do("SetDR", register=8, value=1)
    assert g.system == before
    assert g.do("GetDR", register=8) & 0xFFFFFFFF == 0


def test_string_calls_count_on_and_go_backwards_with_df() -> None:
    g = guest()
    g.ports = list(range(600))
    g.eflags |= eflags.DF
    g.gprs[Gpr.ESP] = STACK
    g.do("INSB", buffer_pointer=DATA + 599, port=0x1F0, count=600)
    dispatches = 1
    while g.gprs[Gpr.ECX]:
        g.gprs[Gpr.ESP] = STACK  # the call stays at its entry point: the return address is still there
        g.do("INSB")
        dispatches += 1
    assert dispatches == 3
    assert g.memory[DATA : DATA + 600] == bytes(value & 0xFF for value in range(600))[::-1]
    assert g.gprs[Gpr.EDI] == DATA - 1
    assert g.eip == SITE + 5


def test_a_string_call_that_faults_midway_keeps_what_it_did() -> None:
    g = guest()
    g.absent = {(DATA >> 12) + 1}
    start = DATA + 0x1000 - 3
    effects = g.call("OUTSB", buffer_pointer=start, port=0x3F8, count=10)
    g.apply(effects)
    assert [port.value for port in g.written] == list(g.memory[start : start + 3])
    assert (g.gprs[Gpr.ESI], g.gprs[Gpr.ECX]) == (DATA + 0x1000, 7)
    assert transfers_control(effects)
    g.gprs[Gpr.ESP] = STACK
    again = g.call("OUTSB")
    assert again == (SetEip(SITE), SetGpr(Gpr.ESP, STACK), Raise(PF, 0, DATA + 0x1000))


def test_get_interrupt_mask_shows_virtual_if_alone() -> None:
    g = guest()
    g.do("DisableInterrupts")
    assert g.do("GetInterruptMask") & 0xFFFFFFFF == 0
    g.do("SetInterruptMask", mask=0xFFFFFFFF)
    assert g.do("GetInterruptMask") & 0xFFFFFFFF == 0x200
    assert g.eflags & eflags.IF
    assert g.segments[Seg.CS].selector == KERNEL_CS | 1


@pytest.mark.parametrize(("refused", "error"), [("absent", 2), ("read_only", 3)])
def test_a_device_is_not_read_for_a_store_that_faults(refused: str, error: int) -> None:
    g = guest()
    setattr(g, refused, {(DATA >> 12) + 1})
    g.ports = [0x1111, 0x2222, 0x3333]
    start = DATA + 0x1000 - 3
    g.apply(g.call("INSW", buffer_pointer=start, port=0x1F0, count=3))
    assert g.ports == [0x2222, 0x3333], "the second element crosses into the page that refuses it"
    assert (g.gprs[Gpr.EDI], g.gprs[Gpr.ECX]) == (start + 2, 2)
    g.gprs[Gpr.ESP] = STACK
    assert g.call("INSW") == (SetEip(SITE), SetGpr(Gpr.ESP, STACK), Raise(PF, error, DATA + 0x1000))
