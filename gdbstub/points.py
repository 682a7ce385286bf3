"""Packets that insert and remove breakpoints and watchpoints: Z and z."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from gdbstub.actions import Result
from gdbstub.agent import Expression
from gdbstub.arguments import data, number, numbers
from gdbstub.errors import INVALID, ProtocolError
from gdbstub.stops import Access
from gdbstub.target import Breakpoints, Target, Watchpoints

if TYPE_CHECKING:
    from gdbstub.session import Session

ACCESS: Final = {2: Access.WRITE, 3: Access.READ, 4: Access.ANY}
"""By the number of the packet."""

OK: Final = b"OK"


def software(target: Target) -> Breakpoints | None:
    return target.breakpoints


def hardware(target: Target) -> Breakpoints | None:
    return target.hardware_breakpoints


def watching(target: Target) -> Watchpoints | None:
    return target.watchpoints


def insert_software(session: "Session", arguments: bytes) -> Result:
    return _insert(software(session.target), arguments)


def remove_software(session: "Session", arguments: bytes) -> Result:
    return _remove(software(session.target), arguments)


def insert_hardware(session: "Session", arguments: bytes) -> Result:
    return _insert(hardware(session.target), arguments)


def remove_hardware(session: "Session", arguments: bytes) -> Result:
    return _remove(hardware(session.target), arguments)


def _insert(ability: Breakpoints | None, arguments: bytes) -> bytes:
    assert ability is not None
    place, _, rest = arguments.partition(b";")
    address, _ = numbers(place, 2)
    ability.insert(address, tuple(conditions(rest)))
    return OK


def _remove(ability: Breakpoints | None, arguments: bytes) -> bytes:
    assert ability is not None
    address, _ = numbers(arguments.partition(b";")[0], 2)
    ability.remove(address)
    return OK


def conditions(text: bytes) -> Iterator[Expression]:
    """`X<length>,<bytecode>` one behind the other; commands of breakpoints are not offered. Raises ProtocolError."""
    while text:
        if text[:1] == b";":
            text = text[1:]
            continue
        length, comma, rest = text[1:].partition(b",")
        if text[:1] != b"X" or not comma:
            raise ProtocolError(INVALID)
        digits = 2 * number(length)
        yield Expression(data(rest[:digits]))
        if len(rest) < digits:
            raise ProtocolError(INVALID)
        text = rest[digits:]


def inserter(access: Access) -> "Callable[[Session, bytes], Result]":
    def insert(session: "Session", arguments: bytes) -> bytes:
        ability = session.target.watchpoints
        assert ability is not None
        address, size = _range(arguments)
        ability.insert(address, size, access)
        return OK

    return insert


def remover(access: Access) -> "Callable[[Session, bytes], Result]":
    def remove(session: "Session", arguments: bytes) -> bytes:
        ability = session.target.watchpoints
        assert ability is not None
        address, size = _range(arguments)
        ability.remove(address, size, access)
        return OK

    return remove


def _range(arguments: bytes) -> tuple[int, int]:
    address, size = numbers(arguments, 2)
    if size == 0:
        raise ProtocolError(INVALID)
    return address, size
