"""The socket: serves a target to one gdb after the other. The only module that does input and output."""

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from gdbstub.actions import Action, Detach, Kill, Send, Work
from gdbstub.errors import ProtocolError
from gdbstub.session import Session
from gdbstub.stops import Halted
from gdbstub.target import Target

_CHUNK: Final = 0x10000

_UNREAD: Final = struct.pack("ll", 10, 0)
"""A struct timeval: a client that does not read its replies for so long is gone. Whoever shares the target waits."""

PATIENCE: Final = 1.0
"""Seconds that a person waits before being told how far a run has come, and again between two such lines."""

Turn = Callable[[], AbstractContextManager[object]]
"""Entered while the target is looked at or run."""


class _Gone(Exception):
    """The client closed the connection, or it broke."""


class Server:
    """Listens from the moment it is made. Raises OSError if it cannot."""

    def __init__(self, host: str = "127.0.0.1", port: int = 1234) -> None:
        """Port 0: any that is free."""
        self._listening = socket.create_server((host, port), backlog=4, reuse_port=False)
        self._address = self._listening.getsockname()[:2]
        self._client: socket.socket | None = None
        self._closed = False

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._address
        return str(host), int(port)

    def close(self) -> None:
        """Also from another thread: `serve` then returns soon."""
        self._closed = True
        for one in (self._client, self._listening):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def serve(
        self,
        target: Target,
        turn: Turn = contextlib.nullcontext,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Serve clients, one at a time, until one of them kills the program, or `close` was called, or `over` says so
        when it is asked behind some work."""
        killed = False
        while not (killed or self._closed):
            try:
                client, _ = self._listening.accept()
            except OSError:
                if self._closed:
                    return
                raise
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _UNREAD)
                self._client = client
                if self._closed:  # by another thread, which did not know of this client yet
                    return
                killed = _Connection(client, Session(target), turn, over).serve()
                self._client = None


class _Connection:
    def __init__(self, client: socket.socket, session: Session, turn: Turn, over: Callable[[], bool]) -> None:
        self._client = client
        self._session = session
        self._turn = turn
        self._over = over

    def serve(self) -> bool:
        """Whether the client killed the program, or it is over."""
        try:
            while True:
                data = self._receive()
                with self._turn():
                    ended = self._perform(self._session.receive(data))
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
                    if self._over():
                        return True
                case Detach():
                    return False
                case Kill():
                    return True
        return None

    def _result(self, work: Work) -> Halted | str | bytes | ProtocolError | None:
        progress = self._session.target.progress if work.talks else None
        shown = time.monotonic()

        def interrupted() -> bool:
            nonlocal shown
            if progress is not None and time.monotonic() - shown >= PATIENCE:
                with contextlib.suppress(_Gone):
                    self._perform(self._session.say(progress()))
                shown = time.monotonic()
            return self._interrupted()

        try:
            return work.run(interrupted)
        except ProtocolError as error:
            return error

    def _interrupted(self) -> bool:
        """Look, without waiting, whether Ctrl-C has come; a client that is gone interrupts as well."""
        try:
            if select.select([self._client], [], [], 0)[0]:
                self._session.receive(self._receive())
        except (_Gone, ValueError):  # that it is gone will be found out again, when the work has stopped in order
            return True
        return self._session.interrupted

    def _receive(self) -> bytes:
        try:
            data = self._client.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            raise _Gone
        return data

    def _send(self, data: bytes) -> None:
        try:
            self._client.sendall(data)
        except OSError:
            raise _Gone from None
