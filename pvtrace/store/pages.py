"""Content-addressed bytes: how they are named, packed and checked. Pure; the rows are the writer's and the reader's."""

import zlib
from typing import Final, NamedTuple

from pvtrace.model.digest import digest
from pvtrace.model.errors import TraceError

PLAIN: Final = 0
ZLIB: Final = 1
"""Codecs as stored: they never change."""

_LEVEL: Final = 1  # nearly all of the gain for memory pages, at a fraction of the time of higher levels
_LARGEST: Final = 1 << 32  # no blob is larger; a damaged size must not ask for all memory


class Blob(NamedTuple):
    """A row of the table blob, without its id. `size` in bytes, of the plain bytes."""

    hash: bytes
    size: int
    codec: int
    data: bytes


def pack(plain: bytes, name: bytes | None = None) -> Blob:
    """Compressed where that is smaller. `name`: the digest of `plain`, if it is known already."""
    packed = zlib.compress(plain, _LEVEL)
    codec, data = (ZLIB, packed) if len(packed) < len(plain) else (PLAIN, plain)
    return Blob(name or digest(plain), len(plain), codec, data)


def unpack(blob: Blob, source: str) -> bytes:
    """The plain bytes; raises TraceError if they are not those that the name stands for. `source` names the trace."""
    match blob.codec:
        case 0:
            plain = blob.data
        case 1 if 0 <= blob.size < _LARGEST:
            try:
                plain = zlib.decompressobj().decompress(blob.data, blob.size + 1)
            except zlib.error:
                plain = b""
        case _:
            raise TraceError(f"{source} is damaged: stored bytes {blob.hash.hex()} are packed in an unknown way")
    if len(plain) != blob.size or digest(plain) != blob.hash:
        raise TraceError(f"{source} is damaged or was altered: stored bytes {blob.hash.hex()} do not match their hash")
    return plain
