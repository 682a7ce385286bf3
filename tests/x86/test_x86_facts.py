"""Tables and pure conversions: exceptions, descriptors, gates, flags, the I/O bitmap, decoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.registers import Seg, Segment
from pvtrace.x86 import descriptors, eflags, exceptions
from pvtrace.x86.disasm import BAD, decode, text
from pvtrace.x86.operands import effective_address
from pvtrace.x86.state import System
from pvtrace.x86.tss import io_allowed
from tests.x86.flat_view import TSS, FlatView, at_ring, v8086

CONTRIBUTORY = {0, 10, 11, 12, 13, 21}
WITH_ERROR = {8, 10, 11, 12, 13, 14, 17, 21}


def test_exception_table() -> None:
    assert [info.vector for info in exceptions.EXCEPTIONS] == list(range(32))
    assert {info.vector for info in exceptions.EXCEPTIONS if info.has_error} == WITH_ERROR
    assert exceptions.mnemonic(14) == "#PF"
    assert exceptions.mnemonic(0x80) == "INT 80h"


@pytest.mark.parametrize("first", [0, 1, 3, 6, 8, 10, 13, 14, 17, 0x80, None])
@pytest.mark.parametrize("second", [0, 6, 7, 10, 11, 12, 13, 14, 17])
def test_double_faults(first: int | None, second: int) -> None:
    """SDM volume 3, table 6-5, with the shutdown rule of interrupt 8."""
    serious = second in CONTRIBUTORY or second == 14
    if first == 8:
        want = None if serious else second
    elif first == 14:
        want = 8 if serious else second
    elif first in CONTRIBUTORY:
        want = 8 if second in CONTRIBUTORY else second
    else:
        want = second
    assert exceptions.combine(first, second) == want


@given(lo=st.integers(0, 0xFFFFFFFF), hi=st.integers(0, 0xFFFFFFFF))
def test_segment_descriptors_round_trip(lo: int, hi: int) -> None:
    assert descriptors.encode_segment(descriptors.segment_from_descriptor(8, lo, hi)) == (lo, hi)


@given(lo=st.integers(0, 0xFFFFFFFF), hi=st.integers(0, 0xFFFFFFFF))
def test_gates_round_trip(lo: int, hi: int) -> None:
    gate = descriptors.gate_from_descriptor(lo, hi)
    want_hi = hi & (0xFFFFFF00 if gate.type & 8 else 0xFF00)
    assert descriptors.encode_gate(gate) == (lo, want_hi)


def test_a_flat_segment() -> None:
    segment = descriptors.segment_from_descriptor(0x10, 0x0000FFFF, 0x00CF9300)
    assert segment == Segment(0x10, 0, 0xFFFFFFFF, 0x00C09300)
    assert segment.big
    assert segment.dpl == 0


@given(lo=st.integers(0, 0xFFFFFFFF), hi=st.integers(0, 0xFFFFFFFF), hole=st.integers(1 << 20, 1 << 32))
def test_deprivileged(lo: int, hi: int, hole: int) -> None:
    old = descriptors.segment_from_descriptor(0, lo, hi)
    new = descriptors.segment_from_descriptor(0, *descriptors.deprivileged(lo, hi, hole))
    assert new.base == old.base
    assert new.limit <= old.limit
    if not hi & descriptors.NOT_SYSTEM or not hi & descriptors.PRESENT:
        assert new == old
        return
    assert new.dpl == max(old.dpl, 1)
    expand_down = not hi & descriptors.CODE and hi & descriptors.EXPAND_DOWN
    if descriptors.is_present(new.attributes) and not expand_down:
        assert new.base + new.limit < hole
    assert descriptors.deprivileged(*descriptors.encode_segment(new), hole) == descriptors.encode_segment(new)


def test_deprivileged_flat() -> None:
    """The example of the VMI text: a flat segment ends at FBFFFFFFh."""
    assert descriptors.deprivileged(0x0000FFFF, 0x00CF9B00, 0xFC000000) == (0x0000BFFF, 0x00CFBB00)


@given(real=st.integers(0, 0x3FFFFF), vif=st.booleans(), iopl=st.integers(0, 3))
def test_guest_flags(real: int, vif: bool, iopl: int) -> None:
    guest = eflags.guest_flags(real, System(paravirtual=True, vif=vif, viopl=iopl))
    assert bool(guest & eflags.IF) is vif
    assert eflags.iopl(guest) == iopl
    assert (guest ^ real) & ~(eflags.IF | eflags.IOPL) == 0


def test_flags_for_people() -> None:
    flags = eflags.ZF | eflags.IF | eflags.PF | eflags.IOPL
    assert eflags.words(flags) == "PF ZF IF IOPL=3"
    assert eflags.letters(flags) == "..I..Z.P."


def with_bitmap(view: FlatView, *denied: int) -> FlatView:
    view.put(TSS + 102, 104, 2)
    view.tr = Segment(0x38, TSS, 104 + 128, 0x8B00)
    for port in denied:
        view.memory[TSS + 104 + port // 8] |= 1 << (port & 7)
    return view


@pytest.mark.parametrize("paravirtual", [False, True])
@pytest.mark.parametrize("iopl", [0, 1, 2, 3])
@pytest.mark.parametrize("cpl", [1, 3])
def test_io_permission(cpl: int, iopl: int, paravirtual: bool) -> None:
    view = with_bitmap(at_ring(cpl, viopl=iopl, paravirtual=paravirtual), 0x61)
    by_level = cpl <= iopl or (paravirtual and cpl < 3)
    assert io_allowed(view, 0x60, 1)
    assert io_allowed(view, 0x61, 1) is by_level
    assert io_allowed(view, 0x60, 2) is by_level
    assert io_allowed(view, 0x3FF, 1)
    assert io_allowed(view, 0x400, 1) is by_level  # beyond the bitmap


def test_io_permission_in_virtual_8086_mode_ignores_iopl() -> None:
    assert not io_allowed(with_bitmap(v8086(viopl=3), 0x61), 0x61, 1)
    assert io_allowed(with_bitmap(v8086(viopl=0), 0x61), 0x62, 1)
    old = at_ring(3)
    old.tr = Segment(0x38, TSS, 0x2B, 0x8300)
    assert not io_allowed(old, 0x60, 1)


@given(code=st.binary(max_size=20), bits=st.sampled_from([16, 32]))
def test_decoding_never_fails(code: bytes, bits: int) -> None:
    instruction = decode(code, bits)
    assert instruction.length <= 15
    assert instruction.length >= 1 or not code
    assert text(code, 0x1000, bits)


@pytest.mark.parametrize(
    ("code", "bits", "mnemonic", "length", "operand", "address"),
    [
        ("9c", 32, "PUSHF", 1, 4, 4),
        ("669c", 32, "PUSHF", 2, 2, 4),
        ("669c", 16, "PUSHF", 2, 4, 2),
        ("cf", 16, "IRET", 1, 2, 2),
        ("f3676c", 32, "INS", 3, 4, 2),
        ("f36e", 32, "OUTS", 2, 4, 4),
        ("0f20c3", 32, "MOV CR", 3, 4, 4),
        ("0f2203", 32, "MOV CR", 3, 4, 4),
        ("0f23f8", 32, "MOV DR", 3, 4, 4),
        ("8ed0", 32, "MOV SREG", 2, 4, 4),
        ("8bc0", 32, "MOV", 2, 4, 4),
        ("f1", 32, "ICEBP", 1, 4, 4),
        ("0f01c1", 32, "VMCALL", 3, 4, 4),
        ("0f35", 32, "SYSEXIT", 2, 4, 4),
        ("0f04", 32, BAD, 1, 4, 4),
        ("", 32, BAD, 0, 4, 4),
    ],
)
def test_decode(*, code: str, bits: int, mnemonic: str, length: int, operand: int, address: int) -> None:
    got = decode(bytes.fromhex(code), bits)
    assert (got.mnemonic, got.length, got.operand_size, got.address_size) == (mnemonic, length, operand, address)


def test_effective_addresses() -> None:
    view = at_ring(0)
    view.gprs = [0x100, 0x10, 0, 0x1000, 0x5000, 0x6000, 0x20, 0xFFFF]
    cases = {
        "0f01148dfcffffff": (Seg.DS, 0x3C),  # lgdt [ecx*4-4]
        "0f01542408": (Seg.SS, 0x5008),  # lgdt [esp+8]
        "640f0110": (Seg.FS, 0x100),  # lgdt fs:[eax]
        "670f0111": (Seg.DS, 0x0FFF),  # lgdt [bx+di], cut to 16 bits
    }
    for code, (segment, offset) in cases.items():
        instruction = decode(bytes.fromhex(code))
        assert instruction.memory is not None
        assert instruction.memory.segment == segment
        assert effective_address(view, instruction.memory, instruction.address_size) == offset


def test_text() -> None:
    assert text(bytes.fromhex("cd80"), 0) == "int 0x80"
    assert text(bytes.fromhex("ebfe"), 0x1000) == "jmp 0x1000"
    assert text(b"\xff\xff", 0) == "(bad)"
