"""The rules about VMI calls and entries: each finds what it is about, and nothing in a guest that nearly does it; run
natively, the guest shows the native outcome."""

from collections.abc import Sequence

import pytest

from pvtrace.model.findings import Finding, Standing
from pvtrace.x86.latitude import chosen
from tests.differences.guests import Case, run
from tests.differences.stated import ENTRY
from tests.divergence.call_rows import ROWS, Row, guest
from tests.divergence.judging import judged

every_row = pytest.mark.parametrize("row", ROWS, ids=[f"{row.rule}: {row.name}" for row in ROWS])


def findings(row: Row, case: Case) -> Sequence[Finding]:
    done = judged(case, chosen(row.latitude))
    found = done.at_init(row.rule) if row.at_init else done.of(row.rule)
    return [each for each in found if each.event is not None]  # a guest's own loads from a table have no event


@every_row
def test_found(row: Row) -> None:
    (found,) = findings(row, row.found)
    assert (found.standing, found.what, found.setting) == (row.standing, row.what, row.setting)
    if row.native is not None:
        assert (found.native, found.paravirtual) == (row.native, row.here)
    if row.standing is Standing.PROVEN:
        assert found.native != found.paravirtual
    assert found.text
    assert found.code or row.at_init  # these guests call Init through a register


@every_row
def test_nearly(row: Row) -> None:
    assert not findings(row, row.near)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.shows], ids=[f"{r.rule}: {r.name}" for r in ROWS if r.shows]
)
def test_natively(row: Row) -> None:
    assert row.shows is not None
    assert row.shows(run(row.found, "none").reports) == row.native


def test_a_fault_in_a_call_shows_the_rom() -> None:
    (row,) = (each for each in ROWS if each.rule == "fault-in-call" and each.name == "harsh")
    (found,) = findings(row, row.found)
    assert found.native == found.pc
    assert isinstance(found.paravirtual, int)
    assert 0xC8000 <= found.paravirtual < 0xE0000


def test_where_user_mode_owns_if_it_may_run_with_interrupts_off() -> None:
    source = (
        "start:\n    CATCH back\n    USER_IOPL 3\n    TO_USER user, 0x3002\nuser:\n    int 0x30\nback:\n    FINISH\n"
    )
    assert judged(guest(source)).of("user-if-on")
    assert not judged(guest(source), user_if=True).of("user-if-on")


def test_an_image_that_is_written_twice_differs_once() -> None:
    write = "    WRITE FREE, 0x0000FFFF, 0x00CF9300\n"
    (found,) = judged(guest(f"{ENTRY}start:\n{write}{write}    FINISH\n")).of("descriptor-image")
    assert found.times == 1


def test_a_call_whose_arguments_end_where_the_stack_does() -> None:
    """What lies above them is not read."""
    source = """
start:
    mov dword [TABLE + (MEMORY >> 10) + 4], 0
    mov esp, MEMORY + 0x1000
    push dword 0x00CF9300
    mov ecx, 0xFFFF
    mov edx, FREE / 8
    mov eax, gdt
    SITE V_WRITEGDT, nop
    FINISH
"""
    (found,) = judged(guest(source, "PAGING")).of("descriptor-image")
    assert found.native == 0x00CF9300_0000FFFF


def test_iret_to_user_mode_is_judged_at_each_return() -> None:
    source = """
start:
    CATCH again
    mov dword [MEMORY], 3
again:
    dec dword [MEMORY]
    jz done
    TO_USER user, 2
user:
    int 0x30
done:
    FINISH
"""
    found = judged(guest(source)).of("user-if-on")
    assert len(found) == 2
    assert len({each.step for each in found}) == 2


WAITING = """
%define V3(n) (0x100 + 16 * (n))
%macro CALL3 1
    mov ebx, [rom]
    add ebx, %1
    call ebx
%endmacro
start:
    CALL3 128                   ; Init
    mov [kernel_ss], ss
    mov ax, SPARE
    mov fs, ax
    mov eax, 2
    CALL3 V3(73)                ; SetLazyMode(CPU)
    push dword 0x00CF9300
    mov eax, gdt
    mov edx, SPARE >> 3
    mov ecx, 0x1000FFFF
    CALL3 V3(11)                ; WriteGDTEntry
    add esp, 4
    REPORT_AT [gdt + SPARE]
    xor eax, eax
    CALL3 V3(73)
    REPORT_AT [gdt + SPARE]
    FINISH
"""


@pytest.mark.parametrize("end", ["kind", "harsh"])
def test_a_call_that_waits_is_judged_when_it_is_made(end: str) -> None:
    done = judged(guest(WAITING, "MAJOR 3"), chosen({"defer": end}), profile="3.0")
    assert (done.reports[0] == done.reports[1]) == (end == "kind"), "the entry, before and behind the end of lazy mode"
    (reload,) = done.of("segment-reload")
    image, *_ = done.of("descriptor-image")
    assert image.step == reload.step
    assert (image.native, image.paravirtual) == (0x00CF9300_1000FFFF, 0x00CFB300_1000BFFE)
    assert done.shadow.tables[0x100080] == ((0x1000BFFE, 0x00CFB300), (0x1000FFFF, 0x00CF9300))
