"""Where the proposal leaves freedom, a guest for each end: it passes under `kind` and is hurt under `harsh`. And the
alternative for user mode's CLI and STI that the proposal's readers rejected."""

from dataclasses import replace

import pytest

from pvtrace.model.stops import Why
from pvtrace.x86.latitude import NAMES, chosen
from tests.differences.guests import Case, run
from tests.differences.ten import TEN
from tests.differences.trapping import flags_of_user

BY_NAME = {case.name: case for case in TEN}

FAULT_EIP = """
start:
    CATCH caught
    mov ecx, 0xDEAD
    SITE V_RDMSR, rdmsr
    FINISH
caught:
    REPORT_AT [trap.vector]
    xor eax, eax
    cmp dword [trap.eip], 0xE0000
    setae al                    ; not in a ROM
    REPORT eax
    FINISH
"""
DEFER = """
start:
    mov dword [MEMORY], 1
    mov dword [MEMORY + 0x1000], 2
    mov eax, [MEMORY]
    mov eax, (MEMORY + 0x1000) | 7
    mov edx, TABLE + (MEMORY >> 10)
    mov ecx, MEMORY | 0x31      ; a table's entry, of the current address space, that may wait
    SITE V_SETPXE, nop
    REPORT_AT [MEMORY]
    mov eax, MEMORY
    SITE 55, nop                ; InvalPage
    REPORT_AT [MEMORY]
    FINISH
"""
ENDS: dict[str, tuple[Case, tuple[int, ...], tuple[int, ...] | Why]] = {
    "flags": (BY_NAME["1 live carry at the handler's entry"], (1, 1), (0, 1)),
    "stack32": (BY_NAME["3 less than 32 bytes at the handler's entry"], (1,), Why.TERMINATED),
    "fault-eip": (Case("EIP of a fault in a call", FAULT_EIP, (), ()), (13, 1), (13, 0)),
    "stack16": (BY_NAME["10a a 16-bit stack of user mode"], (0xABCD4000,), (0x00124000,)),
    "iret-fault": (BY_NAME["10b IRET to a stack that is not present"], (12, 0x50, 0, 0), Why.TERMINATED),
    "defer": (Case("an update that waits", DEFER, (), (), ("PAGING",)), (2, 2), (1, 2)),
}
"""By the name of the latitude: a guest, what it reports under `kind`, and what comes of it under `harsh`."""


def test_each_latitude_has_its_guest() -> None:
    assert sorted(ENDS) == sorted(NAMES)


@pytest.mark.parametrize("end", ["kind", "harsh"])
@pytest.mark.parametrize("name", ENDS)
def test_end(name: str, end: str) -> None:
    case, kind, harsh = ENDS[name]
    outcome = run(case, "13.3", chosen({name: end}))
    wanted = kind if end == "kind" else harsh
    if isinstance(wanted, Why):
        assert outcome.stop.why is wanted, outcome.stop
        assert outcome.stop.detail
    else:
        assert (outcome.stop.why, outcome.stop.code) == (Why.EXIT, 0), outcome.stop
        assert outcome.reports == wanted


NESTED = "    pushf\n    cli\n    popf"
HONOUR = (
    ("CLI", "    cli", (0x200, 0x30, 0x3000)),
    ("CLI and STI", "    cli\n    sti", (0x200, 0x30, 0x3200)),
    ("PUSHF CLI POPF", NESTED, (0x200, 0x30, 0x3000)),
)
"""What PUSHF shows, the kernel's vector, and the image that the kernel sees: POPF restores nothing."""


@pytest.mark.parametrize(("name", "code", "wanted"), HONOUR, ids=[name for name, _, _ in HONOUR])
def test_user_interrupt_flag_honoured(name: str, code: str, wanted: tuple[int, ...]) -> None:
    outcome = run(Case(name, flags_of_user(code, 3), (), ()), "13.3", user_if=True)
    assert outcome.reports == wanted


def test_interrupts_that_stay_off_are_noted() -> None:
    case = Case("nested", flags_of_user(NESTED, 3), (), ())
    assert not run(case, "13.3").notes()
    assert run(replace(case), "13.3", user_if=True).notes(), "POPF that would have set IF"
