"""Who enters a handler, and who returns from one, changes nothing: the CPU does what the machine does."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvtrace.model.events import Event
from pvtrace.model.exits import Arrived, Exit
from pvtrace.model.step import Step
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.x86.descriptors import Gate
from pvtrace.x86.latitude import DEFAULT, Latitude
from tests.examples import examples
from tests.laws.handlers import (
    ABSENT,
    FLAGS,
    HANDLER,
    IF,
    KERNEL_CODE,
    KERNEL_STACK,
    ODDITIES,
    OF,
    POINTERS,
    SELECTORS,
    TF,
    TRIGGERS,
    USER_CODE,
    USER_DATA,
    USER_STACK,
    VM,
    Case,
    Frame,
    arranged,
)
from tests.laws.test_law1_machine import End, end

MOSTLY = (True,) * 9 + (False,)
RARELY = (False,) * 9 + (True,)
words = st.integers(0, 0xFFFFFFFF)
IMAGES = (IF | 2, 2, 0, IF | 3 << 12, 1 << 12, IF | TF, IF | VM, IF | 1 << 15 | 1 << 19, 1 << 20, FLAGS, IF | 1 << 14)
frames = st.builds(
    Frame,
    eip=st.sampled_from((*(HANDLER,) * 6, ABSENT, 0x200900, 0xFBFFFFFF, 0xFC000000, 0xFFFFFFFF)),
    cs=st.one_of(st.sampled_from((KERNEL_CODE | 1, KERNEL_CODE, *(USER_CODE,) * 4)), st.sampled_from(SELECTORS)),
    image=st.one_of(*(st.just(IF | 2),) * 3, st.sampled_from(IMAGES), words.map(lambda n: n & FLAGS | IF)),
    esp=st.one_of(st.just(USER_STACK), st.sampled_from(tuple(POINTERS.values()))),
    ss=st.one_of(*(st.just(USER_DATA),) * 4, st.sampled_from(SELECTORS)),
)
FAST_SELECTORS = (0, 3, KERNEL_CODE | 3, 0x60, 0xFFE0, 0xFFE8, 0xFFF0, 0xFFF8, 0x10008, 1 << 40)
gates = st.builds(
    Gate,
    selector=st.just(KERNEL_CODE),
    offset=st.just(HANDLER),
    type=st.sampled_from((14, 15)),
    dpl=st.sampled_from((3, 3, 3, 0, 1)),
    present=st.just(True),
)
ends = st.sampled_from((False, False, False, True))
latitudes = st.builds(
    Latitude, flags=st.booleans(), stack32=st.booleans(), fault_eip=ends, stack16=ends, iret_fault=ends, defer=ends
)
kinds = st.one_of(  # paravirtual, user, trigger
    st.tuples(st.booleans(), st.booleans(), st.sampled_from(tuple(TRIGGERS))),
    st.tuples(st.booleans(), st.booleans(), st.sampled_from(("INT 80h", "INT3", "INTO", "UD2", "load", "store"))),
    st.tuples(st.just(True), st.just(False), st.sampled_from(("IRET 3.0", "IRET 13.x"))),
    st.tuples(st.just(False), st.just(False), st.just("IRETD")),
    st.tuples(st.booleans(), st.booleans(), st.just("SYSENTER")),
    st.tuples(st.booleans(), st.just(False), st.just("SYSEXIT")),
    st.tuples(st.just(True), st.just(False), st.sampled_from(("SYSEXIT 3.0", "SYSEXIT 13.x"))),
)
cases = st.builds(
    lambda kind, **rest: Case(*kind, **rest),
    kinds,
    paging=st.sampled_from((True, True, False)),
    flags=st.builds(lambda n, more: n & FLAGS | more, words, st.sampled_from((*(0,) * 9, TF))),
    vif=st.booleans(),
    viopl=st.integers(0, 3),
    pending=st.booleans(),
    kernel_stack=st.sampled_from(MOSTLY),
    gate=gates,
    opened=st.sampled_from((0, 1, 2, 63, 64)),
    latitude=latitudes,
    user_if=st.sampled_from(RARELY),
    nmi=st.sampled_from(RARELY),
    frame=frames,
    fast=st.tuples(
        st.sampled_from((*(KERNEL_CODE,) * 6, *FAST_SELECTORS)),
        st.sampled_from((KERNEL_STACK, KERNEL_STACK, *POINTERS.values())),
        st.sampled_from((HANDLER, HANDLER, ABSENT, 0xFC000000, 0xFFFFFFFF)),
    ),
    oddities=st.one_of(st.just(()), st.lists(st.sampled_from(tuple(ODDITIES)), max_size=2).map(tuple)),
    steps=st.integers(1, 4),
)


def ran(case: Case, allowed: bool) -> tuple[End, list[Event], tuple[int, ...]]:
    """The machine a few steps later, what it did, and what it has entered."""
    tape = ScriptedTape()
    built = arranged(case, tape)
    built.answers.allowed = allowed
    before = len(tape.events)
    stop = built.run(Step(built.step + case.steps))
    return end(built, stop), tape.events[before:], built.journal.entries


@settings(max_examples=examples(600), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_a_handler_is_entered_and_left_as_the_machine_does_it(case: Case) -> None:
    assert ran(case, allowed=True) == ran(case, allowed=False)


PLAIN = Case(
    paravirtual=True,
    paging=True,
    user=True,
    trigger="INT 80h",
    flags=OF,
    vif=True,
    viopl=0,
    pending=False,
    kernel_stack=True,
    gate=Gate(KERNEL_CODE, HANDLER, 14, 3, True),
    opened=1,
    latitude=DEFAULT,
    user_if=False,
    nmi=False,
    frame=Frame(HANDLER, USER_CODE, IF | 2, USER_STACK, USER_DATA),
    fast=(KERNEL_CODE, KERNEL_STACK, HANDLER),
    oddities=(),
    steps=2,
)
FAULTS = ("UD2", "DIV", "load", "store", "supervisor", "jump")
RETURNS = (("IRET 3.0", True), ("IRET 13.x", True), ("IRETD", False))
FAST_CALLS = (
    *(("SYSENTER", paravirtual, user) for paravirtual in (False, True) for user in (False, True)),
    *(("SYSEXIT", paravirtual, False) for paravirtual in (False, True)),
    *((trigger, True, False) for trigger in ("SYSEXIT 3.0", "SYSEXIT 13.x")),
)
EACH_KIND = tuple(
    PLAIN._replace(trigger=trigger, paravirtual=paravirtual, user=user)
    for trigger, paravirtual, user in (
        *(("INT 80h", paravirtual, user) for paravirtual in (False, True) for user in (False, True)),
        ("load", True, False),
        ("load", False, True),
        ("IRET 3.0", True, False),
        ("IRETD", False, False),
        *FAST_CALLS,
    )
)


def plain() -> list[Case]:
    entered = [
        PLAIN._replace(trigger=trigger, user=user, paravirtual=paravirtual, kernel_stack=stack, paging=paging)
        for trigger in ("INT 80h", "INT3", "INTO", *FAULTS)
        for user in (False, True)
        for paging in ((True, False) if trigger in ("INT 80h", "INT3", "INTO", "UD2", "DIV") else (True,))
        for paravirtual, stack in ((True, True), (True, False), (False, False))
        if user or trigger != "supervisor"
    ]
    left = [
        PLAIN._replace(trigger=trigger, user=False, paravirtual=paravirtual, frame=PLAIN.frame._replace(cs=cs, ss=ss))
        for trigger, paravirtual in RETURNS
        for cs, ss in ((USER_CODE, USER_DATA), (KERNEL_CODE, 0), (0x07, 0x0F))
    ]
    fast = [
        PLAIN._replace(trigger=trigger, paravirtual=paravirtual, user=user, paging=paging, vif=vif)
        for trigger, paravirtual, user in FAST_CALLS
        for paging in (False, True)
        for vif in (False, True)
    ]
    return entered + left + fast


@pytest.mark.parametrize("case", plain(), ids=lambda case: f"{case.trigger}-{case.user}-{case.paravirtual}")
def test_the_cpu_does_the_plain_case(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    built = arranged(case, ScriptedTape())
    exits: list[Exit] = []
    monkeypatch.setattr(built, "react", exits.append)
    built.run(Step(built.step + case.steps))
    assert exits == [Arrived()]
    assert ran(case, allowed=True) == ran(case, allowed=False)


@pytest.mark.parametrize("name", ODDITIES)
def test_what_is_out_of_the_ordinary_is_done_alike(name: str) -> None:
    """Each by itself, so that none is left to chance."""
    for case in EACH_KIND:
        odd = case._replace(oddities=(name,))
        assert ran(odd, allowed=True) == ran(odd, allowed=False)


@pytest.mark.parametrize("flags", [1 << bit for bit in (0, 8, 10, 14, 18, 21)])
def test_every_flag_is_seen_alike(flags: int) -> None:
    for case in EACH_KIND:
        flagged = case._replace(flags=flags)
        assert ran(flagged, allowed=True) == ran(flagged, allowed=False)


@pytest.mark.parametrize(("trigger", "paravirtual", "user"), FAST_CALLS)
def test_every_fast_call_is_made_alike(trigger: str, paravirtual: bool, user: bool) -> None:
    """The segments are made of nothing, and SYSENTER_CS may be anything."""
    for selector in FAST_SELECTORS:
        for viopl, vif in ((0, True), (3, True), (3, False)):
            case = PLAIN._replace(trigger=trigger, paravirtual=paravirtual, user=user, viopl=viopl, vif=vif)
            case = case._replace(fast=(selector, 1 << 35 | KERNEL_STACK, 1 << 36 | HANDLER), user_if=not vif)
            assert ran(case, allowed=True) == ran(case, allowed=False)


@pytest.mark.parametrize(("trigger", "paravirtual"), RETURNS)
@pytest.mark.parametrize("user_if", [False, True])
def test_every_image_is_returned_with_alike(trigger: str, paravirtual: bool, user_if: bool) -> None:
    for image in IMAGES:
        for cs in (KERNEL_CODE, USER_CODE):
            for viopl in (0, 3):
                frame = PLAIN.frame._replace(image=image, cs=cs)
                case = PLAIN._replace(trigger=trigger, paravirtual=paravirtual, user=False, frame=frame, viopl=viopl)
                case = case._replace(user_if=user_if, vif=not viopl)
                assert ran(case, allowed=True) == ran(case, allowed=False)


@pytest.mark.parametrize(("trigger", "paravirtual"), RETURNS)
def test_every_segment_is_returned_to_alike(trigger: str, paravirtual: bool) -> None:
    for selector in SELECTORS:
        for frame in (PLAIN.frame._replace(cs=selector), PLAIN.frame._replace(ss=selector)):
            case = PLAIN._replace(trigger=trigger, paravirtual=paravirtual, user=False, frame=frame)
            assert ran(case, allowed=True) == ran(case, allowed=False)


def test_the_handler_of_a_non_maskable_interrupt_is_left_alike() -> None:
    case = PLAIN._replace(trigger="IRETD", paravirtual=False, user=False, nmi=True)
    assert ran(case, allowed=True) == ran(case, allowed=False)
