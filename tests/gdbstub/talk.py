"""Drives a session as a server would, without a socket."""

from collections.abc import Sequence

from gdbstub.actions import Action, Detach, Kill, Send, Work
from gdbstub.errors import ProtocolError
from gdbstub.packet import Packet, Reader, encode, expand, unescape
from gdbstub.session import Session


def settle(session: Session, actions: Sequence[Action]) -> tuple[bytes, list[Detach | Kill]]:
    """Do all the work; what was sent, and how it ended."""
    sent, ends, waiting = bytearray(), [], list(actions)
    while waiting:
        action = waiting.pop(0)
        match action:
            case Send(data):
                sent += data
            case Work(run):
                try:
                    result = run(lambda: session.interrupted)
                except ProtocolError as error:
                    waiting += session.done(error)
                else:
                    waiting += session.done(result)
            case Detach() | Kill():
                ends.append(action)
    return bytes(sent), ends


def payloads(sent: bytes) -> list[bytes]:
    """The packets in what was sent, without run lengths."""
    found, at = [], 0
    while (start := sent.find(b"$", at)) >= 0:
        end = sent.index(b"#", start)
        found.append(unescape(expand(sent[start + 1 : end])))
        at = end + 3
    return found


def ask(session: Session, request: bytes) -> list[bytes]:
    """The replies to one packet."""
    sent, _ = settle(session, session.receive(encode(request)))
    return payloads(sent)


def packets(stream: bytes) -> list[bytes]:
    return [item.payload for item in Reader().feed(stream) if isinstance(item, Packet)]
