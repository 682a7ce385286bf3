"""Calls that break a rule of the interface, or whose operands cannot be used: refused at the call site."""

import pytest

from pvtrace.model.registers import Gpr, Seg
from pvtrace.model.stops import Why
from pvtrace.vmi import apic, table
from pvtrace.vmi.effects import VmiEffects, transfers_control
from pvtrace.x86 import descriptors as d
from pvtrace.x86.effects import (
    End,
    Note,
    Raise,
    SetEip,
    SetGpr,
    WriteMemory,
)
from pvtrace.x86.exceptions import GP, PF
from rom.abi import CALLS, CallInfo, Generation
from tests.vmi.vmi_cases import generations, guest
from tests.vmi.vmi_flat import (
    HOLE,
    KERNEL_DS,
    SITE,
    STACK,
    Guest,
)

SERVED = [info for info in CALLS if info.name not in apic.UNSUPPORTED]
OTHERS = [info for info in SERVED if info.name not in table.BEFORE_INIT]


def generation_of(info: CallInfo) -> Generation:
    return generations(info.name)[0]


@pytest.mark.parametrize("info", OTHERS, ids=lambda info: info.name)
def test_before_init_a_call_ends_the_run(info: CallInfo) -> None:
    effects = Guest().call(info.name, generation_of(info))
    detail = f"the guest called VMI {info.name} at {SITE:08x} before VMI Init had made it paravirtual"
    assert effects == (End(Why.TERMINATED, detail=detail),)


def refused(effects: VmiEffects) -> tuple[str, VmiEffects]:
    note, *rest = effects
    assert isinstance(note, Note)
    assert transfers_control(effects)
    return note.text, tuple(rest)


GP_AT_SITE = (SetEip(SITE), SetGpr(Gpr.ESP, STACK), Raise(GP, 0, None))


@pytest.mark.parametrize("info", CALLS, ids=lambda info: info.name)
def test_a_call_from_user_mode_is_a_protection_fault_at_its_site(info: CallInfo) -> None:
    g = guest()
    g.segments[Seg.SS] = d.flat(0x23, 3, code=False, hole=HOLE)
    text, effects = refused(g.call(info.name, generation_of(info)))
    assert "user mode" in text
    assert effects == GP_AT_SITE


NOT_FLAT = {
    "null": d.null_segment(),
    "base": d.flat(KERNEL_DS | 1, 1, code=False, hole=HOLE)._replace(base=0x1000),
    "limit": d.flat(KERNEL_DS | 1, 1, code=False, hole=HOLE - 0x1000),
}


@pytest.mark.parametrize("register", [Seg.DS, Seg.ES])
@pytest.mark.parametrize("shape", NOT_FLAT)
@pytest.mark.parametrize("info", OTHERS, ids=lambda info: info.name)
def test_data_segments_must_be_flat_for_the_calls_that_use_them(info: CallInfo, shape: str, register: Seg) -> None:
    g = guest()
    g.segments[register] = NOT_FLAT[shape]
    effects = g.call(info.name, generation_of(info))
    if info.segments == 4:
        text, rest = refused(effects)
        assert f"{register.name} not a flat" in text
        assert rest == GP_AT_SITE
    else:
        assert not any(isinstance(effect, Note) for effect in effects)


@pytest.mark.parametrize("register", [Seg.CS, Seg.SS])
@pytest.mark.parametrize("info", OTHERS, ids=lambda info: info.name)
def test_code_and_stack_must_be_32_bit(info: CallInfo, register: Seg) -> None:
    g = guest()
    segment = g.segments[register]
    g.segments[register] = segment._replace(attributes=segment.attributes & ~d.BIG)
    text, effects = refused(g.call(info.name, generation_of(info)))
    assert f"{register.name} not a flat" in text
    assert effects == GP_AT_SITE


@pytest.mark.parametrize("name", apic.UNSUPPORTED)
def test_a_call_that_is_not_served_ends_the_run_and_names_itself(name: str) -> None:
    for generation in generations(name):
        (end,) = guest().call(name, generation)
        assert isinstance(end, End)
        assert end.why is Why.UNSUPPORTED
        assert f"VMI {name} " in end.detail


def test_invd_ends_the_run() -> None:
    (end,) = guest().call("INVD", Generation.V13)
    assert isinstance(end, End)
    assert end.why is Why.TERMINATED


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("GetGDT", {"buffer_pointer": 0xF0000000}),
        ("SetPxE", {"entry_pointer": 0xF0000000, "value": 1}),
    ],
)
def test_a_store_that_would_fault_is_the_first_effect(name: str, operands: dict[str, int]) -> None:
    effects = guest().call(name, **operands)
    assert isinstance(effects[0], WriteMemory)


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("SetGDT", {"table_pointer": 0xF0000000}),
        ("SetIDT", {"table_pointer": 0xF0000000}),
        ("OUTSB", {"buffer_pointer": 0xF0000000, "count": 1}),
        ("SetInitialAPState", {"state_pointer": 0xF0000000, "apic_id": 1}),
    ],
)
def test_a_pointer_to_nowhere_is_a_page_fault_at_the_call_site(name: str, operands: dict[str, int]) -> None:
    effects = guest().call(name, **operands)
    assert effects == (SetEip(SITE), SetGpr(Gpr.ESP, STACK), Raise(PF, 0, 0xF0000000))


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("RDMSR", {"index": 0xDEAD}),
        ("WRMSR", {"index": 0xDEAD}),
        ("RDPMC", {"index": 2}),
        ("SetCR0", {"value": 0x80000000}),
        ("SetCR4", {"value": 0x80000000}),
    ],
)
def test_a_value_that_the_instruction_refuses_is_refused_at_the_call_site(name: str, operands: dict[str, int]) -> None:
    assert guest().call(name, **operands) == GP_AT_SITE
