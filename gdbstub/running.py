"""Packets that run the target: s, S, c, C, vCont, bs, bc. Each is Work whose stop reply comes later."""

from typing import TYPE_CHECKING

from gdbstub.actions import Work
from gdbstub.arguments import is_our_thread, number, numbers
from gdbstub.errors import INVALID, ProtocolError

if TYPE_CHECKING:
    from gdbstub.session import Session


def step(session: "Session", arguments: bytes) -> Work:
    _from(session, arguments)
    return Work(session.target.step, talks=True)


def resume(session: "Session", arguments: bytes) -> Work:
    _from(session, arguments)
    return Work(session.target.resume, talks=True)


def _from(session: "Session", address: bytes) -> None:
    """`s` and `c` may say where to go on."""
    if address:
        session.target.write_register(session.target.description.counter, number(address))


def step_with_signal(session: "Session", arguments: bytes) -> Work:
    """A machine takes no signals: they are what gdb was told of a stop, and are dropped."""
    return step(session, _behind_signal(arguments))


def resume_with_signal(session: "Session", arguments: bytes) -> Work:
    return resume(session, _behind_signal(arguments))


def _behind_signal(arguments: bytes) -> bytes:
    signal, _, address = arguments.partition(b";")
    number(signal)
    return address


def what_continues(session: "Session", _: bytes) -> bytes:
    """C and S must be there, or gdb makes a continue of a step."""
    return b"vCont;c;C;s;S" + (b"" if session.target.range_step is None else b";r")


def continue_threads(session: "Session", arguments: bytes) -> Work:
    """The first action that names the only thread counts."""
    for text in arguments.split(b";"):
        action, _, thread = text.partition(b":")
        if not thread or is_our_thread(thread):
            return _action(session, action)
    raise ProtocolError(INVALID)


def _action(session: "Session", action: bytes) -> Work:
    kind, rest = action[:1], action[1:]
    if kind in (b"s", b"c") and not rest:
        return Work(session.target.step if kind == b"s" else session.target.resume, talks=True)
    if kind in (b"S", b"C"):
        number(rest)
        return Work(session.target.step if kind == b"S" else session.target.resume, talks=True)
    ability = session.target.range_step
    if kind == b"r" and ability is not None:
        start, end = numbers(rest, 2)
        return Work(lambda interrupted: ability.step_in(start, end, interrupted), talks=True)
    raise ProtocolError(INVALID)


def step_back(session: "Session", _: bytes) -> Work:
    ability = session.target.reverse
    assert ability is not None
    return Work(ability.step_back, talks=True)


def continue_back(session: "Session", _: bytes) -> Work:
    ability = session.target.reverse
    assert ability is not None
    return Work(ability.continue_back, talks=True)
