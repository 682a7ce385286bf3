"""Kernels made of nothing: a bzImage around any code, an ELF file that says it is Linux."""

import struct
from typing import Final

SETUP_SECTORS: Final = 3
SETUP_SIZE: Final = (SETUP_SECTORS + 1) * 512
RELEASE_AT: Final = 0x300


def bzimage(
    payload: bytes,
    *,
    version: int = 0x020A,
    flags: int = 1,
    features: int = 0,
    paragraphs: int | None = None,
    release: str = "",
    preferred: int = 0x1000000,
    working: int = 0x200000,
    relocatable: bool = True,
) -> bytes:
    """A setup header of this version and 32-bit code behind the setup sectors (of which nothing is ever run)."""
    data = bytearray(SETUP_SIZE)
    data[0x1F1] = SETUP_SECTORS
    struct.pack_into("<I", data, 0x1F4, -(-len(payload) // 16) if paragraphs is None else paragraphs)
    data[0x1FE:0x200] = b"\x55\xaa"
    data[0x200:0x202] = b"\xeb\x66"  # jmp 268h: the header ends there
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x206, version)
    if release:
        struct.pack_into("<H", data, 0x20E, RELEASE_AT - 0x200)
        data[RELEASE_AT : RELEASE_AT + len(release)] = release.encode()
    data[0x211] = flags
    struct.pack_into("<I", data, 0x214, 0x100000)
    struct.pack_into("<I", data, 0x22C, 0x37FFFFFF)
    struct.pack_into("<IBBH", data, 0x230, 0x1000, relocatable, 0, features)
    struct.pack_into("<I", data, 0x238, 2047)
    struct.pack_into("<QI", data, 0x258, preferred, working)
    return bytes(data) + payload


def elf(code: bytes, *, address: int = 0x100000) -> bytes:
    """An ELF executable of one segment, which begins with these instructions."""
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, address + 84, 52, 0, 0, 52, 32, 1, 40, 0, 0
    )
    size = 84 + len(code)
    return header + struct.pack("<8I", 1, 0, address, address, size, size, 5, 4096) + code
