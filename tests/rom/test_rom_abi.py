"""The table of calls: complete, without doubles, and with the numbers of the specification."""

from collections import Counter

import pytest

from rom.abi import CALLS, Family, Generation, Place, by_name, by_number, calls, from_unified, unified


def test_names_and_numbers_are_unique() -> None:
    assert max(Counter(call.name for call in CALLS).values()) == 1
    for generation in Generation:
        numbers = [n for call in CALLS if (n := call.number(generation)) is not None]
        assert len(numbers) == len(set(numbers)) == len(calls(generation))


def test_13_numbers_every_slot_behind_the_header() -> None:
    assert list(calls(Generation.V13)) == list(range(4, 88))


def test_3_numbers_without_a_gap_and_two_slots() -> None:
    assert list(calls(Generation.V3)) == [*range(74), 128, 136]


@pytest.mark.parametrize(
    ("name", "n13", "n3"),
    [
        ("Init", 4, 128),
        ("GetRelocationInfo", 85, 136),
        ("CPUID", 5, 0),
        ("WRMSR", 6, 1),
        ("SetGDT", 8, 3),
        ("SetLDT", 9, 4),
        ("SetIDT", 10, 5),
        ("GetTR", 15, 10),
        ("WriteIDTEntry", 18, 13),
        ("UpdateKernelStack", 19, 14),
        ("SetCR0", 20, 15),
        ("GetCR4", 27, 22),
        ("INVD", 28, None),
        ("WBINVD", 29, 23),
        ("RDTSC", 33, 27),
        ("CLTS", 34, 28),
        ("EnableInterrupts", 35, 29),
        ("DisableInterrupts", 36, 30),
        ("GetInterruptMask", 37, 31),
        ("SetInterruptMask", 38, 32),
        ("IRET", 39, 33),
        ("SYSEXIT", 40, 34),
        ("Halt", 42, 35),
        ("Shutdown", 44, 37),
        ("SetPxE0", 45, None),
        ("SetPxELong0", 48, None),
        ("AllocatePage", 53, 44),
        ("FlushDeferredCalls", 57, None),
        ("SetLinearMapping", 58, 48),
        ("IN", 59, 49),
        ("INB", 60, 50),
        ("OUTSW", 70, 60),
        ("SetIOPLMask", 71, 61),
        ("DeactivatePxELongAtomic", 72, None),
        ("SetInitialAPState", 75, 62),
        ("APICRead", 77, 64),
        ("IODelay", 78, 65),
        ("GetCycleFrequency", 79, 66),
        ("WallclockUpdated", 84, 71),
        ("SetPxE", 86, 38),
        ("SetPxELong", 87, 39),
        ("UpdatePxE", None, 40),
        ("SetCallbacks", None, 72),
        ("SetLazyMode", None, 73),
    ],
)
def test_numbers_of_the_specification(name: str, n13: int | None, n3: int | None) -> None:
    call = by_name(name)
    assert (call.n13, call.n3) == (n13, n3)


def test_six_calls_need_only_code_and_stack_segments_flat() -> None:
    assert {call.name for call in CALLS if call.segments == 2} == {
        "EnableInterrupts",
        "DisableInterrupts",
        "GetInterruptMask",
        "SetInterruptMask",
        "IRET",
        "SYSEXIT",
    }
    assert {call.segments for call in CALLS} == {2, 4}


def test_operands_are_well_placed() -> None:
    for call in CALLS:
        for operands in (call.arguments, call.results):
            assert len({operand.place for operand in operands}) == len(operands), call.name
            assert len({operand.name for operand in operands}) == len(operands), call.name
        places = [operand.place for operand in call.arguments]
        if Place.STACK1 in places:
            assert places[:3] == [Place.EAX, Place.EDX, Place.ECX], call.name
        assert not {Place.FLAGS, Place.MEMORY} & set(places), call.name


def test_patched_flag_calls_keep_every_register() -> None:
    flag_calls = [call for call in CALLS if call.family is Family.INTERRUPTS and call.segments == 2]
    assert {call.clobbers for call in flag_calls} == {frozenset({Place.FLAGS})}


def test_unified_numbers_tell_generations_apart() -> None:
    keys = {unified(g, n): (g, n) for g in Generation for n in calls(g)}
    assert len(keys) == 84 + 76
    assert all(from_unified(value) == key for value, key in keys.items())
    assert unified(Generation.V13, 35) == 0xD23
    with pytest.raises(ValueError, match="7 is not a valid Generation"):
        from_unified(0x704)


def test_look_ups_of_what_is_not_there() -> None:
    assert by_number(Generation.V13, 3) is None
    assert by_number(Generation.V3, 74) is None
    with pytest.raises(KeyError):
        by_name("SetPxE1")
