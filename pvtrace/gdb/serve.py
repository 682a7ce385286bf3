"""Serves a recording to gdb, finished or just being made, and says how to attach."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gdbstub.server import Server
from pvtrace.gdb.address import attach_words
from pvtrace.gdb.target import RecordingTarget
from pvtrace.model.errors import UsageError
from pvtrace.session.commands import Commands
from pvtrace.session.explore import exploring
from pvtrace.session.live import recording
from pvtrace.session.observer import NOBODY, Observer
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import RecordResult
from pvtrace.session.replay import Words, plain

SCRIPT: Final = Path(__file__).with_name("for_gdb.py")
"""Commands for gdb itself; see there."""

Note = Callable[[str], None]


def listening(host: str, port: int) -> Server:
    """Raises UsageError for an address that cannot be listened at."""
    try:
        return Server(host, port)
    except OSError as error:
        number = error.errno or 0  # one of getaddrinfo is negative
        reason = os.strerror(number) if number > 0 else "this host's address is not known"
    except OverflowError:
        reason = "ports go from 0 to 65535"
    raise UsageError(f"cannot listen at {host}:{port}: {reason}; --gdb PORT chooses another port")


def _announce(server: Server, note: Note) -> None:
    host, port = server.address
    note(f"waiting for gdb at {host}:{port}; attach with\n  {attach_words(host, port)}")


def serve(path: Path, host: str, port: int, note: Note, words: Words = plain) -> None:
    """Serve a recording until a client kills the program, or Ctrl-C. Raises TraceError, or UsageError for an address
    that cannot be listened at."""
    with exploring(path) as walk:
        server = listening(host, port)
        try:
            _announce(server, note)
            server.serve(RecordingTarget(walk, Commands(walk, words), note))
        finally:
            server.close()


def record(
    options: RecordOptions, host: str, port: int, note: Note, words: Words = plain, observer: Observer = NOBODY
) -> RecordResult:
    """Record a guest under gdb, from its first instruction on, until a client kills it, or Ctrl-C. What ran is kept."""
    server = listening(host, port)
    try:
        with recording(options, observer) as under_way:
            walk = under_way.walk
            _announce(server, note)
            target = RecordingTarget(walk, Commands(walk, words), note)
            server.serve(target, over=lambda: under_way.over)
    finally:
        server.close()
    assert under_way.result is not None
    return under_way.result
