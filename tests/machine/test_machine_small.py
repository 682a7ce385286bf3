"""The small guests of the laws end as they should, natively and under VMI."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.stops import Why
from tests.machine.guests import GUESTS
from tests.machine.small import run


@pytest.mark.parametrize("paravirtual", [False, True])
@pytest.mark.parametrize("name", GUESTS)
def test_ends_well(name: str, paravirtual: bool) -> None:
    ran = run(GUESTS[name], paravirtual=paravirtual)
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    assert bool(ran.of(Kind.HYPERCALL)) == paravirtual
    match name:
        case "interrupts":
            assert ran.gpr(Gpr.ECX) == 6
            assert len(ran.of(Kind.INTERRUPT)) == 6
        case "traced":
            assert ran.vectors.count(6) == ran.vectors.count(13) == 1
        case "paged":
            assert len(ran.vectors) == 4
            assert ran.word(0x10D000) == 4 + 3 + 2 + 1
        case "devices":
            assert [row["data"] for row in ran.of(Kind.CONSOLE_OUT)] == [b"hello\n"]
