"""The socket and the real gdb, against a small machine that keeps its own history."""

import contextlib
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gdbstub.packet import encode
from gdbstub.server import Server
from tests.gdbstub.toy import AGAIN, STORE, Toy

TIMEOUT = 60.0
"""Seconds, on a busy machine."""


@contextmanager
def serving(toy: Toy) -> Iterator[int]:
    """The port at which it is served; in the end it has been killed."""
    server = Server(port=0)
    thread = threading.Thread(target=server.serve, args=(toy,), daemon=True)
    thread.start()
    port = server.address[1]
    try:
        yield port
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
            client.sendall(encode(b"k"))
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    finally:
        server.close()


def exchange(client: socket.socket, request: bytes, wanted: bytes) -> None:
    """Send, and read until `wanted` has come."""
    client.sendall(request)
    got = b""
    while wanted not in got:
        piece = client.recv(4096)
        assert piece, got
        got += piece


def test_ctrl_c_answers_at_once() -> None:
    with serving(Toy()) as port, socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
        client.sendall(encode(b"c"))
        time.sleep(0.2)
        begun = time.monotonic()
        exchange(client, b"\x03", b"T02")
        assert time.monotonic() - begun < 5
        exchange(client, encode(b"D"), b"OK")


def test_a_client_that_vanishes_makes_room_for_the_next() -> None:
    with serving(Toy()) as port:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
                exchange(client, encode(b"QStartNoAckMode"), b"OK")
                client.sendall(encode(b"c"))
                time.sleep(0.05)
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
            exchange(client, encode(b"?"), b"+$T05")


def test_the_real_gdb(require_tool: Callable[[str], Path]) -> None:
    commands = [
        "set pagination off",
        f"break *{STORE:#x} if $eax == 9",
        "continue",
        "print $eax",
        "delete",
        "watch *(int*)0x2000",
        "continue",
        "reverse-continue",
        "print *(int*)0x2000",
        "delete",
        "reverse-stepi 3",
        "print $eax",
        f"tbreak *{AGAIN:#x}",
        "reverse-continue",
        "print $eax",
        "reverse-continue",
        "info mem",
        "find /b 0x1000, +64, 0x90, 0xeb",
        "print $eax = 5",
        "monitor hello",
    ]
    with serving(Toy()) as port:
        arguments = [part for command in [f"target remote :{port}", *commands] for part in ("-ex", command)]
        done = subprocess.run(
            [require_tool("gdb"), "-nx", "-q", "-batch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    said = done.stdout
    assert re.findall(r"^\$\d+ = (\d+)$", said, re.MULTILINE) == ["9", "8", "8", "7", "5"]
    assert "Old value = 8\nNew value = 9" in said
    assert "Old value = 9\nNew value = 8" in said
    assert "No more reverse-execution history." in said
    assert "0x00001000 0x00003000" in said
    assert "1 pattern found" in said
    assert "you said hello" in said


def test_a_port_in_use_is_an_error() -> None:
    with serving(Toy()) as port, pytest.raises(OSError, match="in use"):
        Server(port=port)


def test_a_client_that_reads_nothing_makes_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdbstub.server._UNREAD", struct.pack("ll", 0, 200_000))
    with serving(Toy()) as port, socket.create_connection(("127.0.0.1", port), timeout=0.5) as deaf:
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(20_000):
                deaf.sendall(encode(b"m1000,1000"))
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
            exchange(client, encode(b"?"), b"+$T05")
