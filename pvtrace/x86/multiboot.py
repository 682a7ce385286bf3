"""Multiboot 1: the header that a kernel carries and the information that it gets.

Pure: bytes in, frozen values out. Where things go in memory is the caller's choice. Source: The Multiboot
Specification, version 0.6.96.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pvtrace.model.errors import InputError
from pvtrace.x86.elf import EXECUTABLE, READABLE, WRITABLE, ElfSegment
from pvtrace.x86.elf_sections import Sections

HEADER_MAGIC: Final = 0x1BADB002
LOADER_MAGIC: Final = 0x2BADB002
"""EAX at the kernel's entry; EBX points to the information."""

SEARCH_SIZE: Final = 8192
PAGE_ALIGN, MEMORY_INFO, VIDEO_MODE, ADDRESSES = 1 << 0, 1 << 1, 1 << 2, 1 << 16
"""Header flags. Video mode is a wish: a kernel that has one is told what there is, a text screen."""

REQUIRED: Final = 0xFFFF
KNOWN: Final = PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE

INFO_MEMORY, INFO_COMMAND_LINE, INFO_MODULES, INFO_MEMORY_MAP, INFO_LOADER_NAME = 1 << 0, 1 << 2, 1 << 3, 1 << 6, 1 << 9
INFO_ELF_SECTIONS, INFO_FRAMEBUFFER = 1 << 5, 1 << 12
"""Flags of the information."""

TEXT_SCREEN: Final = (0xB8000, 160, 80, 25, 16, 2)
"""Framebuffer fields of a text screen: address, bytes in a line, columns, lines, bits of a cell, type 2."""

USABLE, RESERVED = 1, 2
"""Types of the memory map's ranges."""

_HEADER: Final = struct.Struct("<3I")
_ADDRESSES: Final = struct.Struct("<5I")
_INFO: Final = struct.Struct("<13I12xI20xQ3I2B6x")  # APM and VBE are left out; what no flag announces is 0
_MODULE: Final = struct.Struct("<4I")
_RANGE: Final = struct.Struct("<IQQI")


class Header(NamedTuple):
    """`offset` is where it lies in the file. `addresses`: header, load, load end, bss end, entry; None without them."""

    offset: int
    flags: int
    addresses: tuple[int, int, int, int, int] | None


class Kernel(NamedTuple):
    """A kernel that says by its header where it is loaded (the a.out kludge)."""

    segment: ElfSegment
    entry: int


class Module(NamedTuple):
    """A module in memory: its first physical address, its size in bytes, and the string that belongs to it."""

    start: int
    size: int
    string: str


Information = Callable[[int], bytes]
"""The information for the address at which it is to be placed."""


class MemoryRange(NamedTuple):
    start: int
    end: int
    type: int


def find_header(data: bytes, name: str) -> Header | None:
    """The first valid header in the first 8192 bytes; None: not a Multiboot kernel.

    Raises InputError for a header that asks for something unknown or that is cut off.
    """
    for at in range(0, min(len(data), SEARCH_SIZE) - _HEADER.size + 1, 4):
        magic, flags, checksum = _HEADER.unpack_from(data, at)
        if magic == HEADER_MAGIC and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            return _checked(data, name, at, flags)
    return None


def _checked(data: bytes, name: str, at: int, flags: int) -> Header:
    unknown = flags & REQUIRED & ~KNOWN
    if unknown:
        raise InputError(f"{name}: its Multiboot header requires features {unknown:#06x}, which pvtrace does not have")
    if not flags & ADDRESSES:
        return Header(at, flags, None)
    if at + _HEADER.size + _ADDRESSES.size > min(len(data), SEARCH_SIZE):
        raise InputError(f"{name}: the addresses in its Multiboot header are cut off")
    return Header(at, flags, _ADDRESSES.unpack_from(data, at + _HEADER.size))


def kernel_at_addresses(data: bytes, name: str, header: Header) -> Kernel | None:
    """The load that the header's addresses ask for; they take precedence over ELF. None: it has no addresses.

    Raises InputError for addresses that contradict each other or the file.
    """
    if header.addresses is None:
        return None
    own, load, load_end, bss_end, entry = header.addresses
    start = header.offset - (own - load)
    if own < load or start < 0:
        raise InputError(
            f"{name}: its Multiboot header at file offset {header.offset:#x} cannot be at address {own:#x} "
            f"when loading begins at {load:#x}"
        )
    load_end = load_end or load + len(data) - start
    if not load < load_end <= load + len(data) - start:
        raise InputError(f"{name}: its Multiboot header loads {load:#x}-{load_end:#x}, which the file does not contain")
    bss_end = bss_end or load_end
    if bss_end < load_end:
        raise InputError(f"{name}: its Multiboot bss ends at {bss_end:#x}, before the loaded part at {load_end:#x}")
    if not load <= entry < bss_end:
        raise InputError(f"{name}: its Multiboot entry {entry:#x} is outside {load:#x}-{bss_end:#x}")
    content = data[start : start + load_end - load]
    return Kernel(ElfSegment(load, load, content, bss_end - load, READABLE | WRITABLE | EXECUTABLE), entry)


def information(
    address: int,
    *,
    command_line: str,
    modules: Sequence[Module],
    memory: Sequence[MemoryRange],
    loader: str,
    sections: Sections | None = None,
    text_screen: bool = False,
) -> bytes:
    """The information structure and everything it points to, to be placed at physical `address` (EBX).

    The length does not depend on the address. Lower and upper memory are those of the first two usable ranges; the
    upper one begins at 1 MiB. `sections` are where they say; `text_screen`: tell of the screen.
    """
    map_at = address + _INFO.size
    modules_at = map_at + len(memory) * _RANGE.size
    strings_at = modules_at + len(modules) * _MODULE.size
    strings = b""

    def place(text: str) -> int:
        nonlocal strings
        at = strings_at + len(strings)
        strings += _string(text)
        return at

    command_line_at, loader_at = place(command_line), place(loader)
    descriptors = [_MODULE.pack(m.start, m.start + m.size, place(m.string), 0) for m in modules]
    ranges = [_RANGE.pack(_RANGE.size - 4, r.start, r.end - r.start, r.type) for r in memory]
    lower, upper = [(r.end - r.start) // 1024 for r in memory if r.type == USABLE][:2]
    elf = (0, 0, 0, 0)
    flags = INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME
    if sections is not None:
        flags |= INFO_ELF_SECTIONS
        elf = (sections.count, len(sections.headers) // sections.count, sections.address, sections.names)
    if text_screen:
        flags |= INFO_FRAMEBUFFER
    info = _INFO.pack(
        flags,
        lower,
        upper,
        0,
        command_line_at,
        len(modules),
        modules_at,
        *elf,
        len(memory) * _RANGE.size,
        map_at,
        loader_at,
        *(TEXT_SCREEN if text_screen else (0,) * len(TEXT_SCREEN)),
    )
    return b"".join([info, *ranges, *descriptors, strings])


def _string(text: str) -> bytes:
    return text.encode() + b"\0"
