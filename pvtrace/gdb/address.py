"""Where gdb is served unless told otherwise, and how it is attached. Asked before anything is served: nothing heavy is
imported here."""

from typing import Final

HOST: Final = "127.0.0.1"
PORT: Final = 1234


def attach_words(host: str, port: int) -> str:
    """The command to paste."""
    return f"gdb -ex 'target remote {host if host != HOST else ''}:{port}'"
