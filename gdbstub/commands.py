"""The one table from packet to ability, and how a packet is found in it.

A packet whose ability the target does not offer is unknown: it gets the empty reply, and is not told in qSupported.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gdbstub import general, memory, points, registers, running, transfers
from gdbstub.actions import Result
from gdbstub.errors import ProtocolError
from gdbstub.packet import LONGEST
from gdbstub.target import Target

if TYPE_CHECKING:
    from gdbstub.session import Session


@dataclass(frozen=True, slots=True)
class Command:
    """`ability`: what the target must offer; None: nothing more than Target. `told`: its words in qSupported."""

    name: bytes
    handler: "Callable[[Session, bytes], Result]"
    ability: Callable[[Target], object | None] | None = None
    told: bytes = b""


def supported(session: "Session", arguments: bytes) -> bytes:
    """qSupported: computed from what the target offers."""
    words = arguments.decode("ascii", "replace").split(";")
    session.understood = frozenset(word[:-1] for word in words if word.endswith("+"))
    target = session.target
    offers = [command.told for command in TABLE if command.told and _offered(target, command)]
    return b";".join([b"PacketSize=%x" % LONGEST, *offers, *transfers.told(target)])


def _offered(target: Target, command: Command) -> bool:
    return command.ability is None or command.ability(target) is not None


TABLE: Final = (
    Command(b"qSupported", supported),
    Command(b"QStartNoAckMode", general.no_acknowledgements, told=b"QStartNoAckMode+"),
    Command(b"!", general.extended, lambda target: target.restart),
    Command(b"?", general.why),
    Command(b"D", general.detach),
    Command(b"k", general.kill),
    Command(b"vKill", general.kill_process),
    Command(b"R", general.restart, lambda target: target.restart),
    Command(b"vRun", general.run, lambda target: target.restart),
    Command(b"qAttached", general.attached),
    Command(b"H", general.set_thread),
    Command(b"T", general.thread_alive),
    Command(b"qC", general.current_thread),
    Command(b"qfThreadInfo", general.first_threads),
    Command(b"qsThreadInfo", general.further_threads),
    Command(b"qThreadExtraInfo", general.thread_words),
    Command(b"qRcmd", general.monitor, lambda target: target.monitor),
    Command(b"g", registers.read_all),
    Command(b"G", registers.write_all),
    Command(b"p", registers.read_one),
    Command(b"P", registers.write_one),
    Command(b"m", memory.read),
    Command(b"M", memory.write),
    Command(b"X", memory.write_binary),
    Command(b"qCRC", memory.checksum),
    Command(b"qSearch", memory.search),
    Command(b"s", running.step),
    Command(b"S", running.step_with_signal),
    Command(b"c", running.resume),
    Command(b"C", running.resume_with_signal),
    Command(b"vCont?", running.what_continues),
    Command(b"vCont", running.continue_threads, told=b"vContSupported+"),
    Command(b"bs", running.step_back, lambda target: target.reverse, b"ReverseStep+"),
    Command(b"bc", running.continue_back, lambda target: target.reverse, b"ReverseContinue+"),
    Command(b"Z0", points.insert_software, points.software, b"swbreak+;ConditionalBreakpoints+"),
    Command(b"z0", points.remove_software, points.software),
    Command(b"Z1", points.insert_hardware, points.hardware, b"hwbreak+"),
    Command(b"z1", points.remove_hardware, points.hardware),
    *(Command(b"Z%d" % kind, points.inserter(access), points.watching) for kind, access in points.ACCESS.items()),
    *(Command(b"z%d" % kind, points.remover(access), points.watching) for kind, access in points.ACCESS.items()),
    Command(b"qXfer", transfers.transfer),
    Command(b"vFile", transfers.file, lambda target: target.files),
)

_BY_NAME: Final = {command.name: command for command in TABLE}

_NAME: Final = re.compile(rb"vCont\?|[qQv][A-Za-z]+|b[sc]|[Zz][0-9]|.", re.DOTALL)

_OF_THE_DEAD: Final = frozenset(
    (b"qSupported", b"QStartNoAckMode", b"!", b"?", b"D", b"k", b"vKill", b"R", b"vRun", b"qXfer", b"vFile", b"H")
)
"""What can be asked when the program was killed and not yet run again."""


def _split(payload: bytes) -> tuple[bytes, bytes]:
    """Name and arguments, without the sign between them."""
    match = _NAME.match(payload)
    name = match[0] if match else b""
    rest = payload[len(name) :]
    return name, rest[1:] if len(name) > 1 and rest[:1] in (b":", b";", b",") else rest


def perform(session: "Session", payload: bytes) -> Result:
    """Do what a packet asks. Raises ProtocolError."""
    name, arguments = _split(payload)
    command = _BY_NAME.get(name)
    if command is None or not _offered(session.target, command):
        return b""
    if not session.alive and name not in _OF_THE_DEAD:
        raise ProtocolError(3, "the program is not being run")
    return command.handler(session, arguments)
