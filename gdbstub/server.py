"""The socket: serves a target to one gdb after the other. The only module that does input and output."""

import select
import socket
from collections.abc import Sequence
from typing import Final

from gdbstub.actions import Action, Detach, Kill, Send, Work
from gdbstub.errors import ProtocolError
from gdbstub.session import Session
from gdbstub.stops import Halted
from gdbstub.target import Target

_CHUNK: Final = 0x10000


class _Gone(Exception):
    """The client closed the connection, or it broke."""


class Server:
    """Listens from the moment it is made. Raises OSError if it cannot."""

    def __init__(self, target: Target, host: str = "127.0.0.1", port: int = 1234) -> None:
        """Port 0: any that is free."""
        self._target = target
        self._listening = socket.create_server((host, port), backlog=4, reuse_port=False)
        self._client: socket.socket | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._listening.getsockname()[:2]
        return str(host), int(port)

    def close(self) -> None:
        self._listening.close()

    def serve(self) -> None:
        """Serve clients, one at a time, until one of them kills the program."""
        killed = False
        while not killed:
            client, _ = self._listening.accept()
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                killed = _Connection(client, Session(self._target)).serve()


class _Connection:
    def __init__(self, client: socket.socket, session: Session) -> None:
        self._client = client
        self._session = session

    def serve(self) -> bool:
        """Whether the client killed the program."""
        try:
            while True:
                ended = self._perform(self._session.receive(self._receive()))
                if ended is not None:
                    return ended
        except _Gone:
            return not self._session.alive

    def _perform(self, actions: Sequence[Action]) -> bool | None:
        """None: the conversation goes on. Else whether the program was killed."""
        waiting = list(actions)
        while waiting:
            match waiting.pop(0):
                case Send(data):
                    self._send(data)
                case Work() as work:
                    waiting += self._session.done(self._result(work))
                case Detach():
                    return False
                case Kill():
                    return True
        return None

    def _result(self, work: Work) -> Halted | str | bytes | ProtocolError | None:
        try:
            return work.run(self._interrupted)
        except ProtocolError as error:
            return error

    def _interrupted(self) -> bool:
        """Look, without waiting, whether Ctrl-C has come; a client that is gone interrupts as well."""
        while select.select([self._client], [], [], 0)[0]:
            self._session.receive(self._receive())
        return self._session.interrupted

    def _receive(self) -> bytes:
        try:
            data = self._client.recv(_CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            raise _Gone
        return data

    def _send(self, data: bytes) -> None:
        try:
            self._client.sendall(data)
        except ConnectionError:
            raise _Gone from None
