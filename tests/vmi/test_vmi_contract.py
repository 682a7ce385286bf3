"""The register contract: what a call may not change, and that the check of it sees what breaks it."""

import pytest

from pvtrace.model.registers import Gpr, Seg
from pvtrace.vmi.effects import transfers_control
from pvtrace.vmi.table import breaks_contract
from pvtrace.x86.descriptors import null_segment
from pvtrace.x86.effects import SetGpr, SetSegment
from rom.abi import CALLS, CallInfo, Family, Generation, Place, by_name
from tests.vmi.vmi_cases import CASES, Case, guest


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_call_breaks_it(case: Case) -> None:
    info = by_name(case.name)
    generation = case.only or (Generation.V3 if info.n3 is not None else Generation.V13)
    g = guest()
    case.prepare(g)
    effects = g.call(case.name, generation, **case.operands)
    assert transfers_control(effects) or not breaks_contract(info, effects)


@pytest.mark.parametrize("info", CALLS, ids=lambda info: info.name)
def test_the_check_sees_every_register(info: CallInfo) -> None:
    lost = {place.name for place in info.clobbers} | {operand.place.name for operand in info.results}
    for register in Gpr:
        broken = breaks_contract(info, (SetGpr(register, 0),))
        assert broken == ("" if register.name in lost else register.name)
    loads = info.family is Family.DESCRIPTORS or info.name == "Init"
    assert breaks_contract(info, (SetSegment(Seg.FS, null_segment()),)) == ("" if loads else "FS")


def test_the_interrupt_flag_calls_keep_all_but_eax_and_flags() -> None:
    for name in ("EnableInterrupts", "DisableInterrupts", "GetInterruptMask", "SetInterruptMask"):
        info = by_name(name)
        assert info.segments == 2
        assert {Place.FLAGS} <= info.clobbers <= {Place.FLAGS, Place.EAX}
