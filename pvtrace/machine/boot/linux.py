"""Loading Linux kernels by their 32-bit boot protocol: a vmlinux (ELF) or a bzImage, with an initrd.

The formats are in x86.linux_boot. The zero page and the command line are in low memory, the initrd ends where memory
ends, as other loaders have it.
"""

from typing import Final

from pvtrace.machine.boot.image import Loaded, Request
from pvtrace.machine.boot.layout import (
    EBDA,
    INFORMATION,
    MIB,
    Placed,
    claim,
    claim_segments,
    memory_map,
    mib,
    room,
    room_below,
)
from pvtrace.model.errors import InputError, UsageError
from pvtrace.model.registers import Gpr
from pvtrace.model.snapshot import PAGE
from pvtrace.x86 import elf, linux_boot

UNPACKED: Final = 4
"""How many times larger than its file a compressed kernel may become, where it does not say."""

FIRST_TABLES: Final = MIB
"""What a kernel takes behind its own end before it knows of an initrd: its first page tables."""


def vmlinux(request: Request, taken: list[Placed]) -> Loaded:
    """A kernel as the linker left it, started at its physical entry. Such a file has no setup header: it gets one."""
    guest = request.guest
    image = elf.parse(guest.data, guest.name)
    claim_segments(taken, image.segments, guest.name, request.ram_size)
    header = linux_boot.synthetic_header()
    load = image.physical_entry
    at = _tell(
        request, taken, header, load, linux_boot.VMLINUX_COMMAND_LINE, linux_boot.DEFAULT_INITRD_MAX, _end(taken)
    )
    kind = f"Linux {linux_boot.banner(guest.data)} kernel (vmlinux)"
    return Loaded(kind, load, {Gpr.ESI: at}, linux_boot.BOOT_CS, linux_boot.BOOT_DS)


def bzimage(request: Request, taken: list[Placed]) -> Loaded:
    """A compressed kernel with its setup code, which is not run: its 32-bit entry is the first byte of the payload."""
    guest, ram = request.guest, request.ram_size
    setup = linux_boot.setup_of(guest.data, guest.name)
    payload = guest.data[setup.payload :]
    load = setup.load
    if setup.relocatable and setup.preferred + setup.working_size <= ram:
        load = setup.preferred
    if setup.working_size and max(load, setup.preferred) + setup.working_size > ram:
        needed = -(-(max(load, setup.preferred) + setup.working_size) // MIB)
        raise InputError(f"{guest.name} needs {needed} MiB of RAM to unpack itself, and there are {mib(ram)}")
    if load + len(payload) > ram:
        raise InputError(f"{guest.name} ends at {load + len(payload):#x}, outside {mib(ram)} of RAM")
    claim(taken, Placed(load, len(payload), f"kernel {guest.name}", payload))
    working = setup.working_size or UNPACKED * len(payload)
    at = _tell(request, taken, setup.raw, load, setup.command_line_max, setup.initrd_max, load + working)
    release = f"Linux {setup.release}" if setup.release else "Linux"
    kind = f"{release} kernel (bzImage, boot protocol {linux_boot.words(setup.version)})"
    return Loaded(kind, load, {Gpr.ESI: at}, linux_boot.BOOT_CS, linux_boot.BOOT_DS)


def _tell(
    request: Request, taken: list[Placed], header: bytes, load: int, longest: int, initrd_max: int, end: int
) -> int:
    """Place the initrd, the command line and the zero page; returns the latter's address (ESI).

    `longest`: command line that the kernel takes, in bytes; `end`: the first address that it does not use by itself.
    """
    if request.modules:
        raise UsageError(f"{request.guest.name} is a Linux kernel, which is given an initrd and no modules")
    line = request.command_line.encode()
    if len(line) > longest:
        raise UsageError(f"the command line has {len(line)} bytes, and {request.guest.name} takes {longest}")
    initrd = _place_initrd(request, taken, initrd_max, end)
    at = room(taken, PAGE + len(line) + 1, [(INFORMATION, EBDA)])
    if at is None:
        raise InputError(f"{request.guest.name} leaves no room for its boot parameters in low memory")
    command_line_at = at + PAGE
    page = linux_boot.zero_page(
        header,
        load=load,
        command_line_at=command_line_at,
        initrd=initrd,
        memory=memory_map(request.ram_size),
    )
    claim(taken, Placed(at, PAGE + len(line) + 1, "the boot parameters", page + line + b"\0"))
    return at


def _place_initrd(request: Request, taken: list[Placed], initrd_max: int, end: int) -> tuple[int, int]:
    """Address and size; (0, 0) for none. Raises InputError for one that is empty or does not fit."""
    initrd = request.initrd
    if initrd is None:
        return 0, 0
    if not initrd.data:
        raise InputError(f"initrd {initrd.name} is empty")
    high = min(request.ram_size, initrd_max + 1)
    at = room_below(taken, len(initrd.data), end + FIRST_TABLES, high)
    if at is None:
        raise InputError(
            f"initrd {initrd.name} of {len(initrd.data):,} bytes does not fit beside the kernel "
            f"into {mib(request.ram_size)} of RAM"
        )
    claim(taken, Placed(at, len(initrd.data), f"initrd {initrd.name}", initrd.data))
    return at, len(initrd.data)


def _end(taken: list[Placed]) -> int:
    return max(piece.end for piece in taken)
