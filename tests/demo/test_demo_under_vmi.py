"""The demo guests on our machine, without record and replay: what they say, how they end, and what is seen of it."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pvtrace.demo.guests import ECHO, FAULTS, GUESTS, IRQS, USERLAND, Guest, says
from pvtrace.model.events import Attempt, Event, Kind, Outcome
from pvtrace.model.stops import Stop, Why
from rom.abi import Generation

Run = Callable[..., tuple[Stop, bytes, Sequence[Event]]]
BOTH = (Generation.V13, Generation.V3)
every_guest = pytest.mark.parametrize("guest", GUESTS, ids=[guest.name for guest in GUESTS])


@every_guest
@pytest.mark.parametrize(
    "roms", [BOTH, (Generation.V3,), (Generation.V13,)], ids=["both generations", "3.0 alone", "13.3 alone"]
)
def test_says_what_the_registry_expects_and_shuts_down(here: Run, guest: Guest, roms: tuple[Generation, ...]) -> None:
    stop, console, events = here(guest.path, guest.input, roms)
    assert says(guest.console, console), console.decode("ascii", "replace")
    assert stop.why is Why.SHUTDOWN
    assert [event.args for event in events if event.kind is Kind.NOTE] == [], "a demo does nothing that is questionable"


@every_guest
def test_says_natively_what_it_says_in_qemu(here: Run, guest: Guest) -> None:
    stop, console, events = here(guest.path, guest.input)
    assert says(guest.native_console, console), console.decode("ascii", "replace")
    assert (stop.why, stop.code) == (Why.EXIT, 0)
    assert not [event for event in events if event.kind is Kind.HYPERCALL]


@pytest.mark.parametrize("roms", [(), BOTH], ids=["native", "VMI"])
def test_echo_ends_by_itself_when_nothing_is_typed(here: Run, roms: tuple[Generation, ...]) -> None:
    stop, _, _ = here(ECHO.path, b"unfinished", roms)
    assert stop.why is Why.IDLE
    assert stop.well


def number(value: int | bytes | str | None) -> int:
    assert isinstance(value, int)
    return value


def symbol_table(elf: ELFFile) -> SymbolTableSection:
    section = elf.get_section_by_name(".symtab")
    assert isinstance(section, SymbolTableSection)
    return section


def test_every_attempt_of_userland_on_the_interrupt_flag_is_seen(here: Run) -> None:
    """The six attempts of userland_user.c, at IOPL 0 and again at IOPL 3, and then its critical section.

    POPF asks for what is there already only at IOPL 0: at IOPL 3 the image that PUSHF made says IOPL 0.
    """
    _, _, events = here(USERLAND.path, roms=BOTH)
    attempts = Counter(
        (Attempt(number(event.args[0])), Outcome(number(event.args[5])))
        for event in events
        if event.kind is Kind.FLAG_ATTEMPT and event.flags >> 35 == 3
    )
    assert attempts == {
        (Attempt.PUSHF, Outcome.READ): 2 * 10,
        (Attempt.POPF, Outcome.IGNORED): 1 + 4,
        (Attempt.POPF, Outcome.NO_CHANGE): 3,
        (Attempt.CLI, Outcome.FAULTED): 4,
        (Attempt.STI, Outcome.FAULTED): 5,
        (Attempt.CLI, Outcome.SKIPPED): 4 + 1,
        (Attempt.STI, Outcome.SKIPPED): 5 + 1,
    }


def test_faults_nest_three_deep_and_all_return(here: Run) -> None:
    _, _, events = here(FAULTS.path, roms=BOTH)
    depth, deepest = 0, 0
    for event in events:
        match event.kind:
            case Kind.EXCEPTION | Kind.SOFTWARE_INTERRUPT:
                depth += 1
                deepest = max(deepest, depth)
            case Kind.RETURN:
                depth -= 1
    assert (depth, deepest) == (0, 3)


def test_interrupts_arrive_where_the_guest_lets_them_in(here: Run) -> None:
    """The saved EIP is behind the call: in idling, in each operation with one pending, and in what ends the section."""
    _, _, events = here(IRQS.path, roms=BOTH)
    with IRQS.path.open("rb") as stream:
        symbols = [
            (symbol["st_value"], symbol["st_size"], symbol.name)
            for symbol in symbol_table(ELFFile(stream)).iter_symbols()
        ]
    functions = [
        name
        for event in events
        if event.kind is Kind.INTERRUPT
        for start, size, name in symbols
        if start <= event.pc < start + size
    ]
    assert functions == ["main"] * 5 + ["enable", "restore", "pending", "halt", "main"]
