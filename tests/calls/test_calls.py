"""Every call of both generations, made by a real guest: what it returns, leaves alone and does, and what is logged."""

from dataclasses import replace

import pytest

from pvtrace.model.stops import Why
from rom.abi import CALLS, Generation, Place, by_name, unified
from tests.calls.coverage import PATH, rows_of, table
from tests.calls.row import Row
from tests.calls.rows import ROWS
from tests.calls.scripts import EBP, MARKS, Do, Ran, Result, StepOf, guest, run

CASES = [
    pytest.param(row, generation, id=f"{number:03}-{row.call}-{generation.name}")
    for number, row in enumerate(ROWS)
    for generation in Generation
    if by_name(row.call).number(generation) is not None and row.only in (None, generation)
]
PLACES = {Place.EAX: "eax", Place.ECX: "ecx", Place.EDX: "edx", Place.EBX: "ebx", Place.ESI: "esi", Place.EDI: "edi"}
ARITHMETIC = 0x8D5
SITE_LENGTH = 5


def placed(step: StepOf, generation: Generation) -> StepOf:
    """A step with the guest's own addresses: -1 stands for its GDT, -2 for the code to land at in user mode."""
    if not isinstance(step, Do):
        return step
    labels = {-1: guest(generation).gdt, -2: guest(generation).user_landed}
    return replace(step, arguments={name: labels.get(value, value) for name, value in step.arguments.items()})


def call_of(row: Row, generation: Generation) -> Do:
    labels = guest(generation)
    landed = labels.user_landed if row.how == "user" else labels.landed
    words = row.words(landed) if row.words else ()
    do = placed(Do(row.call, row.arguments, words, row.flags, row.ds, row.es), generation)
    assert isinstance(do, Do)
    return do


@pytest.mark.parametrize(("row", "generation"), CASES)
def test_call(row: Row, generation: Generation) -> None:
    call = call_of(row, generation)
    first = () if row.before_init else (Do("Init"),)
    steps = [*first, *(placed(step, generation) for step in row.steps), call, *row.then]
    ran = run(generation, steps)
    at = sum(isinstance(step, Do) for step in (*first, *row.steps))
    result = ran.results[at]
    assert result.how == row.how, (result, ran.stop)
    wanted_end = (row.ends or Why.EXIT, 0)
    assert (ran.stop.why, ran.stop.code) == wanted_end, ran.stop
    seen = [later.after["eax"] for later in ran.results[at + 1 :]]
    assert len(seen) == len(row.seen)
    for value, wanted in zip(seen, row.seen, strict=True):
        assert wanted(value) if callable(wanted) else value == wanted, f"a later call returned {value:#x}"
    assert row.check(ran)
    if result.how in ("returned", "landed", "user"):
        check_registers(row, call, result)
    if result.how == "fault":
        assert result.fault == (13, result.fault[1], ran.guest.site)
    if result.how != "no entry point":
        check_event(row, call, ran, at)


def check_registers(row: Row, call: Do, result: Result) -> None:
    """The results, and that nothing else has changed: less than any caller may rely on."""
    registers = call.registers()
    for place in MARKS:
        value, wanted = result.after[PLACES[place]], row.results.get(place, registers[place])
        assert wanted(value) if callable(wanted) else value == wanted, f"{place} is {value:#x}"
    assert result.after["ebp"] == EBP
    if result.how == "user":
        assert result.after["esp"] == 0x12C000
    else:
        assert result.after["esp"] - result.before["esp"] == (12 if row.call == "IRET" else 0)
    for name in ("es", "cs", "ss", "ds", "fs", "gs"):
        if name not in row.segments:
            assert result.after[name] == result.before[name], name
    assert (result.after["flags"] ^ row.flags) & ~(ARITHMETIC | 0x200) == 0, hex(result.after["flags"])


def check_event(row: Row, call: Do, ran: Ran, at: int) -> None:
    """What the log says of the call: number, arguments, result, the caller's address and level."""
    logged = ran.calls()
    if row.how == "returned" and row.call.startswith(("INS", "OUTS")):
        assert len(logged) >= at + 1
    event = logged[at]
    info = by_name(call.name)
    number = info.number(ran.generation)
    assert number is not None
    columns = (*event.args, *(None,) * (6 - len(event.args)))
    registers = call.registers()
    assert columns[:4] == (
        unified(ran.generation, number),
        registers[Place.EAX],
        registers[Place.EDX],
        registers[Place.ECX],
    )
    places = {operand.place for operand in info.arguments}
    words = (*call.stack(), 0, 0)
    match Place.STACK1 in places, Place.STACK2 in places:
        case True, True:
            assert columns[4] == words[0] | words[1] << 32
        case True, False:
            assert isinstance(columns[4], int)
            assert columns[4] & 0xFFFFFFFF == words[0]
        case _:
            assert columns[4] is None
    results = {operand.place for operand in info.results}
    after = ran.results[at].after
    if row.how == "returned" and Place.EAX in results:
        high = after["edx"] << 32 if Place.EDX in results else 0
        assert columns[5] == after["eax"] | high
    elif Place.EAX not in results:
        assert columns[5] is None
    assert event.pc == ran.guest.site
    natively = row.before_init and row.call != "Init"
    assert event.flags >> 35 & 3 == (3 if row.how == "user" else 0 if natively else 1)


def test_a_row_for_every_call() -> None:
    """In each of its generations."""
    for info in CALLS:
        for generation in Generation:
            if info.number(generation) is not None:
                assert rows_of(info, generation) > 0, (info.name, generation)


def test_the_coverage_table_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == table(), "run python -m tests.calls.coverage"
