"""What a session wants done: by whoever drives it (Action), or by the session for a packet (Result)."""

from collections.abc import Callable
from dataclasses import dataclass

from gdbstub.stops import Halted
from gdbstub.target import Interrupted


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes go to gdb."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Work:
    """Something that may take long: call `run`, and give what it returns, or the ProtocolError that it raises, to
    Session.done. Halted is told as a stop, text as the output of a command, bytes are a reply; None: no reply.

    `talks`: text for the person may be sent while it lasts (Session.say)."""

    run: Callable[[Interrupted], Halted | str | bytes | None]
    talks: bool = False


@dataclass(frozen=True, slots=True)
class Detach:
    """The client leaves; go on serving others."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The client asked for the end."""


Action = Send | Work | Detach | Kill


@dataclass(frozen=True, slots=True)
class Leave:
    """A reply, if there is one, and then the client is gone."""

    reply: bytes | None
    action: Detach | Kill


Result = bytes | Work | Leave | None
"""For a packet: a reply (an empty one: not supported), something long, the end, or no reply at all."""
