"""The rules about instructions, ports and addresses: each finds what it is about, and nothing in a guest that nearly
does it; natively that guest shows the native outcome."""

from collections.abc import Sequence
from functools import lru_cache

import pytest

from pvtrace.model.findings import Finding, Standing
from pvtrace.model.stops import Why
from tests.differences.guests import Case, run
from tests.differences.sensitive import to_user
from tests.divergence.call_rows import Row, guest
from tests.divergence.instruction_rows import ROWS, top
from tests.divergence.judging import judged

every_row = pytest.mark.parametrize("row", ROWS, ids=[f"{row.rule}: {row.name}" for row in ROWS])
shown_natively = [row for row in ROWS if row.shows]


@lru_cache(maxsize=1)
def of_every_guest() -> frozenset[tuple[str, bytes]]:
    """What the skeleton itself does, by rule and instruction."""
    return frozenset((each.rule, each.code) for each in judged(guest("start:\n    FINISH\n")).findings)


def findings(row: Row, case: Case) -> Sequence[Finding]:
    done = judged(case)
    assert (done.stop.why, done.stop.code) == (Why.EXIT, 0), done.stop
    return [each for each in done.of(row.rule) if (each.rule, each.code) not in of_every_guest()]


@every_row
def test_found(row: Row) -> None:
    (found,) = findings(row, row.found)
    assert (found.standing, found.what) == (row.standing, row.what)
    assert (found.native, found.paravirtual) == (row.native, row.here)
    assert (found.native != found.paravirtual) == (row.standing is Standing.PROVEN)
    assert found.text
    assert found.code


@every_row
def test_nearly(row: Row) -> None:
    assert not findings(row, row.near)


@pytest.mark.parametrize("row", shown_natively, ids=[f"{row.rule}: {row.name}" for row in shown_natively])
def test_natively(row: Row) -> None:
    assert row.shows is not None
    assert row.shows(run(row.found, "none").reports) == row.native


def test_natively_every_proven_one() -> None:
    assert [row for row in ROWS if row.standing is not Standing.POTENTIAL and not row.shows] == []


# ---------------------------------------------------------------------- flags: once for each attempt

CLEARED = "pushf\nand dword [esp], ~0x200\npopf\n"
SET = "pushf\nor dword [esp], 0x200\npopf\n"
KEPT = "pushf\npopf\n"
POPF, CLI, STI = b"\x9d", b"\xfa", b"\xfb"
PROVEN, HAZARD = Standing.PROVEN, Standing.HAZARD
Attempt = tuple[bytes, Standing, int, int]
"""Instruction, standing, IF natively and here."""

IN_USER_CODE: tuple[tuple[int, str, str, list[Attempt]], ...] = (
    (3, "alone", CLEARED, [(POPF, PROVEN, 0, 1)]),
    (0, "alone", CLEARED, [(POPF, HAZARD, 1, 1)]),
    (3, "twice", CLEARED + CLEARED, [(POPF, PROVEN, 0, 1)] * 2),
    (0, "twice", CLEARED + CLEARED, [(POPF, HAZARD, 1, 1)] * 2),
    (3, "nested", f"pushf\n{CLEARED}{CLEARED}popf\n", [(POPF, PROVEN, 0, 1)] * 2),
    (0, "nested", f"pushf\n{CLEARED}{CLEARED}popf\n", [(POPF, HAZARD, 1, 1)] * 2),
    (3, "in a loop", f"mov ecx, 3\nagain:\n{CLEARED}loop again\n", [(POPF, PROVEN, 0, 1)] * 3),
    (3, "IF is not touched", KEPT + SET, []),
    (0, "IF is not touched", KEPT + SET, []),
    (3, "other flags", "pushf\nor dword [esp], 0x41\npopf\n", []),
    (3, "IF is not touched in a section", f"cli\n{KEPT}sti\n", [(CLI, PROVEN, 0, 1)]),
    (3, "CLI and STI", "cli\nsti\ncli\nsti\n", [(CLI, PROVEN, 0, 1)] * 2),
    (3, "STI alone", "sti\n", []),
    (3, "CLI nested", "cli\ncli\nsti\n", [(CLI, PROVEN, 0, 1)] * 2),
    (3, "POPF ends what CLI began", f"pushf\ncli\npopf\n{KEPT}", [(CLI, PROVEN, 0, 1)]),
    (3, "16 bits", "o16 pushf\nand word [esp], ~0x200\no16 popf\n", [(b"\x66" + POPF, PROVEN, 0, 1)]),
)
IN_THE_KERNEL: tuple[tuple[str, str, str, list[Attempt]], ...] = (
    ("popf", "clears", f"SITE V_ENABLE, sti\n{CLEARED}", [(POPF, PROVEN, 0, 1)]),
    ("popf", "clears twice", f"SITE V_ENABLE, sti\n{CLEARED}{CLEARED}", [(POPF, PROVEN, 0, 1)] * 2),
    ("popf", "sets", "SITE V_DISABLE, cli\npush dword 0x202\npopf\n", [(POPF, PROVEN, 1, 0)]),
    ("popf", "nothing", f"SITE V_ENABLE, sti\n{KEPT}SITE V_DISABLE, cli\n{KEPT}", []),
    ("popf", "nothing behind one that clears", f"SITE V_ENABLE, sti\n{CLEARED}{KEPT}", [(POPF, PROVEN, 0, 1)]),
    ("popf", "restores", "SITE V_ENABLE, sti\npushf\nSITE V_DISABLE, cli\npopf\n", [(POPF, PROVEN, 1, 0)]),
    ("popf", "by CLI and STI, which trap", "sti\ncli\nsti\n", []),
    (
        "iret",
        "clears",
        "SITE V_ENABLE, sti\npush dword 2\npush cs\npush dword on\niretd\non:\n",
        [(b"\xcf", PROVEN, 0, 1)],
    ),
    ("iret", "keeps", "SITE V_ENABLE, sti\npushf\npush cs\npush dword on\niretd\non:\n", []),
)


def attempts(found: Sequence[Finding]) -> list[Attempt]:
    assert all(each.what == "eflags.IF" for each in found)
    assert all(isinstance(each.native, int) and isinstance(each.paravirtual, int) for each in found)
    return [(each.code, each.standing, int(str(each.native)), int(str(each.paravirtual))) for each in found]


@pytest.mark.parametrize(
    ("iopl", "code", "expected"),
    [row[:1] + row[2:] for row in IN_USER_CODE],
    ids=[f"{row[1]} at IOPL {row[0]}" for row in IN_USER_CODE],
)
def test_user_code_once_for_each_attempt(iopl: int, code: str, expected: list[Attempt]) -> None:
    done = judged(guest(to_user(code, iopl)))
    assert attempts(done.of("user-iopl")) == expected
    assert not done.of("popf")


@pytest.mark.parametrize(
    ("rule", "code", "expected"),
    [row[:1] + row[2:] for row in IN_THE_KERNEL],
    ids=[f"{row[0]} {row[1]}" for row in IN_THE_KERNEL],
)
def test_the_kernel_once_for_each_attempt(rule: str, code: str, expected: list[Attempt]) -> None:
    done = judged(guest(f"start:\n{code}\n    FINISH\n"))
    assert attempts(done.of(rule)) == expected


def test_the_finding_names_the_image_that_was_popped() -> None:
    (found,) = judged(guest(to_user("push dword 0x3046\npopf", 3))).of("user-iopl")
    assert "image 0x3046" in found.text
    (found,) = judged(guest(to_user(CLEARED, 3))).of("user-iopl")  # PUSHF shows IOPL 0, natively 3
    assert "image 0x2" in found.text


def test_what_the_segment_forbids_is_no_matter_of_the_hypervisor() -> None:
    """Natively a store through CS is #GP(0), too."""
    assert judged(top("site:\n    mov [0xFFFFE000], eax")).of("linear-top")
    assert not judged(top("site:\n    mov [cs:0xFFFFE000], eax")).of("linear-top")


def test_a_selector_that_cannot_be_read_is_one_finding() -> None:
    """It is about where the selector lies: the load itself has not come to it."""
    done = judged(top("site:\n    mov ds, [0xFFFFE000]"))
    (found,) = done.of("linear-top")
    assert found.native == "passes"
    assert not done.of("load-data-segment")
