"""Packets of the conversation itself: threads, detaching, ending and beginning again, monitor commands."""

from typing import TYPE_CHECKING

from gdbstub.actions import Detach, Kill, Leave, Work
from gdbstub.arguments import THREAD, data, is_our_thread
from gdbstub.errors import INVALID, ProtocolError
from gdbstub.stops import Halted

if TYPE_CHECKING:
    from gdbstub.session import Session

OK = b"OK"


def no_acknowledgements(session: "Session", _: bytes) -> bytes:
    session.acknowledging = False
    return OK


def extended(session: "Session", _: bytes) -> bytes:
    session.extended = True
    return OK


def why(session: "Session", _: bytes) -> bytes:
    return session.stop_reply(session.target.halted().reason) if session.alive else b"W00"


def detach(_session: "Session", _: bytes) -> Leave:
    return Leave(OK, Detach())


def kill(_session: "Session", _: bytes) -> Leave:
    return Leave(None, Kill())


def kill_process(session: "Session", _: bytes) -> Leave | bytes:
    """In extended mode the client stays, and may run the program again."""
    session.alive = False
    return OK if session.extended else Leave(OK, Kill())


def _from_the_start(session: "Session") -> Halted:
    ability = session.target.restart
    assert ability is not None
    session.alive = True
    return ability.restart()


def run(session: "Session", _: bytes) -> Work:
    """vRun: there is one program, whatever its name and arguments."""
    return Work(lambda _: _from_the_start(session))


def restart(session: "Session", _: bytes) -> Work:
    """R has no reply."""

    def work(_: object) -> None:
        _from_the_start(session)

    return Work(work)


def attached(_session: "Session", _: bytes) -> bytes:
    """The program was there before: gdb detaches from it when it quits."""
    return b"1"


def set_thread(_session: "Session", arguments: bytes) -> bytes:
    if arguments[:1] not in (b"g", b"c") or not is_our_thread(arguments[1:]):
        raise ProtocolError(INVALID)
    return OK


def thread_alive(_session: "Session", arguments: bytes) -> bytes:
    if not is_our_thread(arguments):
        raise ProtocolError(INVALID)
    return OK


def current_thread(_session: "Session", _: bytes) -> bytes:
    return b"QC%x" % THREAD


def first_threads(_session: "Session", _: bytes) -> bytes:
    return b"m%x" % THREAD


def further_threads(_session: "Session", _: bytes) -> bytes:
    return b"l"


def thread_words(session: "Session", arguments: bytes) -> bytes:
    if not is_our_thread(arguments):
        raise ProtocolError(INVALID)
    return session.target.thread_name.encode().hex().encode()


def monitor(session: "Session", arguments: bytes) -> Work:
    ability = session.target.monitor
    assert ability is not None
    line = data(arguments).decode("utf-8", "replace")
    return Work(lambda interrupted: ability.command(line, interrupted), talks=True)
