"""From a guest's file to the contents of memory and the CPU state at its first instruction.

Pure: bytes in, a frozen BootImage out; nothing is read and nothing is loaded here. This file tells the boot protocols
apart and puts together what they share; each protocol has a file of its own, and layout.py has the map of memory.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

from pvtrace.machine.boot import layout, linux, multiboot, plain
from pvtrace.machine.boot.image import FLAT_CODE, FLAT_DATA, BootImage, File, Loaded, Request
from pvtrace.machine.boot.layout import GDT, STACK_TOP, Placed, claim, mib
from pvtrace.model.registers import Gpr, Seg, Segment, TableRegister
from pvtrace.x86 import linux_boot

CR0_PE_ET: Final = 0x11
EFLAGS_RESET: Final = 0x2

Protocol = Callable[[Request, list[Placed]], Loaded]
"""Puts the guest and what it is told into memory that is free, and decides the registers."""


def boot_image(
    guest: File,
    *,
    ram_size: int,
    modules: Sequence[File] = (),
    initrd: File | None = None,
    command_line: str = "",
    roms: Sequence[tuple[int, bytes]] = (),
    load: int | None = None,
    entry: int | None = None,
    disks: int = 0,
    loader: str = "pvtrace",
) -> BootImage:
    """Lay out a guest by the protocol that it is made for.

    `ram_size` is in bytes; `roms` are (physical address, image); `loader` is the boot loader's name and version for the
    guest; `load` and `entry` are physical addresses and make of any file a flat binary; `disks`: how many
    hard disks the BIOS says there are. As with other loaders, the command line that a Multiboot kernel sees begins with
    its own name. Raises InputError for a file that cannot be
    loaded, UsageError for options that do not fit.
    """
    layout.check_ram(ram_size)
    request = Request(guest, ram_size, tuple(modules), initrd, command_line, load, entry, loader)
    taken: list[Placed] = []
    for piece in [*layout.firmware(disks), *layout.placed_roms(roms)]:
        claim(taken, piece)
    loaded = protocol_of(request)(request, taken)
    gdt = _gdt(loaded)
    claim(taken, Placed(GDT, len(gdt), "the boot GDT", gdt))
    code = Segment(loaded.code, 0, 0xFFFFFFFF, 0x00C09B00)
    data = Segment(loaded.data, 0, 0xFFFFFFFF, 0x00C09300)
    gprs = {Gpr.ESP: STACK_TOP, **loaded.gprs}
    return BootImage(
        memory=tuple((piece.start, piece.data) for piece in taken if piece.data),
        eip=loaded.entry,
        gprs=tuple(gprs.get(register, 0) for register in Gpr),
        segments=tuple(code if register is Seg.CS else data for register in Seg),
        gdtr=TableRegister(GDT, len(gdt) - 1),
        cr0=CR0_PE_ET,
        roms=tuple((address, len(image)) for address, image in roms),
        eflags=EFLAGS_RESET,
        description=f"{loaded.kind} {guest.name}, entry {loaded.entry:#x}, {mib(ram_size)} of RAM",
    )


def protocol_of(request: Request) -> Protocol:
    """The first that fits, in this order: a flat binary if `load` is given; Multiboot 1, then 2, by the header (which
    also decides for a file that is an ELF executable); a Linux kernel by its setup header or, for an ELF file, by its
    banner; a plain ELF executable."""
    data, name = request.guest.data, request.guest.name
    if request.load is not None or request.entry is not None:
        return plain.flat
    if multiboot.is_version_1(data, name):
        return multiboot.version_1
    if multiboot.is_version_2(data, name):
        return multiboot.version_2
    if linux_boot.is_bzimage(data):
        return linux.bzimage
    if linux_boot.banner(data) is not None:
        return linux.vmlinux
    return plain.elf_file


def _gdt(loaded: Loaded) -> bytes:
    entries = {loaded.code // 8: FLAT_CODE, loaded.data // 8: FLAT_DATA}
    count = max(entries) + 1
    return struct.pack(f"<{count}Q", *(entries.get(index, 0) for index in range(count)))
