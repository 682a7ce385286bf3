"""One client's conversation, without input and output: bytes go in, actions come out.

After `Work` the session is busy: what arrives meanwhile waits, but for Ctrl-C, which sets `interrupted`; the driver
(server.py) runs the work and hands its result to `done`. Whatever arrives, and wherever it is cut, nothing but
ProtocolError is raised inside, and nothing outside.
"""

from collections import deque

from gdbstub import commands
from gdbstub.actions import Action, Leave, Send, Work
from gdbstub.arguments import THREAD
from gdbstub.errors import INVALID, ProtocolError
from gdbstub.packet import LONGEST, Ack, Damaged, Incoming, Interrupt, Nack, Overlong, Packet, Reader, encode
from gdbstub.stops import Halted, Reason, stop_reply
from gdbstub.target import Target
from gdbstub.vfile import OpenFiles

PIECE = 4096
"""Bytes of text in one console packet."""

MOST_WAITING = 1000
"""Packets kept while the target runs. gdb sends none then; what is more is dropped."""

MOST = LONGEST // 2 - 64
"""Bytes of data in one reply: each may need two."""


class Session:
    """`interrupted`: Ctrl-C came since the work began. `extended`: the client speaks extended-remote. `alive`: the
    program was not killed. `understood`: what gdb said in qSupported that it understands."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.interrupted = False
        self.acknowledging = True
        self.extended = False
        self.alive = True
        self.understood: frozenset[str] = frozenset()
        self.files = None if target.files is None else OpenFiles(target.files, MOST)
        self._reader = Reader()
        self._waiting: deque[Incoming] = deque()
        self._busy = False
        self._last = b""

    @property
    def busy(self) -> bool:
        """Between Work and `done`."""
        return self._busy

    def stop_reply(self, reason: Reason) -> bytes:
        return stop_reply(reason, THREAD, self.understood.__contains__)

    def receive(self, data: bytes) -> list[Action]:
        """What the client sent."""
        actions: list[Action] = []
        for item in self._reader.feed(data):
            if isinstance(item, Interrupt):
                self.interrupted |= self._busy  # one that comes when all has been said means nothing
            elif self._busy:
                if len(self._waiting) < MOST_WAITING:
                    self._waiting.append(item)
            else:
                actions += self._take(item)
        return actions

    def done(self, result: Halted | str | bytes | ProtocolError | None) -> list[Action]:
        """The work has come to this; what had to wait goes on."""
        self._busy = self.interrupted = False
        actions: list[Action] = []
        match result:
            case Halted(reason, message):
                actions += self.say(message)
                actions += self._reply(self.stop_reply(reason))
            case ProtocolError():
                actions += self._reply(result.reply)
            case bytes():
                actions += self._reply(result)
            case str():
                actions += self.say(result)
                actions += self._reply(b"OK")
            case None:
                pass
        while self._waiting and not self._busy:
            actions += self._take(self._waiting.popleft())
        return actions

    def say(self, text: str) -> list[Action]:
        """Text for the person; between a request to run, or a monitor command, and its reply."""
        encoded = text.encode("utf-8", "replace")
        pieces = (encoded[at : at + PIECE] for at in range(0, len(encoded), PIECE))
        return [action for piece in pieces for action in self._reply(b"O" + piece.hex().encode())]

    def _reply(self, payload: bytes) -> list[Action]:
        self._last = encode(payload, compressed=True)
        return [Send(self._last)]

    def _take(self, item: Incoming) -> list[Action]:
        acknowledge = self.acknowledging
        match item:
            case Packet(payload):
                actions = self._perform(payload)
                return [Send(b"+"), *actions] if acknowledge else actions
            case Overlong():
                actions = self._reply(ProtocolError(INVALID, "this packet is too long").reply)
                return [Send(b"+"), *actions] if acknowledge else actions
            case Damaged():
                return [Send(b"-")] if acknowledge else []
            case Nack():
                return [Send(self._last)] if acknowledge and self._last else []
            case Ack() | Interrupt():
                return []

    def _perform(self, payload: bytes) -> list[Action]:
        try:
            result = commands.perform(self, payload)
        except ProtocolError as error:
            return self._reply(error.reply)
        match result:
            case bytes():
                return self._reply(result)
            case Work():
                self._busy, self.interrupted = True, False
                return [result]
            case Leave(reply, action):
                return [*([] if reply is None else self._reply(reply)), action]
            case None:
                return []
