"""Packets that read and write registers: g, G, p, P."""

from typing import TYPE_CHECKING

from gdbstub.arguments import data, number
from gdbstub.errors import INVALID, ProtocolError
from gdbstub.features import all_to_hex, to_hex

if TYPE_CHECKING:
    from gdbstub.session import Session


def read_all(session: "Session", _: bytes) -> bytes:
    target = session.target
    return all_to_hex(target.description.registers, target.read_registers()).encode()


def read_one(session: "Session", arguments: bytes) -> bytes:
    which = _known(session, arguments)
    target = session.target
    return to_hex(target.description.registers[which], target.read_registers()[which]).encode()


def write_one(session: "Session", arguments: bytes) -> bytes:
    name, _, value = arguments.partition(b"=")
    which = _known(session, name)
    _write(session, which, data(value))
    return b"OK"


def write_all(session: "Session", arguments: bytes) -> bytes:
    """Only what differs is written, so that registers that cannot be written do not matter if nothing changes."""
    values = data(arguments)
    target = session.target
    registers = target.description.registers
    if len(values) != sum(register.size for register in registers):
        raise ProtocolError(INVALID)
    at = 0
    for which, (register, now) in enumerate(zip(registers, target.read_registers(), strict=True)):
        value = values[at : at + register.size]
        at += register.size
        if now is not None and int.from_bytes(value, "little") != now:
            _write(session, which, value)
    return b"OK"


def _known(session: "Session", text: bytes) -> int:
    which = number(text)
    if which >= len(session.target.description.registers):
        raise ProtocolError(INVALID)
    return which


def _write(session: "Session", which: int, value: bytes) -> None:
    if len(value) != session.target.description.registers[which].size:
        raise ProtocolError(INVALID)
    session.target.write_register(which, int.from_bytes(value, "little"))
