"""Physical memory while a guest is laid out: what a PC BIOS leaves there, what is taken, and where there is room.

Pure; knows no boot protocol. Low memory is as a PC BIOS leaves it, as far as kernels look:

    00000h  256 real-mode vectors to an IRET at F000:FF53
    00400h  BIOS data area: COM1's port, equipment, EBDA segment, base memory
    00600h  the GDT of the boot protocol
    07C00h  the stack's top (most protocols leave ESP undefined; this much is free below)
    09000h  what the boot loader tells the kernel, or wherever the kernel leaves room for it
    9FC00h  EBDA: its own size, 1 KiB
    C8000h  VMI ROMs
    F6000h  tables, see firmware.py
"""

import struct
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pvtrace.machine import firmware as firmware_tables
from pvtrace.model.errors import InputError, UsageError
from pvtrace.model.snapshot import PAGE
from pvtrace.x86.elf import ElfSegment
from pvtrace.x86.multiboot import RESERVED, USABLE, MemoryRange

MIB: Final = 1 << 20
RAM_LIMITS: Final = (2 * MIB, 3072 * MIB)
"""Smallest and largest memory; above the largest the PC keeps addresses for devices."""

EBDA: Final = 0x9FC00
BASE_MEMORY_KIB: Final = EBDA // 1024
ROM_AREA: Final = (0xC8000, 0xE0000)
ROM_ALIGNMENT: Final = 2048
IRET_STUB: Final = (0xF000, 0xFF53)
GDT: Final = 0x600
STACK_TOP: Final = 0x7C00
INFORMATION: Final = 0x9000
"""Where the information for the kernel goes, if there is room."""


@dataclass(frozen=True, slots=True, order=True)
class Placed:
    """A stretch of memory that is taken: `size` bytes, of which `data` are not zero."""

    start: int
    size: int
    what: str
    data: bytes

    @property
    def end(self) -> int:
        return self.start + self.size


def memory_map(ram_size: int) -> tuple[MemoryRange, ...]:
    """The machine's memory as a BIOS reports it (int 15h, E820h)."""
    return (
        MemoryRange(0, EBDA, USABLE),
        MemoryRange(EBDA, MIB, RESERVED),
        MemoryRange(MIB, ram_size, USABLE),
    )


def check_ram(ram_size: int) -> None:
    """Raises UsageError for a size of memory that this PC cannot have."""
    low, high = RAM_LIMITS
    if not low <= ram_size <= high or ram_size % PAGE:
        raise UsageError(f"{ram_size} bytes of RAM: it must be {mib(low)} to {mib(high)}, in whole pages of 4 KiB")


def firmware(disks: int) -> Iterable[Placed]:
    """What the BIOS leaves in memory; `disks`: hard disks that it found."""
    segment, offset = IRET_STUB
    pieces = {
        "the interrupt vectors": (0, struct.pack("<HH", offset, segment) * 256),
        "the BIOS data area": (0x400, _bios_data()),
        "the BIOS data area on video and disks": (0x449, firmware_tables.video_and_disks(disks)),
        "the EBDA": (EBDA, b"\x01"),
        "the BIOS interrupt stub": (segment * 16 + offset, b"\xcf"),
        **firmware_tables.PIECES,
    }
    return [Placed(start, len(data), what, data) for what, (start, data) in pieces.items()]


def _bios_data() -> bytes:
    """The BIOS data area up to the size of memory: COM1, EBDA segment, equipment (one serial port), base memory."""
    return struct.pack("<H12xHHxH", 0x3F8, EBDA >> 4, 1 << 9, BASE_MEMORY_KIB)


def placed_roms(roms: Sequence[tuple[int, bytes]]) -> Iterable[Placed]:
    """Raises InputError for a ROM where none can be."""
    low, high = ROM_AREA
    for start, image in roms:
        if not image or start % ROM_ALIGNMENT or start < low or start + len(image) > high:
            raise InputError(
                f"a ROM of {len(image)} bytes cannot be at {start:#x}: "
                f"ROMs begin every 2 KiB from {low:#x} and end at {high:#x}"
            )
        yield Placed(start, len(image), f"the ROM at {start:#x}", image)


def claim(taken: list[Placed], piece: Placed) -> None:
    """Add a stretch, in order of address. Raises InputError if it overlaps another."""
    for other in taken:
        if piece.start < other.end and other.start < piece.end:
            raise InputError(
                f"{piece.what} ({piece.start:#x}-{piece.end:#x}) overlaps "
                f"{other.what} ({other.start:#x}-{other.end:#x})"
            )
    insort(taken, piece)


def claim_segments(taken: list[Placed], segments: Iterable[ElfSegment], name: str, ram_size: int) -> None:
    """Put a program's segments where they ask to be. Raises InputError if memory does not reach there."""
    for number, segment in enumerate(segments):
        what = f"segment {number} of {name}"
        end = segment.paddr + segment.memsz
        if end > ram_size:
            raise InputError(
                f"{what} occupies {segment.paddr:#x}-{end:#x}, outside the machine's {mib(ram_size)} of RAM"
            )
        claim(taken, Placed(segment.paddr, segment.memsz, what, segment.data))


def room(taken: Sequence[Placed], size: int, areas: Iterable[tuple[int, int]]) -> int | None:
    """The first page boundary in one of the areas, in their order, with `size` free bytes behind it."""
    for low, high in areas:
        at = low
        for piece in taken:  # ascending
            if piece.start < at + size and piece.end > at:
                at = -(-piece.end // PAGE) * PAGE
        if at + size <= high:
            return at
    return None


def room_below(taken: Sequence[Placed], size: int, low: int, high: int) -> int | None:
    """The last page boundary from `low` on with `size` free bytes behind it that end at or before `high`."""
    at = (high - size) // PAGE * PAGE
    for piece in reversed(taken):
        if piece.start < at + size and piece.end > at:
            at = (piece.start - size) // PAGE * PAGE
    return at if at >= low else None


def mib(size: int) -> str:
    """A size of memory for people."""
    return f"{size // MIB} MiB" if size % MIB == 0 else f"{size} bytes"
