"""What waits under harsh deferral, and what ends the waiting, call by call."""

from dataclasses import replace

import pytest

from pvtrace.vmi.call import Call
from pvtrace.vmi.deferral import LAZY_CPU, LAZY_MMU, Queue, held, may_wait, of_queues, queue, released, resumed
from pvtrace.vmi.effects import SetVmi
from pvtrace.vmi.table import lost, perform_held
from pvtrace.x86.effects import Note, WriteMemory
from pvtrace.x86.latitude import Latitude
from rom.abi import Generation, Place, by_name
from tests.vmi.vmi_flat import DATA, Guest, paravirtual

VA = 0x12345000
KIND, HARSH = Latitude(), Latitude(defer=True)


def call(name: str, generation: Generation = Generation.V3, **operands: int) -> Call:
    info = by_name(name)
    number = info.number(generation)
    assert number is not None
    places = {operand.name: operand.place for operand in info.arguments}
    words = {places[operand]: value for operand, value in operands.items()}
    eax, edx, ecx = (words.get(place, 0) for place in (Place.EAX, Place.EDX, Place.ECX))
    stack = (words.get(Place.STACK1, 0), words.get(Place.STACK2, 0))
    return Call(generation, number, info, eax, edx, ecx, stack, 0x8000, 0x8005, 0x9000)


def guest(lazy: int = 0, latitude: Latitude = HARSH) -> Guest:
    made = paravirtual()
    made.latitude = latitude
    made.vmi = replace(made.vmi, lazy=lazy)
    return made


UPDATE = call("SetPxE", value=0x1067, entry_pointer=DATA, flags=VA | 0x31)
LONG = call("SetPxELong", value_low=0x1067, entry_pointer=DATA + 8, flags=VA | 0x31)
DIRECTORY = call("SetPxE", value=0x1067, entry_pointer=DATA + 16, flags=VA | 0x32)
NOWHERE = call("SetPxE", value=0x1067, entry_pointer=DATA + 24, flags=1)
STATE = call("UpdateKernelStack", stack=0x10, esp0=0x9000)


@pytest.mark.parametrize(
    ("waiting", "lazy", "waits"),
    [
        (UPDATE, 0, True),
        (LONG, 0, True),
        (call("SetPxE", entry_pointer=DATA, flags=0x21), 0, False),  # whose address is not known
        (call("SetPxE", entry_pointer=DATA, flags=VA | 0x11), 0, False),
        (NOWHERE, LAZY_MMU, True),
        (NOWHERE, LAZY_CPU, False),
        (call("UpdatePxE", entry_pointer=DATA, flags=VA | 0x31), LAZY_MMU, False),
        (STATE, 0, False),
        (STATE, LAZY_MMU, False),
        (STATE, LAZY_CPU, True),
        (call("SetCR3", value=0x1000), LAZY_CPU, True),
        (call("WriteGDTEntry", index=2), LAZY_CPU, True),
        (call("SetIOPLMask", mask=0x3000), LAZY_CPU, False),
        (call("DisableInterrupts"), LAZY_CPU, False),
    ],
)
def test_what_waits(waiting: Call, lazy: int, waits: bool) -> None:
    g = guest(lazy)
    assert may_wait(waiting, g, g.vmi) is waits
    kind = guest(lazy, KIND)
    assert not may_wait(waiting, kind, kind.vmi)


ALL = (UPDATE, LONG, DIRECTORY, NOWHERE, STATE)
MMU = (UPDATE, LONG, DIRECTORY, NOWHERE)


@pytest.mark.parametrize(
    ("ending", "performed"),
    [
        (call("InvalPage", address=VA + 0x123), MMU),
        (call("InvalPage", address=VA + 0x1000), (DIRECTORY, NOWHERE)),
        (call("InvalPage", address=VA + 0x400000), (NOWHERE,)),
        (call("FlushTLB", flags=1), MMU),
        (call("SetCR3"), ALL),
        (call("SetLazyMode"), ALL),
        (call("FlushDeferredCalls", Generation.V13, flags=0x80), MMU),
        (call("FlushDeferredCalls", Generation.V13, flags=0x40), (STATE,)),
        (call("FlushDeferredCalls", Generation.V13, flags=0xC0), ALL),
        (call("FlushDeferredCalls", Generation.V13, flags=0), (STATE,)),
        (call("GetPxE", Generation.V13, entry_pointer=DATA), MMU),
        (call("ReleasePage", pfn=1), MMU),
        (call("GetCR3"), (STATE,)),
        (call("SetPxE", entry_pointer=DATA, flags=1), (UPDATE,)),
        (call("SetPxE0", Generation.V13, entry_pointer=DATA + 16), (DIRECTORY,)),
        (call("GetCR2"), ()),
        (call("Halt"), ()),
        (call("IRET"), ()),
    ],
    ids=lambda each: each.info.name if isinstance(each, Call) else str(len(each)),
)
def test_what_ends_the_waiting(ending: Call, performed: tuple[Call, ...]) -> None:
    waiting = tuple(map(held, ALL))
    found = released(ending, replace(guest().vmi, held=waiting))
    assert found.perform == tuple(map(held, performed))
    assert found.kept == tuple(each for each in waiting if each not in found.perform)


def test_a_later_store_of_the_guest_supersedes() -> None:
    waiting = tuple(map(held, ALL))
    found = released(call("UpdatePxE", entry_pointer=DATA), replace(guest().vmi, held=waiting))
    assert found == ((), waiting[1:])


def test_queues() -> None:
    state = replace(guest().vmi, held=tuple(map(held, ALL)))
    assert of_queues(state, Queue.CPU) == ((held(STATE),), tuple(map(held, MMU)))
    assert [queue(each) for each in state.held] == [Queue.MMU] * 4 + [Queue.CPU]


def test_a_call_that_waits_has_no_other_effect() -> None:
    g = guest()
    effects = g.call("SetPxE", value=0x1067, entry_pointer=DATA, flags=VA | 0x31)
    (change,) = effects
    assert isinstance(change, SetVmi)
    (waiting,) = change.state.held
    assert resumed(waiting).info.name == "SetPxE"
    first, *_ = perform_held(waiting, g, g.vmi)
    assert first == WriteMemory(DATA, (0x1067).to_bytes(4, "little"))


def test_a_call_that_faults_does_not_wait() -> None:
    g = guest(LAZY_CPU)
    assert g.call("SetLDT", selector=0x08) != ()
    assert not any(isinstance(effect, SetVmi) for effect in g.call("SetLDT", selector=0x08))


def test_what_cannot_be_done_any_more_is_told() -> None:
    g = guest()
    waiting = held(call("SetLDT", selector=0x08))
    assert perform_held(waiting, g, g.vmi) == lost(waiting)
    (note,) = lost(waiting)
    assert isinstance(note, Note)
