"""Serves a recording to gdb, and says how to attach."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from gdbstub.server import Server
from pvtrace.gdb.target import RecordingTarget
from pvtrace.model.errors import UsageError
from pvtrace.session.commands import Commands
from pvtrace.session.explore import exploring
from pvtrace.session.replay import Words, plain

HOST: Final = "127.0.0.1"
PORT: Final = 1234

SCRIPT: Final = Path(__file__).with_name("for_gdb.py")
"""Commands for gdb itself; see there."""


def attach_words(host: str, port: int) -> str:
    """The command to paste."""
    return f"gdb -ex 'target remote {host if host != HOST else ''}:{port}'"


def serve(
    path: Path,
    host: str,
    port: int,
    note: Callable[[str], None],
    words: Words = plain,
) -> None:
    """Serve clients until one of them kills the program, or Ctrl-C. Raises TraceError, or UsageError for an address
    that cannot be listened at."""
    with exploring(path) as walk:
        target = RecordingTarget(walk, Commands(walk, words), note)
        try:
            server = Server(target, host, port)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such port"
            raise UsageError(f"cannot listen at {host}:{port}: {reason}; --gdb PORT chooses another port") from None
        try:
            note(f"waiting for gdb at {host}:{server.address[1]}; attach with\n  {attach_words(*server.address)}")
            server.serve()
        finally:
            server.close()
