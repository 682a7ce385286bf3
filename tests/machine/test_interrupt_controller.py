"""The 8259, the local APIC and the IO-APIC together; and the addresses at which devices answer."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.debug_console import DelayPort
from pvtrace.machine.interrupt_controller import InterruptController, Taken
from pvtrace.machine.memory_bus import REMEMBERED, MemoryBus


class Board:
    def __init__(self) -> None:
        self.inits = 0
        self.controller = InterruptController(self._init)

    def _init(self) -> None:
        self.inits += 1

    def apic(self, register: int, value: int) -> None:
        self.controller.apic.write(register, 4, value, 0)

    def redirect(self, pin: int, low: int) -> None:
        for index, value in ((0x11 + 2 * pin, 0), (0x10 + 2 * pin, low)):
            self.controller.io_apic.write(0, 4, index, 0)
            self.controller.io_apic.write(0x10, 4, value, 0)

    def pulse(self, irq: int) -> None:
        line = self.controller.line(irq)
        line(True)
        line(False)


def test_after_the_bios_the_8259_speaks() -> None:
    board = Board()
    assert board.controller.admits(0)
    board.pulse(0)
    assert board.controller.pending()
    assert board.controller.acknowledge() == Taken(8, 0)
    assert not board.controller.pending()
    assert not board.controller.admits(0)  # in service


def test_lint0_masked_holds_the_8259_back() -> None:
    board = Board()
    board.apic(0x350, 0x18700)
    board.pulse(0)
    assert not board.controller.pending()
    assert not board.controller.admits(0)
    board.controller.apic.switch(present=False)
    assert board.controller.pending()


def test_a_line_goes_to_both() -> None:
    board = Board()
    board.controller.pic.write(3, 1, 0xFF, 0)  # IRQ 8 by the IO-APIC alone
    board.redirect(2, 0x31)
    board.redirect(8, 0x38)
    board.pulse(8)
    assert board.controller.acknowledge() == Taken(0x38, 8)
    board.pulse(0)
    assert not board.controller.admits(8)  # its class is in service
    assert board.controller.acknowledge() == Taken(8, 0)  # the 8259's has no priority there, so it passes
    board.apic(0xB0, 0)
    assert board.controller.acknowledge() == Taken(0x31, 0)


def test_what_admits_says_happens() -> None:
    board = Board()
    board.controller.pic.write(1, 1, 0xFF, 0)
    assert not board.controller.admits(0)
    board.redirect(2, 0x10031)
    assert not board.controller.admits(0)
    board.redirect(2, 0x31)
    assert board.controller.admits(0)
    board.apic(0x80, 0x30)
    assert not board.controller.admits(0)


@given(st.integers(0, 0xFF), st.integers(0, 0xFF), st.sampled_from([0x31, 0x10031, 0x8031, 0x431]), st.booleans())
def test_admits_is_right_for_any_masks(imr: int, tpr: int, entry: int, wired: bool) -> None:
    board = Board()
    board.controller.pic.write(1, 1, imr, 0)
    board.apic(0x80, tpr)
    board.apic(0x350, 0x8700 if wired else 0x18700)
    board.redirect(2, entry)
    admitted = board.controller.admits(0)
    board.pulse(0)
    assert board.controller.pending() == admitted


def test_non_maskable_interrupts_are_blocked_until_the_return() -> None:
    board = Board()
    board.apic(0x300, 0x44400)
    assert board.controller.nmi
    board.controller.take_nmi()
    board.apic(0x300, 0x44400)
    assert not board.controller.nmi
    copy = Board()
    copy.controller.load(json.loads(json.dumps(board.controller.save())))
    for one in (board, copy):
        one.controller.returned()
        assert one.controller.nmi
        one.controller.drop_nmi()
        assert not one.controller.nmi


def test_an_init_reaches_the_cpu() -> None:
    board = Board()
    board.apic(0x300, 0x44500)
    assert board.inits == 1


class Words:
    """A device of doublewords that says which it is."""

    width = 4

    def __init__(self) -> None:
        self.written: list[tuple[int, int, int]] = []

    def read(self, offset: int, width: int, _now: int) -> int:
        return (offset | 0xABCD0000) & (1 << 8 * width) - 1

    def write(self, offset: int, width: int, value: int, _now: int) -> None:
        self.written.append((offset, width, value))

    def save(self) -> dict[str, int]:
        return {}

    def load(self, _state: object) -> None:
        pass


def test_device_memory() -> None:
    device = Words()
    bus = MemoryBus({"words": device, "other": DelayPort()}, {"words": 0xE0000000})
    assert bus.read(0xE0000FF8, 8, 0) == (0xABCD0FFC_ABCD0FF8, False)
    assert bus.read(0xE0000010, 2, 0) == (0x0010, False)
    assert not bus.write(0xE0000010, 8, 0x22222222_11111111, 0)
    assert device.written == [(0x10, 4, 0x11111111), (0x14, 4, 0x22222222)]
    bus.move("words", 0xE0001000)
    assert bus.read(0xE0000000, 4, 0) == (0xFFFFFFFF, True)
    assert bus.read(0xE0001004, 4, 0) == (0xABCD0004, False)
    bus.move("words", None)
    assert bus.write(0xE0001004, 4, 0, 0)


def test_holes_are_told_once_a_page_and_not_without_end() -> None:
    bus = MemoryBus({}, {})
    assert bus.read(0xD0000000, 8, 0) == ((1 << 64) - 1, True)
    assert bus.read(0xD0000FFC, 4, 0) == (0xFFFFFFFF, False)
    assert not bus.write(0xD0000000, 4, 0, 0)
    copy = MemoryBus({}, {})
    copy.load(json.loads(json.dumps(bus.save())))
    assert not copy.write(0xD0000000, 4, 0, 0)
    told = [copy.write(0xD0000000 + 4096 * page, 4, 0, 0) for page in range(1000)]
    assert sum(told) == REMEMBERED - 1
