"""Guests without a boot protocol: plain ELF executables, and flat binaries whose addresses the user gives.

The CPU is as for a Multiboot kernel, but EAX and EBX are 0: nothing can be told to such a guest.
"""

from pvtrace.machine.boot.image import Loaded, Request
from pvtrace.machine.boot.layout import Placed, claim_segments
from pvtrace.model.errors import InputError, UsageError
from pvtrace.x86 import elf
from pvtrace.x86.elf import EXECUTABLE, READABLE, WRITABLE, ElfSegment


def elf_file(request: Request, taken: list[Placed]) -> Loaded:
    """An ELF executable, started at its e_entry."""
    image = elf.parse(request.guest.data, request.guest.name)
    _nothing_to_tell(request, "a plain ELF file")
    claim_segments(taken, image.segments, image.name, request.ram_size)
    return Loaded("ELF file", image.physical_entry, {})


def flat(request: Request, taken: list[Placed]) -> Loaded:
    """The file's bytes as they are, from `load` on; the entry is there too if none is given."""
    guest, load = request.guest, request.load
    if load is None:
        raise UsageError("--entry belongs to a flat binary, which also needs --load")
    _nothing_to_tell(request, "loaded as a flat binary")
    if not guest.data:
        raise InputError(f"{guest.name} is empty")
    entry = load if request.entry is None else request.entry
    if not load <= entry < load + len(guest.data):
        raise UsageError(f"--entry {entry:#x} is outside {guest.name}, which is {len(guest.data)} bytes at {load:#x}")
    segment = ElfSegment(load, load, guest.data, len(guest.data), READABLE | WRITABLE | EXECUTABLE)
    claim_segments(taken, [segment], guest.name, request.ram_size)
    return Loaded("flat binary", entry, {})


def _nothing_to_tell(request: Request, what: str) -> None:
    if request.initrd is not None:
        raise UsageError(f"{request.guest.name} is {what}, and only a Linux kernel can be given an initrd")
    if request.modules or request.command_line:
        option = "modules" if request.modules else "a command line"
        raise UsageError(f"{request.guest.name} is {what}, and only a Multiboot kernel can be given {option}")
