"""Why the target stopped, and how that is told to gdb (gdb manual E.3). Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

SIGINT, SIGTRAP, SIGSEGV = 2, 5, 11


class Access(Enum):
    """What a watchpoint watches for; the value is gdb's word for it in a stop reply."""

    WRITE = "watch"
    READ = "rwatch"
    ANY = "awatch"


class Edge(Enum):
    """An end of the recorded history."""

    BEGIN = "begin"
    END = "end"


@dataclass(frozen=True, slots=True)
class Signalled:
    """Stopped for no other reason than this signal: SIGTRAP behind a step, SIGINT for Ctrl-C."""

    signal: int = SIGTRAP


@dataclass(frozen=True, slots=True)
class AtBreakpoint:
    """In front of an instruction with a breakpoint."""

    hardware: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """A watchpoint: forwards behind the access, backwards in front of it. `address` is inside the watched range."""

    address: int
    access: Access = Access.WRITE


@dataclass(frozen=True, slots=True)
class HistoryEnd:
    """There is no more history in this direction."""

    edge: Edge


@dataclass(frozen=True, slots=True)
class Exited:
    """The program is gone."""

    code: int = 0


Reason = Signalled | AtBreakpoint | Watched | HistoryEnd | Exited


@dataclass(frozen=True, slots=True)
class Halted:
    """`message`: text that gdb shows to the person in front of the stop."""

    reason: Reason
    message: str = ""


def stop_reply(reason: Reason, thread: int, knows: Callable[[str], bool]) -> bytes:
    """`knows`: whether gdb said in qSupported that it understands this reason ("swbreak", "hwbreak")."""
    match reason:
        case Signalled(signal):
            detail = ""
        case AtBreakpoint(hardware):
            word = "hwbreak" if hardware else "swbreak"
            signal, detail = SIGTRAP, f"{word}:;" if knows(word) else ""
        case Watched(address, access):
            signal, detail = SIGTRAP, f"{access.value}:{address:x};"
        case HistoryEnd(edge):
            signal, detail = SIGTRAP, f"replaylog:{edge.value};"
        case Exited(code):
            return b"W%02x" % (code & 0xFF)
        case _:
            assert_never(reason)
    return f"T{signal:02x}thread:{thread:x};{detail}".encode()
