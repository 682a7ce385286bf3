import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.uart import Uart

DATA, IER, FCR, LCR, MCR, LSR, MSR, SCR = range(8)
IIR = FCR
RDI, THRI, RLSI, MSI = 1, 2, 4, 8


class Port:
    """A UART with what leaves it: bytes, and the level and rises of its line."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.level = False
        self.rises = 0
        self.uart = Uart(self._line, self.sent.append)

    def _line(self, level: bool) -> None:
        self.rises += level and not self.level
        self.level = level

    def read(self, register: int) -> int:
        return self.uart.read(register, 1, 0)

    def write(self, register: int, value: int) -> None:
        self.uart.write(register, 1, value, 0)

    def handle(self) -> bytes:
        """A plain interrupt handler: read while data is ready."""
        data = bytearray()
        while self.read(LSR) & 1:
            data.append(self.read(DATA))
        return bytes(data)


@pytest.fixture
def port() -> Port:
    return Port()


def test_bytes_leave_and_the_transmitter_is_always_empty(port: Port) -> None:
    for byte in b"hello":
        assert port.read(LSR) == 0x60
        port.write(DATA, byte)
    assert port.sent == b"hello"
    assert port.rises == 0


def test_the_divisor_latch_hides_data_and_ier(port: Port) -> None:
    port.write(IER, RDI)
    port.write(LCR, 0x83)
    assert (port.read(DATA), port.read(IER)) == (1, 0)
    port.write(DATA, 0x34)
    port.write(IER, 0x12)
    assert (port.read(DATA), port.read(IER), port.read(LCR)) == (0x34, 0x12, 0x83)
    port.write(LCR, 0x03)
    assert port.read(IER) == RDI
    assert port.sent == b""


def test_scratch_and_line_state(port: Port) -> None:
    port.write(SCR, 0x5A)
    port.write(LSR, 0xFF)
    port.write(MSR, 0xFF)
    assert (port.read(SCR), port.read(LSR), port.read(MSR)) == (0x5A, 0x60, 0xB0)


def test_every_byte_written_raises_a_transmitter_interrupt(port: Port) -> None:
    port.write(IER, THRI)
    assert (port.level, port.rises) == (True, 1)
    assert port.read(IIR) == 0x02
    assert (port.level, port.read(IIR)) == (False, 0x01)
    for count in (2, 3):
        port.write(DATA, 0x41)
        assert (port.level, port.rises) == (True, count)
    port.write(IER, 0)
    assert not port.level


def test_input_without_fifos_gives_an_edge_for_each_byte(port: Port) -> None:
    port.write(IER, RDI)
    port.uart.receive(b"abc")
    received = bytearray()
    while port.level:
        assert port.read(IIR) == 0x04
        received.append(port.read(DATA))
    assert received == b"abc"
    assert port.rises == 3
    assert port.read(DATA) == 0


def test_a_fifo_refills_when_it_is_empty_and_then_gives_a_new_edge(port: Port) -> None:
    port.write(FCR, 0xC1)
    port.write(IER, RDI)
    port.uart.receive(bytes(range(20)))
    assert port.read(IIR) == 0xC4
    assert bytes(port.read(DATA) for _ in range(16)) == bytes(range(16))
    assert (port.level, port.rises) == (True, 2)
    assert port.read(IIR) == 0xCC  # fewer than the trigger level of 14: the time-out
    assert port.handle() == bytes(range(16, 20))
    assert (port.level, port.read(IIR)) == (False, 0xC1)


def test_clearing_the_receive_fifo_loses_no_input(port: Port) -> None:
    port.uart.receive(b"typed early")
    for value in (0x07, 0xC7, 0x00):
        port.write(FCR, value)
    assert port.handle() == b"typed early"


def test_loopback_returns_bytes_and_modem_lines_and_cuts_the_wire(port: Port) -> None:
    port.uart.receive(b"wait")
    port.write(MCR, 0x1E)
    port.write(IER, RDI | THRI)
    assert port.read(LSR) == 0x60
    port.write(DATA, 0xAE)
    assert (port.read(LSR), port.read(IIR)) == (0x61, 0x04)
    assert port.sent == b""
    assert not port.level
    assert port.read(DATA) == 0xAE
    for mcr, status in ((0x11, 0x20), (0x12, 0x10), (0x14, 0x40), (0x18, 0x80)):
        port.write(MCR, mcr)
        assert port.read(MSR) & 0xF0 == status
    port.write(MCR, 0x0F)
    assert port.level
    assert port.handle() == b"wait"


def test_modem_changes_are_seen_once_and_interrupt(port: Port) -> None:
    port.write(IER, MSI)
    port.write(MCR, 0x1F)
    port.read(MSR)
    port.write(MCR, 0x10)
    assert port.read(IIR) == 0x00
    assert port.read(MSR) == 0x0F
    assert (port.read(MSR), port.read(IIR)) == (0, 1)


def test_overrun_in_loopback_is_a_line_status_interrupt(port: Port) -> None:
    port.write(IER, RDI | RLSI)
    port.write(MCR, 0x10)
    port.write(DATA, 1)
    port.write(DATA, 2)
    assert port.read(IIR) == 0x06
    assert (port.read(LSR), port.read(LSR), port.read(DATA)) == (0x63, 0x61, 1)


@given(st.lists(st.binary(max_size=40)), st.booleans())
def test_all_input_arrives_in_order_through_interrupts(chunks: list[bytes], fifos: bool) -> None:
    port = Port()
    port.write(FCR, 0x41 if fifos else 0)
    port.write(IER, RDI)
    received, served = b"", 0
    for chunk in chunks:
        port.uart.receive(chunk)
        while served < port.rises:
            served = port.rises
            received += port.handle()
    assert received == b"".join(chunks)


def run(port: Port, action: tuple[str, int, int]) -> int | None:
    match action:
        case ("read", register, _):
            return port.read(register)
        case ("write", register, value):
            port.write(register, value)
        case (_, register, value):
            port.uart.receive(bytes([value]) * register)
    return None


actions = st.lists(st.tuples(st.sampled_from(["read", "write", "receive"]), st.integers(0, 7), st.integers(0, 255)))


@given(actions, actions)
def test_a_saved_state_is_all_there_is(before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]) -> None:
    port, copy = Port(), Port()
    for action in before:
        run(port, action)
    copy.uart.load(json.loads(json.dumps(port.uart.save())))
    port.sent.clear()
    for action in after:
        assert run(port, action) == run(copy, action)
    assert port.uart.save() == copy.uart.save()
    assert port.sent == copy.sent


def test_a_loaded_state_is_a_copy(port: Port) -> None:
    port.uart.receive(b"ab")
    state = port.uart.save()
    frozen = json.dumps(state)
    copy = Port()
    copy.uart.load(state)
    copy.handle()
    port.handle()
    assert json.dumps(state) == frozen
