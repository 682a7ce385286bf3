"""What a row of the table of calls is, and the checks that rows share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pvtrace.model.events import Event, Kind
from pvtrace.model.stops import Why
from rom.abi import Generation, Place
from tests.calls.scripts import Do, Ran, StepOf

V3, V13 = Generation.V3, Generation.V13
GDT_LIMIT: Final = 0x7F
IDT, TSS, LDT = 0x120000, 0x121000, 0x124000
USER_CODE, USER_DATA, TSS_SELECTOR, LDT_SELECTOR, SPARE = 0x1B, 0x23, 0x28, 0x30, 0x58
MEMORY: Final = 0x138000
USER_STACK: Final = 0x12C000
FOUR_GIB: Final = (0x0000FFFF, 0x00CFF300)
USER_DATA_IMAGE: Final = (0x0000BFFF, 0x00CFF300)
PIC_MASK: Final = 0x21
DELAY: Final = 0x80
CONSOLE: Final = 0xE9

Wanted = int | Callable[[int], bool]
Check = Callable[[Ran], bool]


def anything(_value: int) -> bool:
    return True


def nothing_more(_ran: Ran) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Row:
    """`results`: of the call itself, by place; every other register must be as before. `steps` come before the call and
    `then` after it; `seen`: what the calls of `then` return in EAX. `check`: what else must be true at the end. `how`:
    the way it came back; `ends`: the run ends in this call. `segments`: selectors that the call may change."""

    call: str
    arguments: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[Place, Wanted] = field(default_factory=dict)
    steps: tuple[StepOf, ...] = ()
    then: tuple[StepOf, ...] = ()
    seen: tuple[Wanted, ...] = ()
    check: Check = nothing_more
    only: Generation | None = None
    how: str = "returned"
    ends: Why | None = None
    words: Callable[[int], tuple[int, ...]] | None = None
    segments: frozenset[str] = frozenset()
    before_init: bool = False
    flags: int = 2
    ds: int = 0x10
    es: int = 0x10


def eax(value: Wanted) -> dict[Place, Wanted]:
    return {Place.EAX: value}


def pair(low: Wanted, high: Wanted) -> dict[Place, Wanted]:
    return {Place.EAX: low, Place.EDX: high}


def stored(address: int, *words: int) -> Check:
    return lambda ran: tuple(ran.word(address + 4 * index) for index in range(len(words))) == words


def ports(kind: Kind, port: int, *values: int) -> Check:
    """The accesses to a port, by their values, as the last ones of their kind."""

    def check(ran: Ran) -> bool:
        found = [event.args[2] for event in ran.of(kind) if event.args[0] == port]
        return tuple(found[-len(values) :]) == values

    return check


def last(kind: Kind, ran: Ran) -> Event:
    return ran.of(kind)[-1]


def interrupted_at_once(ran: Ran) -> bool:
    """The pending interrupt came before the instruction behind the call."""
    return ran.irqs() == 1 and ran.irq_eip() == ran.guest.site + 5


MASK_FB: Final = Do("OUTB", {"value": 0xFB, "port": PIC_MASK})
INTERRUPTS_ON: Final = Do("EnableInterrupts")
VIRTUAL_IF: Final = Do("GetInterruptMask")
