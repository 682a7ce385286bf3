"""Calls and results as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.vmi.describe import describe, describe_result
from rom.abi import CALLS, Generation, by_name, unified

V3, V13 = Generation.V3, Generation.V13
words = st.integers(0, 0xFFFFFFFF)


def call(name: str, generation: Generation = V3) -> int:
    number = by_name(name).number(generation)
    assert number is not None
    return unified(generation, number)


EXAMPLES = [
    (
        "SetPxE",
        V3,
        (0x0010B067, 0xC0101234, 0xC0404011, 0),
        "value=0x10b067, entry=c0101234, flags=PT|CURRENT_AS va=c0404000",
    ),
    ("SetPxELong", V3, (1, 2, 0xC0101238, 0x22), "value=0x0000000200000001, entry=c0101238, flags=PD|DEFER"),
    ("UpdatePxE", V3, (0xC0101234, 1, 0, 0), "entry=c0101234, flags=PT"),
    (
        "AllocatePage",
        V3,
        (0x123, 0x61, 0x100, 768 | 256 << 32),
        "pfn=0x123, flags=PT|CLONE|ZEROED, source_pfn=0x100, first=768, count=256",
    ),
    ("AllocatePage", V13, (0x123, 5, 0, 0), "pfn=0x123, flags=PT|PDP/PAE, source_pfn=0x0, first=0, count=0"),
    (
        "SetAlarm",
        V3,
        (0x101, 6, 1, 2 | 3 << 32),
        "flags=AVAILABLE|PERIODIC|IRQ0, expiry=4294967302, period=12884901890",
    ),
    ("CancelAlarm", V3, (0x10000, 0, 0, 0), "flags=REAL|ONE_SHOT|LVTT"),
    ("GetCycleCounter", V3, (2, 0, 0, 0), "counter=STOLEN"),
    ("SetLazyMode", V3, (1, 0, 0, 0), "mode=MMU"),
    ("FlushTLB", V3, (3, 0, 0, 0), "flags=GLOBAL"),
    ("FlushDeferredCalls", V13, (0xC0, 0, 0, 0), "flags=MMU|CPU"),
    ("SetInterruptMask", V3, (0x246, 0, 0, 0), "mask=IF=1"),
    ("SetIOPLMask", V3, (0x3000, 0, 0, 0), "mask=IOPL=3"),
    ("Reboot", V3, (1, 0, 0, 0), "how=hard"),
    ("GetRelocationInfo", V3, (33, 0, 0, 0), "number=33 (IRET)"),
    ("GetRelocationInfo", V3, (99, 0, 0, 0), "number=99 (no call)"),
    (
        "WriteGDTEntry",
        V3,
        (0xC0200000, 12, 0xFFFF, 0x00CFFA00),
        "table=c0200000, index=12, descriptor=code base=00000000 limit=ffffffff dpl=3",
    ),
    ("WriteGDTEntry", V3, (0xC0200000, 6, 0, 0), "table=c0200000, index=6, descriptor=null"),
    (
        "WriteGDTEntry",
        V3,
        (0xC0200000, 16, 0x40000067, 0xC0008910),
        "table=c0200000, index=16, descriptor=TSS base=c0104000 limit=00000067 dpl=0",
    ),
    (
        "WriteLDTEntry",
        V13,
        (0xC0200000, 1, 0xFFFF, 0x00CF7200),
        "table=c0200000, index=1, descriptor=data base=00000000 limit=ffffffff dpl=3 not present",
    ),
    (
        "WriteIDTEntry",
        V3,
        (0xC0201000, 0x80, 0x00601234, 0xC010EF00),
        "table=c0201000, vector=0x80, gate=trap gate 0060:c0101234 dpl=3",
    ),
    ("OUTB", V13, (0x41, 0x3F8, 0, 0), "value=0x41, port=0x03f8"),
    ("WRMSR", V3, (0x60, 0, 0x174, 0), "index=0x174, value=0x0000000000000060"),
    ("SetCR3", V3, (0x123000, 0, 0, 0), "value=0x123000"),
    ("DisableInterrupts", V3, (7, 7, 7, 7), ""),
]


@pytest.mark.parametrize(("name", "generation", "operands", "text"), EXAMPLES)
def test_a_call(name: str, generation: Generation, operands: tuple[int, int, int, int], text: str) -> None:
    assert describe(call(name, generation), *operands) == f"{name}({text})"


RESULTS = [
    ("Init", V3, 0xFFFFFFFF, "-1"),
    ("Init", V13, 0xDEAD00000000, "0"),
    ("GetRelocationInfo", V3, 1 << 32 | 0xC00D0400, "eip=c00d0400 type=CALL"),
    ("GetRelocationInfo", V3, 9 << 32, "eip=00000000 type=0x9"),
    ("GetInterruptMask", V3, 0x200, "IF=1"),
    ("RDTSC", V3, 0x123456789, "0x0000000123456789"),
    ("GetCycleFrequency", V3, 100_000_000, "100000000"),
    ("CancelAlarm", V3, 1, "1"),
    ("SetCR3", V3, 5, ""),
]


@pytest.mark.parametrize(("name", "generation", "result", "text"), RESULTS)
def test_a_result(name: str, generation: Generation, result: int, text: str) -> None:
    assert describe_result(call(name, generation), result) == text


def test_a_call_that_did_not_return_has_no_result() -> None:
    assert describe_result(call("RDTSC"), None) == ""


@given(number=st.integers(0, 0xFFFF), eax=words, edx=words, ecx=words, stack=st.integers(0, (1 << 64) - 1))
def test_any_numbers_can_be_shown(number: int, eax: int, edx: int, ecx: int, stack: int) -> None:
    assert describe(number, eax, edx, ecx, stack)
    describe_result(number, edx << 32 | eax)


@given(eax=words, edx=words, ecx=words, stack=st.integers(0, (1 << 64) - 1))
def test_every_call_shows_its_name_and_each_operand_once(eax: int, edx: int, ecx: int, stack: int) -> None:
    for info in CALLS:
        for generation in Generation:
            number = info.number(generation)
            if number is None:
                continue
            text = describe(unified(generation, number), eax, edx, ecx, stack)
            assert text.startswith(f"{info.name}(")
            assert "_low" not in text
            assert "_high" not in text
