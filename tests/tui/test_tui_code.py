"""Code backwards: what stands in front of an instruction is found, and it is what going forwards gives."""

from hypothesis import given
from hypothesis import strategies as st

from pvtrace.tui.code import Code, Peek, backward, forward, one
from pvtrace.tui.panes.disassembly import gutter

BASE = 0x100000
INSTRUCTIONS = (b"\x90", b"\x9d", b"\x89\xc3", b"\xb8\x78\x56\x34\x12", b"\x81\x24\x24\xff\xfd\xff\xff", b"\xcd\x80")


def memory(data: bytes) -> Peek:
    return lambda address, size: data[address - BASE :][:size] if address >= BASE else b""


@given(st.lists(st.sampled_from(INSTRUCTIONS), min_size=1, max_size=60), st.data())
def test_backward_from_the_start_of_its_function_is_forward(code: list[bytes], data: st.DataObject) -> None:
    peek = memory(b"".join(code))
    all_ = forward(peek, BASE, len(code))
    at = data.draw(st.integers(0, len(code) - 1))
    count = data.draw(st.integers(0, at + 3))
    found = backward(peek, all_[at].address, count, BASE)
    assert found == (all_[max(0, at - count) : at] if count else [])


@given(st.binary(min_size=1, max_size=80), st.integers(1, 79))
def test_backward_always_comes_out_where_it_is_asked_for(data: bytes, offset: int) -> None:
    at = BASE + min(offset, len(data) - 1)
    found = backward(memory(data), at, 5)
    ends = [code.address + len(code.bytes) for code in found]
    assert ends == [*(code.address for code in found[1:]), at][: len(found)] if found else True


def test_targets_of_jumps_and_calls() -> None:
    assert one(b"\x74\x02", BASE) == Code(BASE, b"\x74\x02", "je 0x100004", BASE + 4, jumps=True)
    call = one(b"\xe8\x0b\x00\x00\x00", BASE)
    assert (call.target, call.jumps) == (BASE + 16, False)
    assert one(b"\xff\xd0", BASE).target is None
    assert one(b"\xea\x1b\x00\x10\x00\x08\x00", BASE).target is None
    assert one(b"\xe2\xfe", BASE).target == BASE


def test_memory_that_ends_ends_the_list() -> None:
    assert [code.text for code in forward(memory(b"\x90\x90"), BASE, 9)] == ["nop", "nop"]
    assert forward(memory(b""), BASE, 9) == []


def test_arrows_go_from_jumps_to_targets() -> None:
    inside = forward(memory(b"\x74\x05\x74\x01\x90\x90\x90\x90"), BASE, 6)
    assert gutter(inside) == ["╭── ", "│╭─ ", "││  ", "│╰▸ ", "│   ", "╰─▸ "]
    back = forward(memory(b"\x90\xeb\xfd"), BASE, 2)
    assert gutter(back) == ["╭▸ ", "╰─ "]
    assert gutter(forward(memory(b"\xeb\xfe"), BASE, 1)) == ["├▸ "]
    assert gutter(forward(memory(b"\xeb\x7f\x90"), BASE, 2)) == ["", ""]
