"""A wild pointer in every pointer argument, and a bad selector wherever a call takes one: the guest gets the exception
at its call site, and goes on behind its handler."""

import pytest

from pvtrace.model.stops import Why
from rom.abi import CALLS, Generation, by_name
from tests.calls.scripts import Do, Ran, Store, run

UNMAPPED = 0x7FFFF000
HYPERVISOR = 0xFC001000
LAST_MAPPED = 0x3FFFFF
POINTERS = {
    "unmapped": UNMAPPED,
    "the hypervisor's": HYPERVISOR,
    "crossing to an unmapped page": LAST_MAPPED,
    "wrapping around": 0xFFFFFFFF,
}
MEMORY = 0x138000
USER_STACK = 0x12C000

POINTER_CASES = [
    pytest.param(call.name, operand.name, generation, id=f"{call.name}-{generation.name}")
    for call in CALLS
    for operand in call.arguments
    for generation in Generation
    if call.number(generation) is not None
    and (operand.name.endswith("_pointer") or (call.name == "UpdateKernelStack" and operand.name == "stack"))
    if not (call.name == "UpdateKernelStack" and generation is Generation.V3)
]
UNREAD = {
    (
        "SetInitialAPState",
        Generation.V13,
    ): "a pointer that is not mapped may be a physical one: a note says so"
}


def faulted_or_went_on(ran: Ran, at: int) -> str:
    result = ran.results[at]
    if result.how == "fault":
        vector, _, eip = result.fault
        assert vector in (11, 12, 13, 14)
        assert eip == ran.guest.site
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    return result.how


@pytest.mark.parametrize("pointer", POINTERS.values(), ids=list(POINTERS))
@pytest.mark.parametrize(("name", "operand", "generation"), POINTER_CASES)
def test_wild_pointer(name: str, operand: str, generation: Generation, pointer: int) -> None:
    arguments = {each.name: 1 for each in by_name(name).arguments} | {operand: pointer}
    if "table_pointer" in arguments and "low" in arguments:
        arguments |= {"index": 0, "vector": 0}
    if operand == "buffer_pointer" and "port" in arguments:
        arguments |= {"port": 0x80, "count": 4}
    if name == "UpdateKernelStack":
        arguments["stack"] = pointer - 8 & 0xFFFFFFFF
    ran = run(
        generation,
        [Do("Init"), Do(name, arguments), Do("GetInterruptMask")],
        paging=True,
    )
    how = faulted_or_went_on(ran, 1)
    expected = "returned" if (name, generation) in UNREAD else "fault"
    assert how == expected
    assert ran.results[2].how == "returned", "the kernel goes on behind its handler"


BAD_SELECTORS = (0x13, 0x3000, 0xFFF8, 4, 0x53, 0x68)


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("selector", BAD_SELECTORS)
@pytest.mark.parametrize("name", ["SetLDT", "SetTR"])
def test_bad_selector(name: str, selector: int, generation: Generation) -> None:
    ran = run(generation, [Do("Init"), Do(name, {"selector": selector})], paging=True)
    assert faulted_or_went_on(ran, 1) == "fault"
    assert ran.results[1].fault[:2] == (13, selector & 0xFFFC) or ran.results[1].fault[0] == 11


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("selector", [*BAD_SELECTORS, 0])
@pytest.mark.parametrize("place", ["CS", "SS"])
def test_bad_selector_in_the_frame_of_iret(place: str, selector: int, generation: Generation) -> None:
    code, stack = (selector, 0x23) if place == "CS" else (0x1B, selector)
    frame = (0x100000, code, 0x202, USER_STACK, stack)
    ran = run(generation, [Do("Init"), Do("IRET", words=frame)], paging=True)
    assert faulted_or_went_on(ran, 1) == "fault"


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("selector", [0, 3])
def test_sysexit_without_its_segments(selector: int, generation: Generation) -> None:
    steps = [
        Do("Init"),
        Do("WRMSR", {"index": 0x174, "value_low": selector, "value_high": 0}),
    ]
    ran = run(
        generation,
        [*steps, Do("SYSEXIT", {"eip": 0x100000, "esp": USER_STACK})],
        paging=True,
    )
    assert faulted_or_went_on(ran, 2) == "fault"


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("selector", BAD_SELECTORS)
def test_kernel_stack_from_a_bad_selector(selector: int, generation: Generation) -> None:
    """What UpdateKernelStack takes is flat whatever it names; an entry from user mode goes by it or ends the run."""
    stack = selector if generation is Generation.V3 else MEMORY
    steps: list[Do | Store] = [
        Do("Init"),
        Store(MEMORY + 8, selector),
        Do("UpdateKernelStack", {"stack": stack, "esp0": MEMORY + 0x800}),
        Do("IRET", words=(0x7FFFFFFF, 0x1B, 0x202, USER_STACK, 0x23), ds=0x23, es=0x23),
    ]
    ran = run(generation, steps, paging=True)
    assert ran.stop.why in (Why.EXIT, Why.TRIPLE_FAULT, Why.TERMINATED, Why.UNSUPPORTED)
    assert ran.stop.why is Why.EXIT or ran.stop.detail
