"""Agent expressions: what gdb compiles, and what nobody should."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbstub.agent import Expression, _Run
from gdbstub.errors import ProtocolError

MEMORY = bytes(range(256))
WORDS = st.integers(0, (1 << 64) - 1)


def value(code: str, registers: dict[int, int] | None = None) -> int:
    known = {8: 0x100120, 0: 7} if registers is None else registers
    return Expression(bytes.fromhex(code)).value(known.get, lambda at, size: MEMORY[at : at + size])


def constant(number: int) -> str:
    return f"25{number:016x}"


def signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def test_what_gdb_sends() -> None:
    """The condition of a breakpoint at $eip == 0x100120."""
    assert value("2600082a2024001001201327") == 1
    assert value("2600082a2024001001211327") == 0


@given(WORDS, WORDS)
def test_arithmetic(a: int, b: int) -> None:
    two = constant(a) + constant(b)
    assert value(two + "0227") == (a + b) % (1 << 64)
    assert value(two + "0327") == (a - b) % (1 << 64)
    assert value(two + "0427") == (a * b) % (1 << 64)
    assert value(two + "0f27") == a & b
    assert value(two + "1027") == a | b
    assert value(two + "1127") == a ^ b
    assert value(two + "1327") == (a == b)
    assert value(two + "1427") == (signed(a) < signed(b))
    assert value(two + "1527") == (a < b)
    if b:
        quotient, rest = signed(value(two + "0527")), signed(value(two + "0727"))
        assert (quotient * signed(b) + rest - signed(a)) % (1 << 64) == 0
        assert abs(rest) < abs(signed(b))
        assert value(two + "0627") == a // b
        assert value(two + "0827") == a % b


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("22ff160827", (1 << 64) - 1),  # ext 8
        ("22ff2a0427", 15),  # zero_ext 4
        ("2204220122092b0327", 8),  # 4 1 9, swap: 9 - 1
        ("220422012927", 4),  # pop
        ("2204280227", 8),  # dup
        ("220422012209320227", 4),  # pick 2
        ("2201220222033327", 2),  # rot: 3 1 2
        ("22101927", 0x13121110),  # ref32
        ("22101a27", 0x1716151413121110),
        ("220120000627222a27", 0x2A),  # if_goto
        ("2100052201221127", 0x11),  # goto
        ("220322010927", 6),
        ("22f0160822010a27", (1 << 64) - 8),
        ("22f022040b27", 15),
        ("22000e27", 1),
        ("22001227", (1 << 64) - 1),
    ],
)
def test_opcodes(code: str, wanted: int) -> None:
    assert value(code) == wanted


@pytest.mark.parametrize("code", ["", "ff", "22", "2500", "0c0127", "260027"[:4]])
def test_what_cannot_be_understood_is_refused_at_once(code: str) -> None:
    with pytest.raises(ProtocolError):
        Expression(bytes.fromhex(code))


INCOMPUTABLE = [
    "27",
    "0227",
    "2201",
    "220022000527",
    "210000",
    "25ffffffffffffffff1727",
    "26006327",
    "21ffff27",
    "320327",
    "220028210002",
]


@pytest.mark.parametrize("code", INCOMPUTABLE)
def test_what_cannot_be_computed_is_an_error(code: str) -> None:
    with pytest.raises(ProtocolError):
        value(code)


@given(st.binary(min_size=1, max_size=40))
def test_nothing_else_is_ever_raised(code: bytes) -> None:
    try:
        expression = Expression(code)
        result = expression.value(lambda _: 1, lambda at, size: MEMORY[at : at + size])
    except ProtocolError:
        return
    assert 0 <= result < 1 << 64


@given(
    st.lists(
        st.one_of(
            st.builds(lambda v: b"\x22" + bytes([v]), st.integers(0, 255)),
            st.builds(lambda v: b"\x24" + v.to_bytes(4, "big"), st.integers(0, 2**32 - 1)),
            st.builds(lambda v: b"\x25" + v.to_bytes(8, "big"), st.integers(0, 2**64 - 1)),
            st.builds(lambda n: b"\x26" + n.to_bytes(2, "big"), st.integers(0, 9)),
            st.builds(lambda op, bits: bytes([op, bits]), st.sampled_from([0x16, 0x2A]), st.integers(0, 70)),
            st.sampled_from(
                [bytes([op]) for op in (*range(0x02, 0x0C), *range(0x0E, 0x16), *range(0x17, 0x1B), 0x28, 0x2B)]
            ),
        ),
        max_size=12,
    )
)
def test_code_without_jumps_is_computed_as_if_it_were_run(pieces: list[bytes]) -> None:
    """The same value or the same complaint, by the function that it was made into and by the machine."""
    code = b"".join([*pieces, b"\x27"])
    expression = Expression(code)

    def register(number: int) -> int | None:
        return None if number == 9 else number * 0x0123456789ABCDEF

    def memory(address: int, size: int) -> bytes:
        return bytes((address + at) & 0xFF for at in range(size if address % 5 else size - 1))

    def outcome(compute: Callable[[], int]) -> int | str:
        try:
            return compute()
        except ProtocolError as error:
            return error.text

    assert outcome(lambda: expression.value(register, memory)) == outcome(_Run(code, register, memory).result)
