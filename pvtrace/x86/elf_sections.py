"""An ELF file's section headers for a kernel that wants to read its own symbols (Multiboot flag 5, Multiboot 2 tag 9).

Pure. The headers are handed over as they are, but that sections which are not part of the program (symbols, strings,
debugging information) get the address at which they were put: as the Multiboot Specification has it, all are loaded.
"""

import struct
from dataclasses import dataclass
from typing import Final

from pvtrace.x86.elf import CLASS_32, LITTLE_ENDIAN, is_elf

_HEADER_SIZE: Final = 52
_SECTION: Final = struct.Struct("<10I")
_NULL, _NO_BITS = 0, 8
_ALIGNMENT: Final = 16


@dataclass(frozen=True, slots=True)
class Sections:
    """`data` belongs at `address` and begins with `count` headers; `names`: number of the section of names."""

    address: int
    count: int
    names: int
    data: bytes

    @property
    def headers(self) -> bytes:
        return self.data[: self.count * _SECTION.size]


def sections(data: bytes, address: int) -> Sections | None:
    """The sections of an ELF32 file, to be put at `address`; None if it has none, or not all of them.

    The length of the result does not depend on the address.
    """
    if not is_elf(data) or len(data) < _HEADER_SIZE or data[4] != CLASS_32 or data[5] != LITTLE_ENDIAN:
        return None
    (offset,) = struct.unpack_from("<I", data, 32)
    size, count, names = struct.unpack_from("<3H", data, 46)
    if not offset or not count or size != _SECTION.size or offset + count * size > len(data):
        return None
    headers, contents = [], bytearray()
    after = -(-count * size // _ALIGNMENT) * _ALIGNMENT
    for header in _SECTION.iter_unpack(data[offset : offset + count * size]):
        name, kind, flags, at, where, length, *rest = header
        if not at and length and kind not in (_NULL, _NO_BITS):
            if where + length > len(data):
                return None
            contents += bytes(-len(contents) % _ALIGNMENT)
            at = address + after + len(contents)
            contents += data[where : where + length]
        headers.append(_SECTION.pack(name, kind, flags, at, where, length, *rest))
    return Sections(address, count, names, b"".join(headers).ljust(after, b"\0") + bytes(contents))
