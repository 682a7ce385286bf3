"""Multiboot 2: the header that a kernel carries and the information that it gets.

Pure: bytes in, frozen values out. Source: The Multiboot2 Specification, version 2.0.
"""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from pvtrace.model.errors import InputError
from pvtrace.x86 import multiboot
from pvtrace.x86.elf_sections import Sections
from pvtrace.x86.multiboot import USABLE, Kernel, MemoryRange, Module

HEADER_MAGIC: Final = 0xE85250D6
LOADER_MAGIC: Final = 0x36D76289
"""EAX at the kernel's entry; EBX points to the information."""

SEARCH_SIZE: Final = 32768
ALIGNMENT: Final = 8
I386: Final = 0
"""Architecture: 32-bit protected mode."""

OPTIONAL: Final = 1
"""Flag of a header tag that the loader may ignore."""

CONSOLE_REQUIRED, CONSOLE_TEXT = 1, 2
FROM_FILE_START: Final = 0xFFFFFFFF
EGA_TEXT: Final = 2
TEXT_MEMORY, COLUMNS, ROWS = 0xB8000, 80, 25


class Wish(IntEnum):
    """Types of header tags."""

    END = 0
    INFORMATION = 1
    ADDRESS = 2
    ENTRY = 3
    CONSOLE = 4
    FRAMEBUFFER = 5
    MODULE_ALIGNMENT = 6
    EFI_BOOT_SERVICES = 7
    EFI_ENTRY_I386 = 8
    EFI_ENTRY_AMD64 = 9
    RELOCATABLE = 10


class Tag(IntEnum):
    """Types of information tags that there are here. The boot device may be asked for, but there is none."""

    END = 0
    COMMAND_LINE = 1
    LOADER_NAME = 2
    MODULE = 3
    MEMORY = 4
    BOOT_DEVICE = 5
    MEMORY_MAP = 6
    FRAMEBUFFER = 8
    ELF_SECTIONS = 9


IGNORED: Final = frozenset(
    {
        Wish.FRAMEBUFFER,  # a recommendation: the kernel finds what there is in its information
        Wish.MODULE_ALIGNMENT,  # modules always are on pages of their own
        Wish.EFI_ENTRY_I386,
        Wish.EFI_ENTRY_AMD64,
        Wish.RELOCATABLE,  # where the kernel is linked to, it can be loaded
    }
)

_HEADER: Final = struct.Struct("<4I")
_TAG: Final = struct.Struct("<2HI")
_ADDRESSES: Final = struct.Struct("<4I")
_INFO_TAG: Final = struct.Struct("<2I")


class Header(NamedTuple):
    """`offset` is where it lies in the file. `addresses`: header, load, load end, bss end; None without them, as
    `entry`."""

    offset: int
    addresses: tuple[int, int, int, int] | None = None
    entry: int | None = None


def find_header(data: bytes, name: str) -> Header | None:
    """The first valid header in the first 32768 bytes; None: not a Multiboot 2 kernel.

    Raises InputError for a header that asks for something that cannot be had, or that is cut off.
    """
    for at in range(0, min(len(data), SEARCH_SIZE) - _HEADER.size + 1, ALIGNMENT):
        magic, architecture, length, checksum = _HEADER.unpack_from(data, at)
        if magic != HEADER_MAGIC or (magic + architecture + length + checksum) & 0xFFFFFFFF:
            continue
        if architecture != I386:
            raise InputError(f"{name}: its Multiboot 2 header is for another architecture (number {architecture})")
        if at + length > min(len(data), SEARCH_SIZE):
            raise InputError(f"{name}: its Multiboot 2 header is cut off")
        return _read(data[at : at + length], name, Header(at))
    return None


def _read(header: bytes, name: str, found: Header) -> Header:
    for kind, flags, body in _tags(header, name):
        match kind:
            case Wish.INFORMATION:
                wanted = {number for (number,) in struct.iter_unpack("<I", body[: len(body) // 4 * 4])}
                missing = sorted(wanted - set(Tag))
                if missing and not flags & OPTIONAL:
                    raise InputError(
                        f"{name}: its Multiboot 2 header requires information {missing[0]}, which is not there"
                    )
            case Wish.ADDRESS:
                found = found._replace(addresses=_ADDRESSES.unpack(_exactly(body, _ADDRESSES.size, name)))
            case Wish.ENTRY:
                found = found._replace(entry=int.from_bytes(_exactly(body, 4, name), "little"))
            case Wish.CONSOLE:
                wanted_console = int.from_bytes(_exactly(body, 4, name), "little")
                if wanted_console & CONSOLE_REQUIRED and not wanted_console & CONSOLE_TEXT:
                    raise InputError(
                        f"{name}: its Multiboot 2 header requires a graphics console, and there is a text screen"
                    )
            case _ if kind not in IGNORED and not flags & OPTIONAL:
                raise InputError(f"{name}: its Multiboot 2 header requires feature {kind}, which pvtrace does not have")
    return found


def _tags(header: bytes, name: str) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and contents of each tag up to the one that ends them."""
    at = _HEADER.size
    while at + _TAG.size <= len(header):
        kind, flags, size = _TAG.unpack_from(header, at)
        if kind == Wish.END:
            return
        if size < _TAG.size or at + size > len(header):
            break
        yield kind, flags, header[at + _TAG.size : at + size]
        at += -(-size // ALIGNMENT) * ALIGNMENT
    raise InputError(f"{name}: the tags of its Multiboot 2 header do not end in it")


def _exactly(body: bytes, size: int, name: str) -> bytes:
    if len(body) < size:
        raise InputError(f"{name}: a tag of its Multiboot 2 header is too short")
    return body[:size]


def kernel_at_addresses(data: bytes, name: str, header: Header) -> Kernel | None:
    """The load that the header's addresses ask for; they take precedence over ELF. None: it has no addresses.

    Raises InputError for addresses that contradict each other or the file, or without an entry.
    """
    if header.addresses is None:
        return None
    if header.entry is None:
        raise InputError(f"{name}: its Multiboot 2 header has addresses but no entry")
    own, load, load_end, bss_end = header.addresses
    if load == FROM_FILE_START:
        load = own - header.offset
    as_before = multiboot.Header(header.offset, multiboot.ADDRESSES, (own, load, load_end, bss_end, header.entry))
    return multiboot.kernel_at_addresses(data, name, as_before)


def information(
    *,
    command_line: str,
    modules: Sequence[Module],
    memory: Sequence[MemoryRange],
    loader: str,
    sections: Sections | None = None,
) -> bytes:
    """The information, to be placed on a boundary of 8 bytes; it holds no address of its own parts.

    Lower and upper memory are those of the first two usable ranges; the upper one begins at 1 MiB.
    """
    lower, upper = [(r.end - r.start) // 1024 for r in memory if r.type == USABLE][:2]
    ranges = b"".join(struct.pack("<QQII", r.start, r.end - r.start, r.type, 0) for r in memory)
    tags = [
        (Tag.COMMAND_LINE, _string(command_line)),
        (Tag.LOADER_NAME, _string(loader)),
        *((Tag.MODULE, struct.pack("<II", m.start, m.start + m.size) + _string(m.string)) for m in modules),
        (Tag.MEMORY, struct.pack("<II", lower, upper)),
        (Tag.MEMORY_MAP, struct.pack("<II", 24, 0) + ranges),
        (Tag.FRAMEBUFFER, struct.pack("<QIIIBBH", TEXT_MEMORY, 2 * COLUMNS, COLUMNS, ROWS, 16, EGA_TEXT, 0)),
    ]
    if sections is not None:
        facts = struct.pack("<3I", sections.count, len(sections.headers) // sections.count, sections.names)
        tags.append((Tag.ELF_SECTIONS, facts + sections.headers))
    tags.append((Tag.END, b""))
    body = b"".join(_tag(kind, content) for kind, content in tags)
    return struct.pack("<II", 8 + len(body), 0) + body


def _tag(kind: Tag, content: bytes) -> bytes:
    size = _INFO_TAG.size + len(content)
    return _INFO_TAG.pack(kind, size) + content + bytes(-size % ALIGNMENT)


def _string(text: str) -> bytes:
    return text.encode() + b"\0"
