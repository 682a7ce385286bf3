"""The Linux/x86 boot protocol, 32-bit entry: the setup header of a bzImage, and the zero page that a kernel gets.

Pure: bytes in, frozen values out. Where things go in memory is the caller's choice. Source: Linux,
Documentation/x86/boot.rst and zero-page.rst.
"""

import re
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from pvtrace.model.errors import InputError
from pvtrace.model.snapshot import PAGE
from pvtrace.x86.elf import is_elf
from pvtrace.x86.multiboot import MemoryRange

SECTOR: Final = 512
HEADER_AT: Final = 0x1F1
MAGIC_AT: Final = 0x202
MAGIC: Final = b"HdrS"
OLDEST: Final = 0x0202
"""The first version with a pointer to the command line; what is older has no 32-bit entry worth the name."""

BOOT_CS, BOOT_DS = 0x10, 0x18
LOADED_HIGH: Final = 0x01
OTHER_LOADER: Final = 0xFF
KERNEL_64: Final = 0x01
"""Bit of xloadflags: the kernel has a 64-bit entry, so it is a 64-bit kernel."""

DEFAULT_LOAD: Final = 0x100000
DEFAULT_INITRD_MAX: Final = 0x37FFFFFF
DEFAULT_COMMAND_LINE: Final = 255
VMLINUX_COMMAND_LINE: Final = 2047
SYNTHETIC_VERSION: Final = 0x0206
MAP_ENTRIES: Final = 128

_BANNER: Final = re.compile(rb"Linux version (\d+\.\d+[^\s\0]*)")


class Setup(NamedTuple):
    """The setup header of a bzImage. `raw`: its bytes from 1F1h on; `payload`: where the kernel begins in the file.

    Fields that the header's version does not have yet get the value that the protocol gives for them; `working_size`
    is 0 if not known, `release` empty.
    """

    version: int
    raw: bytes
    payload: int
    load: int
    initrd_max: int
    command_line_max: int
    relocatable: bool
    preferred: int
    working_size: int
    release: str


def banner(data: bytes) -> str | None:
    """The release ("2.6.32") of the Linux kernel that an ELF file is, by the text that it prints first; None for
    anything else."""
    found = _BANNER.search(data) if is_elf(data) else None
    return found[1].decode("ascii", "backslashreplace") if found else None


def is_bzimage(data: bytes) -> bool:
    """Whether the file begins with the setup code of a Linux kernel."""
    return data[MAGIC_AT : MAGIC_AT + 4] == MAGIC and data[0x1FE:0x200] == b"\x55\xaa"


def setup_of(data: bytes, name: str) -> Setup:
    """Read the setup header. Raises InputError for a kernel that cannot be started by this protocol."""
    (version,) = struct.unpack_from("<H", data, 0x206)
    if version < OLDEST:
        raise InputError(f"{name} has Linux boot protocol {words(version)}; it must be {words(OLDEST)} or later")
    end = MAGIC_AT + data[0x201]
    payload = ((data[HEADER_AT] or 4) + 1) * SECTOR
    if end > len(data) or len(data) <= payload:
        raise InputError(f"{name} is truncated: it ends in its setup code")

    def field(since: int, offset: int, code: str, otherwise: int) -> int:
        there = version >= since and offset + struct.calcsize(code) <= end
        return int(struct.unpack_from(code, data, offset)[0]) if there else otherwise

    if not data[0x211] & LOADED_HIGH:
        raise InputError(f"{name} is a zImage, which wants to be in low memory; pvtrace starts bzImages")
    if field(0x020C, 0x236, "<H", 0) & KERNEL_64:
        raise InputError(f"{name} is a 64-bit Linux kernel, and pvtrace runs 32-bit kernels")
    paragraphs = field(0x0204, 0x1F4, "<I", 0)
    if paragraphs and payload + 16 * paragraphs > -(-len(data) // 16) * 16:
        raise InputError(f"{name} is truncated: {16 * paragraphs:,} bytes must follow its setup code")
    load = field(OLDEST, 0x214, "<I", DEFAULT_LOAD) or DEFAULT_LOAD
    return Setup(
        version=version,
        raw=data[HEADER_AT:end],
        payload=payload,
        load=load,
        initrd_max=field(0x0203, 0x22C, "<I", DEFAULT_INITRD_MAX) or DEFAULT_INITRD_MAX,
        command_line_max=field(0x0206, 0x238, "<I", DEFAULT_COMMAND_LINE),
        relocatable=bool(field(0x0205, 0x234, "<B", 0)),
        preferred=field(0x020A, 0x258, "<Q", load),
        working_size=field(0x020A, 0x260, "<I", 0),
        release=_release(data),
    )


def _release(data: bytes) -> str:
    """The kernel's own name of its version, which the header points to."""
    (at,) = struct.unpack_from("<H", data, 0x20E)
    text = data[0x200 + at : 0x200 + at + 64] if at else b""
    return text.split(b"\0")[0].split(b" ")[0].decode("ascii", "backslashreplace")


def synthetic_header() -> bytes:
    """The setup header for a kernel that comes without one, from 1F1h on."""
    page = bytearray(PAGE)
    page[0x1FE:0x200] = b"\x55\xaa"
    page[MAGIC_AT : MAGIC_AT + 4] = MAGIC
    struct.pack_into("<H", page, 0x206, SYNTHETIC_VERSION)
    page[0x211] = LOADED_HIGH
    return bytes(page[HEADER_AT:0x250])


def zero_page(
    header: bytes,
    *,
    load: int,
    command_line_at: int,
    initrd: tuple[int, int],
    memory: Sequence[MemoryRange],
) -> bytes:
    """The boot parameters: a page for ESI to point to.

    `header`: the setup header from 1F1h on; `load`: where the kernel is; `initrd`: address and size, (0, 0) for none;
    `memory`: the map, as the BIOS gives it. The screen is a VGA in text mode, the cursor in its first place.
    """
    page = bytearray(PAGE)
    page[HEADER_AT : HEADER_AT + len(header)] = header
    above = sum(r.end - r.start for r in memory if r.start >= DEFAULT_LOAD) // 1024
    struct.pack_into("<BBHHBB2xH2xBBH", page, 0, 0, 0, min(above, 0xFC00), 0, 3, 80, 3, 25, 1, 16)
    struct.pack_into("<I", page, 0x1E0, above)
    page[0x1E8] = len(memory)
    page[0x210] = OTHER_LOADER
    struct.pack_into("<I", page, 0x214, load)
    struct.pack_into("<II", page, 0x218, *initrd)
    struct.pack_into("<I", page, 0x228, command_line_at)
    for number, r in enumerate(memory):
        struct.pack_into("<QQI", page, 0x2D0 + 20 * number, r.start, r.end - r.start, r.type)
    return bytes(page)


def words(version: int) -> str:
    """A version of the protocol for people: 0x020a is 2.10."""
    return f"{version >> 8}.{version & 0xFF:02}"
