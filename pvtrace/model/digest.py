"""The canonical bytes of events and inputs, and the digests over them.

Pure functions alone. Two runs with equal digests saw the same inputs and did the same things; a digest does not depend
on where checkpoints are, and it can be continued from any of them, because each link hashes the one before.
"""

import hashlib
from struct import Struct
from typing import Final, NamedTuple, TypeVar

from pvtrace.model.events import Event
from pvtrace.model.inputs import Input

SIZE: Final = 16
"""Bytes of every digest."""

NOTHING: Final = bytes(SIZE)
"""The digest of no events or inputs."""

T = TypeVar("T")

_EVENT_HEAD: Final = Struct("<QHQQq")
_INPUT_HEAD: Final = Struct("<QH?Q")
_WORD: Final = Struct("<cQ")


class Mark(NamedTuple):
    """How many inputs and events there were at some moment, and their digests."""

    inputs: int = 0
    events: int = 0
    input_digest: bytes = NOTHING
    event_digest: bytes = NOTHING


START: Final = Mark()
"""Before anything happened."""


def digest(data: bytes) -> bytes:
    """BLAKE2b of 16 bytes."""
    return hashlib.blake2b(data, digest_size=SIZE).digest()


def without_trailing_none(args: tuple[T | None, ...]) -> tuple[T | None, ...]:
    """A missing argument and None are the same (see model.events.Event)."""
    while args and args[-1] is None:
        args = args[:-1]
    return args


def event_bytes(event: Event) -> bytes:
    """Equal events, equal bytes. Raises struct.error for numbers outside 0..2^64-1."""
    cause = -1 if event.cause is None else event.cause
    parts = [_EVENT_HEAD.pack(event.step, event.kind, event.pc, event.flags, cause)]
    for value in without_trailing_none(event.args):
        match value:
            case int():
                parts.append(_WORD.pack(b"i", value))
            case bytes():
                parts += (_WORD.pack(b"b", len(value)), value)
            case str():
                text = value.encode()
                parts += (_WORD.pack(b"s", len(text)), text)
            case None:
                parts.append(b"n")
    return b"".join(parts)


def input_bytes(item: Input) -> bytes:
    """Equal inputs, equal bytes."""
    return _INPUT_HEAD.pack(item.step, item.kind, item.value is not None, item.value or 0) + item.data


def with_event(chain: bytes, event: Event) -> bytes:
    """The digest of all events up to this one, from that of all before it."""
    return digest(chain + event_bytes(event))


def with_input(chain: bytes, item: Input) -> bytes:
    """The digest of all inputs up to this one, from that of all before it."""
    return digest(chain + input_bytes(item))


def whole_digest(step: int, state: bytes, ram_digest: bytes, mark: Mark) -> bytes:
    """The digest of a run at one step: RAM, the machine's state (CPU, devices, VMI), and all that happened until then.

    `state` is the digest of Snapshot.state.
    """
    counts = b"".join(n.to_bytes(8, "little") for n in (step, mark.inputs, mark.events))
    return digest(counts + state + ram_digest + mark.input_digest + mark.event_digest)
