"""Guests that break a rule of the interface: what becomes of them, and the word that says so."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.stops import Why
from rom.abi import Generation
from tests.calls.scripts import Do
from tests.calls.scripts import run as run_script
from tests.differences.guests import Case, run

RULES = (
    (
        "8 bytes of trap stack",
        """
start:
    GATE 3, handler
    mov dword [TABLE + (MEMORY >> 10)], 0
    mov esp, MEMORY + 0x1000 + 12 + 8
    int3
handler:
    FINISH
""",
        Why.TERMINATED,
        "32",
    ),
    (
        "no trap stack at all, and none for the double fault",
        """
start:
    mov dword [TABLE + (MEMORY >> 10)], 0
    mov esp, MEMORY + 0x800
    int3
""",
        Why.TRIPLE_FAULT,
        "#DF",
    ),
    (
        "INVD by call",
        """
start:
    SITE 28, invd
    FINISH
""",
        Why.TERMINATED,
        "INVD",
    ),
    (
        "a call before Init",
        """
before_init:
    call 0xC8000 + 32 * V_DISABLE
    ret
start:
    FINISH
""",
        Why.TERMINATED,
        "before VMI Init",
    ),
    (
        "a task gate for the double fault",
        """
start:
    mov dword [IDT + 8 * 8], TSS_SELECTOR << 16
    mov dword [IDT + 8 * 8 + 4], 0x8500
    mov dword [IDT + 8 * 3 + 4], 0
    mov dword [IDT + 8 * 13 + 4], 0
    mov dword [IDT + 8 * 11 + 4], 0
    int3
""",
        Why.UNSUPPORTED,
        "task",
    ),
    (
        "no IDT",
        """
start:
    mov dword [MEMORY], 0
    mov dword [MEMORY + 4], 0
    mov eax, MEMORY
    SITE V_SETIDT, lidt [eax]
    int3
""",
        Why.TRIPLE_FAULT,
        "shuts down",
    ),
    (
        "a GDT without the kernel's segments",
        """
start:
    mov word [MEMORY], 7
    mov dword [MEMORY + 2], gdt
    mov eax, MEMORY
    SITE V_SETGDT, lgdt [eax]
    FINISH
""",
        Why.TERMINATED,
        "without a valid",
    ),
)


@pytest.mark.parametrize(("name", "source", "why", "word"), RULES, ids=[rule[0] for rule in RULES])
def test_ends_with_a_clear_word(name: str, source: str, why: Why, word: str) -> None:
    options = ("PAGING", "BEFORE_INIT") if "before_init:" in source else ("PAGING",)
    case = Case(name, source, why, why, options)
    outcome = run(case, "13.3")
    assert outcome.stop.why is why, outcome.stop
    assert run(case, "13.3").events == outcome.events, "the same again"
    assert word in outcome.stop.detail
    assert outcome.events[-1].kind is Kind.STOP
    assert outcome.events[-1].args == (why.value, 0, outcome.stop.detail)


@pytest.mark.parametrize("place", ["0x80000000", "0x80000FFD", "0x400000", "MEMORY"])
@pytest.mark.parametrize("options", [(), ("PAGING",)], ids=["without paging", "with paging"])
def test_execution_where_there_is_no_memory(place: str, options: tuple[str, ...]) -> None:
    """What is not there reads as FFh, and FFh FFh is no instruction; beyond the page tables it is a page fault."""
    source = f"""
start:
    CATCH caught
    mov dword [TABLE + (MEMORY >> 10)], 0x80000007
    jmp {place if options or place != "MEMORY" else "0x80000087"}
caught:
    REPORT_AT [trap.vector]
    FINISH
"""
    outcome = run(Case("no memory", source, (), (), options), "13.3")
    assert outcome.reports == ((6,) if place == "MEMORY" or not options else (14,))


def test_user_mode_with_interrupts_off_runs_with_them_on_and_a_note() -> None:
    source = """
start:
    CATCH back
    TO_USER user, 2
user:
    int 0x30
back:
    REPORT_AT [trap.flags]
    FINISH
"""
    outcome = run(Case("IRET with IF = 0", source, (), ()), "13.3")
    assert outcome.reports[0] & 0x200
    assert any("IF clear" in note for note in outcome.notes())


def test_a_call_from_user_mode_is_refused_with_a_note() -> None:
    source = """
start:
    CATCH back
    TO_USER user
user:
    call 0xC8000 + 32 * V_DISABLE
back:
    REPORT_AT [trap.vector]
    FINISH
"""
    outcome = run(Case("a call of user mode", source, (), ()), "13.3")
    assert outcome.reports == (13,)
    assert any("user mode" in note for note in outcome.notes())


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize(("ds", "es"), [(0, 0x10), (0x10, 0), (0x70, 0x10), (0x10, 0x40)])
def test_a_call_with_a_bad_data_segment_faults_at_its_site(ds: int, es: int, generation: Generation) -> None:
    """Null, of 4 KiB, or with a base."""
    ran = run_script(
        generation,
        [Do("Init"), Do("GetCR0", ds=ds, es=es), Do("GetInterruptMask", ds=ds, es=es)],
    )
    assert ran.results[1].how == "fault"
    assert ran.results[1].fault == (13, 0, ran.guest.site)
    assert ran.results[2].how == "returned", "the interrupt flag's calls need neither"
