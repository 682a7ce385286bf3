"""A digest of all of memory that costs only what changed.

The sum, modulo 2^128, of BLAKE2b over (frame number, content) of every frame that is not all zero. It depends on the
content alone, not on the order or number of updates.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

SIZE: Final = 16
_MODULUS: Final = 1 << (8 * SIZE)
_ZERO: Final = bytes(4096)


class RamDigest:
    def __init__(self) -> None:
        self._frames: dict[int, int] = {}
        self._sum = 0

    def update(self, frames: Iterable[tuple[int, bytes]]) -> None:
        """These frames now have this content."""
        for frame, data in frames:
            old = self._frames.pop(frame, 0)
            new = 0
            if data != _ZERO:
                key = frame.to_bytes(4, "little")
                new = int.from_bytes(hashlib.blake2b(data, digest_size=SIZE, key=key).digest(), "little")
                self._frames[frame] = new
            self._sum = (self._sum + new - old) % _MODULUS

    @property
    def frames(self) -> frozenset[int]:
        """The frames that are not zero."""
        return frozenset(self._frames)

    @property
    def value(self) -> bytes:
        """16 bytes."""
        return self._sum.to_bytes(SIZE, "little")
