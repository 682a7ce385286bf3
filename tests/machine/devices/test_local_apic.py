"""The local APIC by itself: registers, priorities against a model, messages, the timer, its state."""

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.apic_bus import Delivery, Message
from pvtrace.machine.devices.local_apic import LocalApic

ID, VERSION, TPR, PPR, EOI, LDR, DFR, SVR = 0x20, 0x30, 0x80, 0xA0, 0xB0, 0xD0, 0xE0, 0xF0
ISR, TMR, IRR, ESR, ICR, ICR_HIGH = 0x100, 0x180, 0x200, 0x280, 0x300, 0x310
TIMER, LINT0, LINT1, ERROR, INITIAL, CURRENT, DIVIDE = 0x320, 0x350, 0x360, 0x370, 0x380, 0x390, 0x3E0
MASKED: Final = 0x10000


class Board:
    """An APIC, and what it said to the outside."""

    def __init__(self, enabled: bool = True) -> None:
        self.ended: list[int] = []
        self.nmis = 0
        self.inits = 0
        self.apic = LocalApic(self.ended.append, self._nmi, self._init)
        if enabled:
            self.write(SVR, 0x1FF)

    def _nmi(self) -> None:
        self.nmis += 1

    def _init(self) -> None:
        self.inits += 1

    def read(self, register: int, now: int = 0) -> int:
        return self.apic.read(register, 4, now)

    def write(self, register: int, value: int, now: int = 0) -> None:
        self.apic.write(register, 4, value, now)

    def fixed(self, vector: int, level: bool = False) -> bool:
        return self.apic.message(Message(Delivery.FIXED, vector, 0, level=level))

    def vectors(self, register: int) -> set[int]:
        words = [self.read(register + 16 * index) for index in range(8)]
        return {32 * index + bit for index, word in enumerate(words) for bit in range(32) if word >> bit & 1}


def test_after_power_up() -> None:
    board = Board(enabled=False)
    assert [board.read(register) for register in (ID, VERSION, TPR, LDR, SVR)] == [0, 0x00050014, 0, 0, 0xFF]
    assert board.read(DFR) == 0xFFFFFFFF
    assert [board.read(TIMER + 16 * entry) for entry in range(6)] == [MASKED] * 6
    assert not board.fixed(0x40)


def test_as_a_bios_leaves_it() -> None:
    board = Board(enabled=False)
    board.apic.left_by_bios()
    assert (board.read(SVR), board.read(LINT0), board.read(LINT1)) == (0x1FF, 0x8700, 0x8400)
    assert board.apic.external


def test_parts_of_a_register() -> None:
    board = Board()
    board.write(ID, 0x0A000000)
    assert board.apic.read(ID + 3, 1, 0) == 0x0A
    assert board.apic.read(ID + 2, 2, 0) == 0x0A00
    assert board.apic.read(ID + 4, 4, 0) == 0
    board.apic.write(TPR, 1, 0x55, 0)
    board.apic.write(TPR + 4, 4, 0x55, 0)
    assert board.read(TPR) == 0


def test_switching_off_by_software_masks_all_entries() -> None:
    board = Board()
    board.write(LINT0, 0x700)
    board.write(TIMER, 0x40)
    board.write(SVR, 0xFF)
    assert board.read(TIMER) == MASKED | 0x40
    assert not board.apic.external
    board.write(TIMER, 0x41)
    assert board.read(TIMER) == MASKED | 0x41
    board.write(SVR, 0x1FF)
    assert board.read(TIMER) == MASKED | 0x41


def test_what_is_pending_waits_while_it_is_off() -> None:
    board = Board()
    board.fixed(0x40)
    board.write(SVR, 0xFF)
    assert board.apic.requested is None
    board.write(SVR, 0x1FF)
    assert board.apic.requested == 0x40


def test_off_by_the_msr_is_as_after_power_up() -> None:
    board = Board()
    board.fixed(0x40)
    board.apic.switch(present=False)
    assert board.apic.requested is None
    assert board.apic.external
    assert not board.fixed(0x41)
    board.apic.switch(present=True)
    assert board.read(SVR) == 0xFF
    assert not board.apic.external


def test_the_spurious_vector_without_a_request() -> None:
    board = Board()
    board.write(SVR, 0x1E7)
    assert board.apic.acknowledge() == 0xE7
    assert board.vectors(ISR) == set()


class Model:
    """The priority rules of SDM volume 3, 10.8.3, in sets."""

    def __init__(self) -> None:
        self.irr: set[int] = set()
        self.isr: set[int] = set()
        self.tpr = 0

    def ppr(self) -> int:
        served = max(self.isr, default=0)
        return self.tpr if self.tpr >> 4 >= served >> 4 else served & 0xF0

    def request(self) -> int | None:
        best = max(self.irr, default=0)
        return best if best >> 4 > self.ppr() >> 4 else None


steps = st.one_of(
    st.tuples(st.just("message"), st.integers(16, 255)),
    st.tuples(st.just("tpr"), st.integers(0, 255)),
    st.tuples(st.sampled_from(["take", "eoi", "save"]), st.just(0)),
)


@given(st.lists(steps, max_size=60))
def test_priorities(script: list[tuple[str, int]]) -> None:
    board, model = Board(), Model()
    for what, value in script:
        match what:
            case "message":
                assert board.fixed(value)
                model.irr.add(value)
            case "tpr":
                board.write(TPR, value)
                model.tpr = value
            case "take" if model.request() is not None:
                vector = model.request()
                assert vector is not None
                assert board.apic.acknowledge() == vector
                model.irr.remove(vector)
                model.isr.add(vector)
            case "eoi":
                board.write(EOI, 0)
                model.isr.discard(max(model.isr, default=0))
            case "save":
                saved = json.loads(json.dumps(board.apic.save()))
                board = Board()
                board.apic.load(saved)
        assert board.apic.requested == model.request()
        assert board.read(PPR) == model.ppr()
    assert board.vectors(IRR) == model.irr
    assert board.vectors(ISR) == model.isr


def test_only_a_level_triggered_interrupt_is_told_of_its_end() -> None:
    board = Board()
    for vector, level in ((0x51, False), (0x62, True)):
        board.fixed(vector, level)
    assert board.vectors(TMR) == {0x62}
    for _ in range(2):
        board.apic.acknowledge()
    assert board.vectors(ISR) == {0x62}  # 51h is of lower priority
    board.write(EOI, 0)
    assert board.ended == [0x62]
    board.apic.acknowledge()
    board.write(EOI, 0)
    board.write(EOI, 0)
    assert board.ended == [0x62]


@pytest.mark.parametrize(
    ("destination", "logical", "dfr", "ldr", "taken"),
    [
        (0, False, 0xFFFFFFFF, 0, True),
        (1, False, 0xFFFFFFFF, 0, False),
        (0x0F, False, 0xFFFFFFFF, 0, True),
        (0xFF, False, 0xFFFFFFFF, 0, True),
        (0x02, True, 0xFFFFFFFF, 0x06000000, True),
        (0x01, True, 0xFFFFFFFF, 0x06000000, False),
        (0x32, True, 0x0FFFFFFF, 0x36000000, True),
        (0x31, True, 0x0FFFFFFF, 0x36000000, False),
        (0x22, True, 0x0FFFFFFF, 0x36000000, False),
        (0xF2, True, 0x0FFFFFFF, 0x36000000, True),
    ],
)
def test_destinations(destination: int, logical: bool, dfr: int, ldr: int, taken: bool) -> None:
    board = Board()
    board.write(DFR, dfr)
    board.write(LDR, ldr)
    sent = Message(Delivery.LOWEST_PRIORITY, 0x40, destination, logical)
    assert board.apic.admits(sent) == taken
    assert board.apic.message(sent) == taken
    board.write(ICR_HIGH, destination << 24)
    board.write(ICR, 0x4041 | logical << 11)
    assert board.vectors(IRR) == ({0x40, 0x41} if taken else set())


@pytest.mark.parametrize(("shorthand", "taken"), [(1, True), (2, True), (3, False)])
def test_shorthands(shorthand: int, taken: bool) -> None:
    board = Board()
    board.write(ICR_HIGH, 0x05000000)
    board.write(ICR, shorthand << 18 | 0x4040)
    assert board.vectors(IRR) == ({0x40} if taken else set())
    assert board.read(ICR) == shorthand << 18 | 0x4040


def test_other_deliveries() -> None:
    board = Board()
    board.write(ICR, 0x44400)  # NMI to itself
    board.write(ICR, 0xC4500)  # INIT to the others
    board.write(ICR, 0x88500)  # INIT to all, deasserted
    board.write(ICR, 0xC4608)  # start-up to the others
    board.write(ICR, 0x44200)  # SMI
    assert (board.nmis, board.inits) == (1, 0)
    board.write(ICR, 0x44500)
    assert board.inits == 1
    assert board.vectors(IRR) == set()


def test_errors() -> None:
    board = Board()
    board.write(ERROR, 0xFE)
    board.write(ICR, 0x4400F)
    assert board.read(ESR) == 0
    assert board.apic.acknowledge() == 0xFE
    board.write(ESR, 0)
    assert board.read(ESR) == 0x20
    assert not board.fixed(0x0F)
    board.read(0x3F0)
    board.write(0x40, 1)
    board.write(ESR, 0)
    assert board.read(ESR) == 0x40 | 0x80
    board.write(ESR, 0)
    assert board.read(ESR) == 0
    for read_only in (VERSION, PPR, ISR, TMR, IRR, CURRENT):
        board.write(read_only, 0xFFFFFFFF)
    board.write(ESR, 0)
    assert board.read(ESR) == 0


def test_the_timer_interrupts_by_its_entry() -> None:
    board = Board()
    board.write(DIVIDE, 0xB)
    board.write(TIMER, 0x20040)
    board.write(INITIAL, 100, 1000)
    assert board.apic.next_event(1000) == 1100
    board.apic.advance(1099)
    assert board.apic.requested is None
    board.apic.advance(1100)
    assert board.apic.acknowledge() == 0x40
    assert board.apic.next_event(1100) == 1200
    board.write(TIMER, MASKED | 0x20040, 1150)
    assert board.apic.next_event(1150) is None
    assert board.read(CURRENT, 1150) == 50
    board.write(TIMER, 0x20040, 1350)  # what passed while it was masked is gone
    assert board.apic.next_event(1350) == 1400
    board.write(TIMER, 0x20003, 1350)
    board.apic.advance(1400)
    board.write(ESR, 0)
    assert board.read(ESR) == 0x40


times = st.lists(st.integers(0, 3000), max_size=12)


@given(st.integers(1, 300), st.booleans(), st.booleans(), times)
def test_advancing_often_is_advancing_once(initial: int, periodic: bool, masked: bool, looks: list[int]) -> None:
    boards = (Board(), Board())
    for board in boards:
        board.write(TIMER, 0x40 | periodic << 17 | masked << 16)
        board.write(INITIAL, initial)
    for now in sorted(looks):
        boards[0].apic.advance(now)
    for board in boards:
        board.apic.advance(3000)
    assert boards[0].apic.save() == boards[1].apic.save()


writes = st.lists(
    st.tuples(st.integers(0, 0x3F).map(lambda n: n * 16), st.integers(0, 0xFFFFFFFF), st.integers(0, 500)), max_size=30
)


@given(writes, writes)
def test_a_saved_apic_goes_on_as_the_original(
    before: list[tuple[int, int, int]], after: list[tuple[int, int, int]]
) -> None:
    board, copy = Board(), Board()
    now = 0
    for register, value, delay in before:
        now += delay
        board.apic.advance(now)
        board.write(register, value, now)
    text = json.dumps(board.apic.save(), sort_keys=True)
    copy.apic.load(json.loads(text))
    for register, value, delay in after:
        now += delay
        for one in (board, copy):
            one.apic.advance(now)
            one.write(register, value, now)
        assert board.apic.requested == copy.apic.requested
        assert board.read(register, now) == copy.read(register, now)
        assert board.apic.next_event(now) == copy.apic.next_event(now)
    assert json.dumps(board.apic.save(), sort_keys=True) == json.dumps(copy.apic.save(), sort_keys=True)
