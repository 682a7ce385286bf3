"""From a guest's file to the contents of memory and the CPU state at its first instruction.

Pure: bytes in, a frozen BootImage out; nothing is read and nothing is loaded here. Low memory is laid out as a PC BIOS
leaves it, as far as kernels look:

    00000h  256 real-mode vectors to an IRET at F000:FF53
    00400h  BIOS data area: COM1's port, equipment, EBDA segment, base memory
    00600h  the GDT: 08h flat code, 10h flat data
    07C00h  the stack's top (Multiboot leaves ESP undefined; this much is free below)
    09000h  Multiboot information, or wherever the kernel leaves room for it
    9FC00h  EBDA: its own size, 1 KiB
    C8000h  VMI ROMs

Multiboot modules follow the kernel, each on a page of its own.
"""

import struct
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pvtrace.model.errors import InputError, UsageError
from pvtrace.model.registers import Gpr, Seg, Segment, TableRegister
from pvtrace.x86 import elf, multiboot
from pvtrace.x86.elf import ElfSegment, SymbolTable
from pvtrace.x86.multiboot import RESERVED, USABLE, MemoryRange

PAGE: Final = 0x1000
MIB: Final = 1 << 20
RAM_LIMITS: Final = (2 * MIB, 3072 * MIB)
"""Smallest and largest memory; above the largest the PC keeps addresses for devices."""

EBDA: Final = 0x9FC00
BASE_MEMORY_KIB: Final = EBDA // 1024
ROM_AREA: Final = (0xC8000, 0xE0000)
ROM_ALIGNMENT: Final = 2048
IRET_STUB: Final = (0xF000, 0xFF53)
GDT: Final = 0x600
GDT_ENTRIES: Final = (0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)
"""Flat 4 GiB code and data of DPL 0, already marked accessed (SDM volume 3, 3.4.5)."""

CODE, DATA = 0x08, 0x10
STACK_TOP: Final = 0x7C00
INFORMATION: Final = 0x9000
CR0_PE_ET: Final = 0x11
EFLAGS_RESET: Final = 0x2


@dataclass(frozen=True, slots=True)
class File:
    """`name` is what messages and, for a module, the guest call it."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class BootImage:
    """`memory`: what to store where, physical, everything else is zero; `gprs` by Gpr; `segments` by Seg;
    `roms`: address and size of each.

    The CPU is in the state of the Multiboot specification, section 3.2, also for plain ELF files (with EAX = 0):
    protected mode, paging and interrupts off, CPL 0, A20 on. `description` is one line for people.
    """

    memory: tuple[tuple[int, bytes], ...]
    eip: int
    gprs: tuple[int, ...]
    segments: tuple[Segment, ...]
    gdtr: TableRegister
    cr0: int
    roms: tuple[tuple[int, int], ...]
    eflags: int
    symbols: SymbolTable
    description: str


@dataclass(frozen=True, slots=True, order=True)
class _Placed:
    """A stretch of memory that is taken: `size` bytes, of which `data` are not zero."""

    start: int
    size: int
    what: str
    data: bytes

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class _Guest:
    kind: str
    entry: int
    segments: tuple[ElfSegment, ...]
    symbols: SymbolTable
    multiboot: bool


def boot_image(
    guest: File,
    *,
    ram_size: int,
    modules: Sequence[File] = (),
    command_line: str = "",
    roms: Sequence[tuple[int, bytes]] = (),
    loader: str = "pvtrace",
) -> BootImage:
    """Lay out a guest: a Multiboot 1 kernel if it has that header, else a plain ELF executable at its e_entry.

    `ram_size` is in bytes; `roms` are (physical address, image); `loader` is the boot loader's name and version for the
    guest. As with other loaders, the command line that a kernel sees begins with its own name. Raises InputError for a
    file that cannot be loaded, UsageError for options that do not fit.
    """
    _check_ram(ram_size)
    loaded = _guest(guest)
    if not loaded.multiboot and (modules or command_line):
        option = "modules" if modules else "a command line"
        raise UsageError(f"{guest.name} is a plain ELF file, and only a Multiboot kernel can be given {option}")
    taken: list[_Placed] = []
    for piece in [*_firmware(), *_roms(roms)]:
        _claim(taken, piece)
    for number, segment in enumerate(loaded.segments):
        what = f"segment {number} of {guest.name}"
        if segment.paddr + segment.memsz > ram_size:
            raise InputError(
                f"{what} occupies {segment.paddr:#x}-{segment.paddr + segment.memsz:#x}, "
                f"outside the machine's {_mib(ram_size)} of RAM"
            )
        _claim(taken, _Placed(segment.paddr, segment.memsz, what, segment.data))
    gprs = [0] * 8
    gprs[Gpr.ESP] = STACK_TOP
    if loaded.multiboot:
        gprs[Gpr.EAX] = multiboot.LOADER_MAGIC
        gprs[Gpr.EBX] = _multiboot(taken, modules, f"{guest.name} {command_line}".rstrip(), loader, ram_size)
    data = Segment(DATA, 0, 0xFFFFFFFF, 0x00C09300)
    code = Segment(CODE, 0, 0xFFFFFFFF, 0x00C09B00)
    return BootImage(
        memory=tuple((piece.start, piece.data) for piece in taken if piece.data),
        eip=loaded.entry,
        gprs=tuple(gprs),
        segments=tuple(code if register is Seg.CS else data for register in Seg),
        gdtr=TableRegister(GDT, 8 * len(GDT_ENTRIES) - 1),
        cr0=CR0_PE_ET,
        roms=tuple((address, len(data)) for address, data in roms),
        eflags=EFLAGS_RESET,
        symbols=loaded.symbols,
        description=f"{loaded.kind} {guest.name}, entry {loaded.entry:#x}, {_mib(ram_size)} of RAM",
    )


def memory_map(ram_size: int) -> tuple[MemoryRange, ...]:
    """The machine's memory as a BIOS reports it (int 15h, E820h)."""
    return (
        MemoryRange(0, EBDA, USABLE),
        MemoryRange(EBDA, MIB, RESERVED),
        MemoryRange(MIB, ram_size, USABLE),
    )


def _check_ram(ram_size: int) -> None:
    low, high = RAM_LIMITS
    if not low <= ram_size <= high or ram_size % PAGE:
        raise UsageError(f"{ram_size} bytes of RAM: it must be {_mib(low)} to {_mib(high)}, in whole pages of 4 KiB")


def _guest(guest: File) -> _Guest:
    header = multiboot.find_header(guest.data, guest.name)
    if header is not None:
        kernel = multiboot.kernel_at_addresses(guest.data, guest.name, header)
        if kernel is not None:
            symbols = elf.symbols_of(guest.data)
            return _Guest("Multiboot kernel", kernel.entry, (kernel.segment,), symbols, multiboot=True)
    image = elf.parse(guest.data, guest.name)
    kind = "ELF file" if header is None else "Multiboot kernel"
    return _Guest(kind, image.physical_entry, image.segments, image.symbols, multiboot=header is not None)


def _firmware() -> Iterable[_Placed]:
    segment, offset = IRET_STUB
    pieces = {
        "the interrupt vectors": (0, struct.pack("<HH", offset, segment) * 256),
        "the BIOS data area": (0x400, _bios_data()),
        "the boot GDT": (GDT, struct.pack(f"<{len(GDT_ENTRIES)}Q", *GDT_ENTRIES)),
        "the EBDA": (EBDA, b"\x01"),
        "the BIOS interrupt stub": (segment * 16 + offset, b"\xcf"),
    }
    return [_Placed(start, len(data), what, data) for what, (start, data) in pieces.items()]


def _bios_data() -> bytes:
    """The BIOS data area up to the size of memory: COM1, EBDA segment, equipment (one serial port), base memory."""
    return struct.pack("<H12xHHxH", 0x3F8, EBDA >> 4, 1 << 9, BASE_MEMORY_KIB)


def _roms(roms: Sequence[tuple[int, bytes]]) -> Iterable[_Placed]:
    low, high = ROM_AREA
    for start, image in roms:
        if not image or start % ROM_ALIGNMENT or start < low or start + len(image) > high:
            raise InputError(
                f"a ROM of {len(image)} bytes cannot be at {start:#x}: "
                f"ROMs begin every 2 KiB from {low:#x} and end at {high:#x}"
            )
        yield _Placed(start, len(image), f"the ROM at {start:#x}", image)


def _multiboot(taken: list[_Placed], modules: Sequence[File], command_line: str, loader: str, ram_size: int) -> int:
    """Place the modules and the information structure; returns the latter's address (EBX)."""
    placed = []
    start = max(MIB, *(piece.end for piece in taken))
    for module in modules:
        start = -(-start // PAGE) * PAGE
        if start + len(module.data) > ram_size:
            raise InputError(
                f"module {module.name} ends at {start + len(module.data):#x}, outside {_mib(ram_size)} of RAM"
            )
        _claim(taken, _Placed(start, len(module.data), f"module {module.name}", module.data))
        placed.append(multiboot.Module(start, len(module.data), module.name))
        start += len(module.data)
    ranges = memory_map(ram_size)
    size = multiboot.information_size(command_line, [module.name for module in modules], len(ranges), loader)
    at = _room(taken, size, ((INFORMATION, EBDA), (MIB, ram_size)))
    if at is None:
        raise InputError(f"{_mib(ram_size)} of RAM has no {size} bytes left for the Multiboot information")
    data = multiboot.information(at, command_line=command_line, modules=placed, memory=ranges, loader=loader)
    _claim(taken, _Placed(at, size, "the Multiboot information", data))
    return at


def _room(taken: Sequence[_Placed], size: int, areas: Iterable[tuple[int, int]]) -> int | None:
    """The first page boundary in one of the areas, in their order, with `size` free bytes behind it."""
    for low, high in areas:
        at = low
        for piece in taken:  # ascending
            if piece.start < at + size and piece.end > at:
                at = -(-piece.end // PAGE) * PAGE
        if at + size <= high:
            return at
    return None


def _claim(taken: list[_Placed], piece: _Placed) -> None:
    """Add a stretch, in order of address. Raises InputError if it overlaps another."""
    for other in taken:
        if piece.start < other.end and other.start < piece.end:
            raise InputError(
                f"{piece.what} ({piece.start:#x}-{piece.end:#x}) overlaps "
                f"{other.what} ({other.start:#x}-{other.end:#x})"
            )
    insort(taken, piece)


def _mib(size: int) -> str:
    return f"{size // MIB} MiB" if size % MIB == 0 else f"{size} bytes"
