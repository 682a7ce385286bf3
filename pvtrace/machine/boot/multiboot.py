"""Loading Multiboot kernels, both versions: where the kernel, its modules and its information go.

The formats are in x86.multiboot and x86.multiboot2. Modules follow the kernel, each on a page of its own; the
information is in low memory if there is room.
"""

from collections.abc import Sequence

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
)
from pvtrace.model.errors import InputError, UsageError
from pvtrace.model.registers import Gpr
from pvtrace.model.snapshot import PAGE
from pvtrace.x86 import elf, elf_sections, multiboot, multiboot2
from pvtrace.x86.elf_sections import Sections
from pvtrace.x86.multiboot import Kernel, Module


def is_version_1(data: bytes, name: str) -> bool:
    return multiboot.find_header(data, name) is not None


def is_version_2(data: bytes, name: str) -> bool:
    return multiboot2.find_header(data, name) is not None


def version_1(request: Request, taken: list[Placed]) -> Loaded:
    """A kernel with a Multiboot 1 header."""
    guest = request.guest
    header = multiboot.find_header(guest.data, guest.name)
    assert header is not None
    _no_initrd(request)
    kernel = multiboot.kernel_at_addresses(guest.data, guest.name, header)
    kernel, sections = _kernel(request, taken, kernel)
    modules = _place_modules(request, taken)
    sections = _place_sections(request, taken, sections)

    def information(at: int) -> bytes:
        return multiboot.information(
            at,
            command_line=_command_line(request),
            modules=modules,
            memory=memory_map(request.ram_size),
            loader=request.loader,
            sections=sections,
            text_screen=bool(header.flags & multiboot.VIDEO_MODE),
        )

    at = _place_information(request, taken, information)
    gprs = {Gpr.EAX: multiboot.LOADER_MAGIC, Gpr.EBX: at}
    return Loaded("Multiboot kernel", kernel.entry, gprs)


def version_2(request: Request, taken: list[Placed]) -> Loaded:
    """A kernel with a Multiboot 2 header."""
    guest = request.guest
    header = multiboot2.find_header(guest.data, guest.name)
    assert header is not None
    _no_initrd(request)
    kernel, sections = _kernel(request, taken, multiboot2.kernel_at_addresses(guest.data, guest.name, header))
    modules = _place_modules(request, taken)
    sections = _place_sections(request, taken, sections)

    def information(at: int) -> bytes:
        del at  # it holds no address of its own parts
        return multiboot2.information(
            command_line=request.command_line,
            modules=modules,
            memory=memory_map(request.ram_size),
            loader=request.loader,
            sections=sections,
        )

    at = _place_information(request, taken, information)
    gprs = {Gpr.EAX: multiboot2.LOADER_MAGIC, Gpr.EBX: at}
    entry = kernel.entry if header.entry is None else header.entry
    return Loaded("Multiboot 2 kernel", entry, gprs)


def _kernel(request: Request, taken: list[Placed], kernel: Kernel | None) -> tuple[Kernel, Sections | None]:
    """Put the kernel into memory: by the addresses of its header, else by its ELF headers. With its entry go, for an
    ELF kernel, its sections."""
    guest = request.guest
    if kernel is not None:
        claim_segments(taken, [kernel.segment], guest.name, request.ram_size)
        return kernel, None
    image = elf.parse(guest.data, guest.name)
    claim_segments(taken, image.segments, guest.name, request.ram_size)
    return Kernel(image.segments[0], image.physical_entry), elf_sections.sections(guest.data, 0)


def _place_modules(request: Request, taken: list[Placed]) -> Sequence[Module]:
    ram = request.ram_size
    placed = []
    start = max(MIB, *(piece.end for piece in taken))
    for module in request.modules:
        start = -(-start // PAGE) * PAGE
        if start + len(module.data) > ram:
            raise InputError(f"module {module.name} ends at {start + len(module.data):#x}, outside {mib(ram)} of RAM")
        claim(taken, Placed(start, len(module.data), f"module {module.name}", module.data))
        placed.append(Module(start, len(module.data), module.string))
        start += len(module.data)
    return placed


def _place_sections(request: Request, taken: list[Placed], sections: Sections | None) -> Sections | None:
    """The section headers and the contents of sections that are not part of the program, above it. Where there is no
    room for them the kernel is told of none: they are a service, not a need."""
    if sections is None:
        return None
    at = room(taken, len(sections.data), [(MIB, request.ram_size)])
    if at is None:
        return None
    moved = elf_sections.sections(request.guest.data, at)
    assert moved is not None
    claim(taken, Placed(at, len(moved.data), "the ELF sections", moved.data))
    return moved


def _place_information(request: Request, taken: list[Placed], information: multiboot.Information) -> int:
    """Returns the address."""
    size = len(information(0))
    at = room(taken, size, ((INFORMATION, EBDA), (MIB, request.ram_size)))
    if at is None:
        raise InputError(f"{mib(request.ram_size)} of RAM has no {size} bytes left for the Multiboot information")
    claim(taken, Placed(at, size, "the Multiboot information", information(at)))
    return at


def _command_line(request: Request) -> str:
    return f"{request.guest.name} {request.command_line}".rstrip()


def _no_initrd(request: Request) -> None:
    if request.initrd is not None:
        raise UsageError(
            f"{request.guest.name} is a Multiboot kernel, which is given modules; only a Linux kernel takes an initrd"
        )
