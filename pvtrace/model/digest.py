"""The canonical bytes of inputs, and the digests over them and over those of events (model.packed).

Two runs with equal digests saw the same inputs and did the same things; a digest does not depend on where checkpoints
are, nor on how many events were added at a time.
"""

import hashlib
from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple, Self

from pvtrace.model.inputs import Input

SIZE: Final = 16
"""Bytes of every digest."""

_INPUT_HEAD: Final = Struct("<QH?QI")


def digest(data: bytes) -> bytes:
    """BLAKE2b of 16 bytes."""
    return hashlib.blake2b(data, digest_size=SIZE).digest()


NOTHING: Final = digest(b"")
"""The digest of no events or inputs."""


class Mark(NamedTuple):
    """How many inputs and events there were at some moment, and their digests."""

    inputs: int = 0
    events: int = 0
    input_digest: bytes = NOTHING
    event_digest: bytes = NOTHING

    @property
    def counts(self) -> tuple[int, int]:
        return self.inputs, self.events


START: Final = Mark()
"""Before anything happened."""


class Running:
    """The digest of a sequence that grows, over the canonical bytes of what was added, in order."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=SIZE)

    def add(self, items: Iterable[bytes]) -> Self:
        self._hash.update(b"".join(items))
        return self

    def copy(self) -> "Running":
        """One that goes on from here by itself."""
        twin = Running()
        twin._hash = self._hash.copy()
        return twin

    @property
    def value(self) -> bytes:
        return self._hash.digest()


def input_bytes(item: Input) -> bytes:
    """Equal inputs, equal bytes."""
    head = _INPUT_HEAD.pack(item.step, item.kind, item.value is not None, item.value or 0, len(item.data))
    return head + item.data


def whole_digest(step: int, state: bytes, ram_digest: bytes, mark: Mark) -> bytes:
    """The digest of a run at one step: RAM, the machine's state (CPU, devices, VMI), and all that happened until then.

    `state` is the digest of Snapshot.state.
    """
    counts = b"".join(n.to_bytes(8, "little") for n in (step, mark.inputs, mark.events))
    return digest(counts + state + ram_digest + mark.input_digest + mark.event_digest)
