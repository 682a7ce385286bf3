"""The IO-APIC by itself, against a bus that accepts or refuses what it sends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.apic_bus import Delivery, Message
from pvtrace.machine.devices.io_apic import IoApic

LEVEL, MASKED, REMOTE_IRR = 0x8000, 0x10000, 0x4000


class Board:
    def __init__(self, accepts: bool = True) -> None:
        self.accepts = accepts
        self.sent: list[Message] = []
        self.io_apic = IoApic(self._send)

    def _send(self, sent: Message) -> bool:
        self.sent.append(sent)
        return self.accepts

    def read(self, index: int) -> int:
        self.io_apic.write(0, 4, index, 0)
        return self.io_apic.read(0x10, 4, 0)

    def write(self, index: int, value: int) -> None:
        self.io_apic.write(0, 1, index, 0)
        self.io_apic.write(0x10, 4, value, 0)

    def entry(self, pin: int, low: int, high: int = 0) -> None:
        self.write(0x11 + 2 * pin, high)
        self.write(0x10 + 2 * pin, low)

    def drive(self, pin: int, *levels: bool) -> None:
        line = self.io_apic.line(pin)
        for level in levels:
            line(level)

    def low(self, pin: int) -> int:
        return self.read(0x10 + 2 * pin)


def test_registers() -> None:
    board = Board()
    assert (board.read(0), board.read(1), board.read(2)) == (1 << 24, 0x00170011, 1 << 24)
    assert [board.low(pin) for pin in range(24)] == [MASKED] * 24
    board.write(0, 0xFFFFFFFF)
    assert board.read(0) == 0x0F000000
    board.write(1, 0)
    assert board.read(1) == 0x00170011
    board.entry(5, 0xFFFFFFFF, 0xFFFFFFFF)
    assert (board.low(5), board.read(0x1B)) == (0x1AFFF, 0xFF000000)
    assert board.read(0x40) == 0
    board.io_apic.write(0x10, 1, 0xFF, 0)
    assert board.io_apic.read(0x20, 4, 0) == 0
    assert board.io_apic.read(0x00, 1, 0) == 0x40
    assert board.io_apic.read(0x12, 2, 0) == 0
    with pytest.raises(ValueError, match="no input 24"):
        board.io_apic.line(24)


def test_an_edge_is_sent_once_and_lost_while_masked() -> None:
    board = Board()
    board.drive(4, True, False)
    board.entry(4, 0x844, 0x03000000)
    assert board.sent == []
    board.drive(4, True, True, False, True)
    assert board.sent == [Message(Delivery.FIXED, 0x44, 3, logical=True)] * 2
    assert board.io_apic.pin_of(0x44) == 4
    assert board.io_apic.pin_of(0x45) is None


def test_a_level_is_sent_again_after_its_end_while_it_lasts() -> None:
    board = Board()
    board.drive(9, True)
    board.entry(9, LEVEL | 0x155)
    assert board.sent == [Message(Delivery.LOWEST_PRIORITY, 0x55, 0, level=True)]
    assert board.low(9) == LEVEL | REMOTE_IRR | 0x155
    assert board.io_apic.route(9) is None
    board.drive(9, False, True)
    assert len(board.sent) == 1
    board.io_apic.end_of_interrupt(0x54)
    assert len(board.sent) == 1
    board.io_apic.end_of_interrupt(0x55)
    assert len(board.sent) == 2
    board.drive(9, False)
    board.io_apic.end_of_interrupt(0x55)
    assert len(board.sent) == 2
    assert board.low(9) == LEVEL | 0x155


def test_making_it_an_edge_clears_remote_irr() -> None:
    board = Board()
    board.entry(9, LEVEL | 0x55)
    board.drive(9, True)
    board.entry(9, MASKED | 0x55)
    board.entry(9, MASKED | LEVEL | 0x55)
    assert board.low(9) == MASKED | LEVEL | 0x55


def test_what_is_not_accepted_is_not_under_way() -> None:
    board = Board(accepts=False)
    board.entry(9, LEVEL | 0x55)
    board.drive(9, True)
    assert board.low(9) == LEVEL | 0x55


actions = st.lists(
    st.one_of(
        st.tuples(st.just("drive"), st.integers(0, 3), st.integers(0, 1)),
        st.tuples(st.just("entry"), st.integers(0, 3), st.sampled_from([0x50, 0x8050, 0x10050, 0x18051, 0x8051])),
        st.tuples(st.just("end"), st.integers(0x50, 0x51), st.just(0)),
    ),
    max_size=40,
)


def act(board: Board, script: list[tuple[str, int, int]]) -> None:
    for what, where, value in script:
        if what == "drive":
            board.drive(where, bool(value))
        elif what == "entry":
            board.entry(where, value)
        else:
            board.io_apic.end_of_interrupt(where)


@given(actions, actions)
def test_a_saved_io_apic_goes_on_as_the_original(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    board, copy = Board(), Board()
    act(board, before)
    copy.io_apic.load(json.loads(json.dumps(board.io_apic.save())))
    board.sent.clear()
    act(board, after)
    act(copy, after)
    assert board.sent == copy.sent
    assert board.io_apic.save() == copy.io_apic.save()


@given(actions)
def test_a_level_input_that_is_asserted_and_open_is_always_under_way(script: list[tuple[str, int, int]]) -> None:
    board = Board()
    levels = [False] * 4
    for what, where, value in script:
        act(board, [(what, where, value)])
        if what == "drive":
            levels[where] = bool(value)
        for pin, level in enumerate(levels):
            low = board.low(pin)
            if level and low & LEVEL and not low & MASKED:
                assert low & REMOTE_IRR
            if not low & LEVEL:
                assert not low & REMOTE_IRR
