"""The 8042 and its keyboard: commands, answers, the interrupt line, keys, the state."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.keyboard import LONGEST, Keyboard
from pvtrace.model.stops import Why


class Board:
    def __init__(self) -> None:
        self.level = False
        self.mouse_level = False
        self.rises = 0
        self.ends: list[tuple[Why, int]] = []
        self.keyboard = Keyboard(self._drive, self._drive_mouse, lambda why, code: self.ends.append((why, code)))

    def _drive(self, level: bool) -> None:
        self.rises += level and not self.level
        self.level = level

    def _drive_mouse(self, level: bool) -> None:
        self.mouse_level = level

    def command(self, *values: int) -> None:
        """A command to the controller, and data bytes."""
        self.keyboard.write(1, 1, values[0], 0)
        self.data(*values[1:])

    def data(self, *values: int) -> None:
        for value in values:
            self.keyboard.write(0, 1, value, 0)

    @property
    def status(self) -> int:
        return self.keyboard.read(1, 1, 0)

    def take(self) -> list[int]:
        """All that can be read."""
        taken = []
        while self.status & 1:
            taken.append(self.keyboard.read(0, 1, 0))
        return taken


def test_after_the_bios() -> None:
    board = Board()
    assert (board.status, board.keyboard.read(0, 1, 0), board.level) == (0x14, 0, False)
    board.command(0x20)
    assert board.take() == [0x45]


def test_resets() -> None:
    board = Board()
    board.command(0xFF)  # pulses nothing
    board.data(0x00)
    board.command(0xD1, 0xDF)  # A20 on, no reset
    assert board.ends == []
    board.command(0xFE)
    board.command(0xD1, 0xDE)
    assert board.ends == [(Why.REBOOT, 0)] * 2


@pytest.mark.parametrize(
    ("command", "reply"),
    [(0xAA, [0x55]), (0xAB, [0]), (0xA9, [0]), (0xC0, [0x80]), (0xD0, [0xCF]), (0x20, [0x65]), (0xA7, []), (0xAD, [])],
)
def test_commands_to_the_controller(command: int, reply: list[int]) -> None:
    board, copy = Board(), Board()
    board.command(0x60, 0x65)
    board.command(command)
    copy.keyboard.load(json.loads(json.dumps(board.keyboard.save())))
    for one in (board, copy):
        assert one.status & 8
        assert one.take() == reply


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        ([0xFF], [0xFA, 0xAA]),
        ([0xF2], [0xFA, 0xAB, 0x41]),
        ([0xEE], [0xEE]),
        ([0xED, 7], [0xFA, 0xFA]),
        ([0xF3, 0], [0xFA, 0xFA]),
        ([0xF0, 1, 0xF0, 0], [0xFA, 0xFA, 0xFA, 0xFA, 1]),
        ([0xF4], [0xFA]),
        ([0xF5], [0xFA]),
        ([0xF6], [0xFA]),
        ([0x01], [0xFE]),
    ],
)
def test_commands_to_the_keyboard(sent: list[int], reply: list[int]) -> None:
    board = Board()
    board.data(*sent)
    assert not board.status & 8
    assert board.take() == reply


def test_identity_without_translation() -> None:
    board = Board()
    board.command(0x60, 0x05)
    board.data(0xF2)
    assert board.take() == [0xFA, 0xAB, 0x83]


def test_each_byte_is_an_edge_of_the_line() -> None:
    board = Board()
    board.keyboard.press(b"\x1e\x9e\x30")
    assert (board.level, board.rises) == (True, 1)
    assert board.keyboard.read(0, 1, 0) == 0x1E
    assert (board.level, board.rises) == (True, 2)
    assert board.take() == [0x9E, 0x30]
    assert (board.level, board.rises) == (False, 3)


def test_the_interrupt_can_be_off_and_come_on_later() -> None:
    board = Board()
    board.command(0x60, 0x44)
    board.keyboard.press(b"\x1e")
    assert not board.level
    board.command(0x60, 0x45)
    assert board.level


def test_a_keyboard_that_is_off_loses_its_keys() -> None:
    board = Board()
    board.command(0xAD)
    board.keyboard.press(b"\x1e")
    board.command(0xAE)
    board.data(0xF5)
    board.take()
    board.keyboard.press(b"\x1e")
    assert board.take() == []
    board.data(0xF4)
    board.take()
    board.keyboard.press(b"\x1e" * 1000)
    assert len(board.take()) == LONGEST


def test_a_byte_by_the_output_buffer() -> None:
    board = Board()
    board.command(0xD2, 0x3B)
    board.command(0xD3, 0x3C)  # as if from a mouse
    board.command(0xD4, 0xF4)  # to the mouse, of which there is none
    assert board.take() == [0x3B, 0x3C, 0xFE]


accesses = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 0xFD)), max_size=40)


def drive(board: Board, script: list[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    seen = []
    for what, value in script:
        match what:
            case 0 | 1:
                board.keyboard.write(what, 1, value, 0)
            case 2:
                board.keyboard.press(bytes([value]))
            case _:
                seen.append((board.status, board.keyboard.read(0, 1, 0), board.level))
    return seen


@given(accesses, accesses)
def test_a_saved_keyboard_goes_on_as_the_original(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    board, copy = Board(), Board()
    drive(board, before)
    copy.keyboard.load(json.loads(json.dumps(board.keyboard.save())))
    copy.level = board.level
    assert drive(board, after) == drive(copy, after)
    assert board.keyboard.save() == copy.keyboard.save()


def test_a_byte_comes_back_through_the_port_of_the_mouse() -> None:
    """How kernels find out that there is such a port, before they wait half a second for an answer."""
    board = Board()
    board.command(0x60, 0x47)  # both interrupts
    board.command(0xD3, 0x5A)
    assert (board.status & 0x21, board.level, board.mouse_level) == (0x21, False, True)
    assert board.keyboard.read(0, 1, 0) == 0x5A
    assert (board.status & 0x21, board.mouse_level) == (0, False)


def test_each_line_waits_for_its_own_byte() -> None:
    board = Board()
    board.command(0x60, 0x47)
    board.command(0xD2, 0x11)
    board.command(0xD3, 0x22)
    assert (board.level, board.mouse_level, board.status & 0x20) == (True, False, 0)
    assert board.keyboard.read(0, 1, 0) == 0x11
    assert (board.level, board.mouse_level, board.status & 0x20) == (False, True, 0x20)
    board.keyboard.load(json.loads(json.dumps(board.keyboard.save())))
    assert (board.keyboard.read(0, 1, 0), board.level, board.mouse_level) == (0x22, False, False)


def test_the_port_of_the_mouse_is_switched_off_and_on() -> None:
    board = Board()
    for command, shown in ((0xA7, 0x65), (0xA8, 0x45)):
        board.command(command)
        board.command(0x20)
        assert board.take() == [shown]
