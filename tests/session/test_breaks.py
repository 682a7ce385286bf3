import pytest

from pvtrace.model.errors import UsageError
from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step
from pvtrace.session.breaks import Breaks, Watch, parse
from pvtrace.x86.elf import Symbol, SymbolTable
from rom.abi import call_numbers

ADDRESS_OF = SymbolTable((Symbol("main", 0x1000, 16, "func"),), (0x1010,)).address_of


def test_what_can_be_asked_for() -> None:
    assert parse([], ADDRESS_OF) == Breaks()
    assert parse(["fault"], ADDRESS_OF).vectors == frozenset(range(32))
    assert parse(["fault #PF", "fault 6", "fault gp"], ADDRESS_OF).vectors == {14, 6, 13}
    assert parse(["call SetPxE", "call VMI_Halt"], ADDRESS_OF).calls == call_numbers("SetPxE") | call_numbers("Halt")
    assert parse(["main"], ADDRESS_OF).addresses == {0x1000: "main"}
    assert parse([r"console a\x20b "], ADDRESS_OF).texts == (b"a b ",)


@pytest.mark.parametrize("text", ["", "fault 32", "fault XX", "call", "call Nothing", "console", "other", "main x"])
def test_what_cannot(text: str) -> None:
    with pytest.raises(UsageError):
        parse([text], ADDRESS_OF)


def test_it_pauses_when_they_come() -> None:
    pauses: list[str] = []
    watch = Watch(parse(["fault PF", "call Halt", "console ok"], ADDRESS_OF), pauses.append)
    (halt, *_) = call_numbers("Halt")
    for kind, first in ((Kind.EXCEPTION, 13), (Kind.INTERRUPT, 14), (Kind.HYPERCALL, halt + 1)):
        watch.event(Event(Step(1), kind, 0, 0, (first,)))
    for byte in b"o k":
        watch.byte(byte)
    assert pauses == []
    watch.event(Event(Step(1), Kind.EXCEPTION, 0, 0, (14,)))
    watch.event(Event(Step(1), Kind.HYPERCALL, 0, 0, (halt,)))
    for byte in b"ok":
        watch.byte(byte)
    assert [pause.split(" at ")[1] for pause in pauses] == [
        "--break-on fault: #PF",
        "--break-on call",
        "--break-on console: 'ok'",
    ]
