"""Where everything in a VMI ROM is: the header's fields, the PCI and PnP structures, the entry points, the trap stub.

Tables and the arithmetic on them alone. Build, parse, scan and every listing read these tables, so an offset is
written here once. Offsets are in bytes from the ROM's first byte; all numbers are little-endian.

Sources: HyperRomHeader of the proposal (March 2006) for 13.x, vrom_header of Linux 2.6.21 for 3.0, the PCI Firmware
Specification (expansion ROM data structure) and the Plug and Play BIOS Specification 1.0A (expansion header).
"""

from typing import Final, NamedTuple

from rom.abi import GET_RELOCATION_3, INIT_3, Generation, by_number, calls, from_unified, unified


class RomError(Exception):
    """Bytes that are no VMI ROM, or a specification that no ROM can have; the message is one sentence."""


class Field(NamedTuple):
    """One field of a structure; `offset` is relative to that structure's first byte."""

    name: str
    offset: int
    size: int
    meaning: str

    @property
    def is_number(self) -> bool:
        """Whether the bytes are one little-endian number; longer fields are bytes, and so is the far-called stub."""
        return self.size <= 4 and self.name not in {"romEntry", "class"}


ROM_SIGNATURE: Final = 0xAA55
HYPER_SIGNATURE: Final = 0x696D5663
"""The bytes "cVmi"."""
PCI_SIGNATURE: Final = int.from_bytes(b"PCIR", "little")
PNP_SIGNATURE: Final = int.from_bytes(b"$PnP", "little")

CHUNK: Final = 512
"""romLength counts chunks of this many bytes."""
MAX_CHUNKS: Final = 127
"""romLength is a signed byte in the proposal."""
ALIGNMENT: Final = 2048
"""A ROM begins at a physical address that is a multiple of this."""

MINOR: Final = {Generation.V3: 0, Generation.V13: 3}
"""The minor version that this project speaks, by generation."""

COMMON_SIZE: Final = 32
ELF_OFFSET: Final = 64
ELF_SIZE: Final = 64
ROM_ENTRY: Final = bytes.fromhex("cb909090")
"""The 16-bit stub that a BIOS far-calls: RETF, and NOPs to fill the field."""

JUMP_SLOTS: Final = 2
JUMP_SLOT_SIZE: Final = 8

_HEAD: Final = (
    Field("romSignature", 0, 2, "the bytes 55 AA of an option ROM"),
    Field("romLength", 2, 1, "length in chunks of 512 bytes, and the range of the checksum"),
    Field("romEntry", 3, 4, "16-bit code that the BIOS far-calls once"),
    Field("romPad0", 7, 1, "zero"),
    Field("hyperSignature", 8, 4, 'the bytes "cVmi" of a VMI ROM'),
    Field("APIVersionMinor", 12, 1, "minor version: grows when calls are appended"),
    Field("APIVersionMajor", 13, 1, "major version: 3 or 13, two ways to number and reach the calls"),
)
_TAIL: Final = (
    Field("pciHeaderOffset", 24, 2, "offset of the PCI data structure"),
    Field("pnpHeaderOffset", 26, 2, "offset of the PnP expansion header, 0 for none"),
    Field("romPad3", 28, 4, "reserved"),
)
_SYMBOLS: Final = (
    Field("reserved", 32, 32, "reserved"),
    Field("elfHeader", ELF_OFFSET, ELF_SIZE, "an ELF header: from here on the ROM is an ELF file with its symbols"),
)

COMMON: Final[tuple[Field, ...]] = (
    *_HEAD,
    Field("versionDependent", 14, 10, "what these bytes mean depends on the version"),
    *_TAIL,
)
"""The header of a version that is not known here."""

HEADER_13: Final[tuple[Field, ...]] = (
    *_HEAD,
    Field("reserved0", 14, 1, "reserved"),
    Field("reserved1", 15, 1, "reserved"),
    Field("reserved2", 16, 4, "reserved"),
    Field("reserved3", 20, 4, "reserved"),
    *_TAIL,
    *_SYMBOLS,
)

HEADER_3: Final[tuple[Field, ...]] = (
    *_HEAD,
    Field("jump_slots", 14, 1, "number of 8-byte slots from offset 128 on"),
    Field("reserved1", 15, 1, "reserved"),
    Field("virtual_top", 16, 4, "first linear address that is the hypervisor's, 0 for none"),
    Field("reserved2", 20, 2, "reserved"),
    Field("license_offs", 22, 2, "offset of the license, a string ending in NUL; clients take GPL and GPL v2"),
    *_TAIL,
    *_SYMBOLS,
    Field("vmi_init", INIT_3, JUMP_SLOT_SIZE, "jump slot: entry point of Init"),
    Field("get_reloc", GET_RELOCATION_3, JUMP_SLOT_SIZE, "jump slot: entry point of GetRelocationInfo"),
)

PCI: Final[tuple[Field, ...]] = (
    Field("pciSignature", 0, 4, 'the bytes "PCIR"'),
    Field("vendor", 4, 2, "PCI vendor: 15ADh for a VMI ROM"),
    Field("device", 6, 2, "PCI device: 0801h for a VMI ROM"),
    Field("vpd", 8, 2, "offset of vital product data, 0 for none"),
    Field("size", 10, 2, "length of this structure in bytes"),
    Field("revision", 12, 1, "revision of this structure"),
    Field("class", 13, 3, "programming interface, subclass and class; class FFh fits no other"),
    Field("chunks", 16, 2, "length of the image in chunks of 512 bytes"),
    Field("romMinor", 18, 1, "minor version of the ROM's code"),
    Field("romMajor", 19, 1, "major version of the ROM's code"),
    Field("codeType", 20, 1, "0: code for x86"),
    Field("lastImage", 21, 1, "bit 7: no further image follows in this ROM"),
    Field("pciReserved", 22, 2, "reserved"),
)
PCI_SIZE: Final = 24
PCI_VENDOR: Final = 0x15AD
PCI_DEVICE: Final = 0x0801

PNP: Final[tuple[Field, ...]] = (
    Field("pnpSignature", 0, 4, 'the bytes "$PnP"'),
    Field("pnpRevision", 4, 1, "revision of this structure"),
    Field("pnpSize", 5, 1, "length of this structure in units of 16 bytes"),
    Field("pnpNext", 6, 2, "offset of the next such header, 0 for none"),
    Field("pnpReserved", 8, 1, "reserved"),
    Field("pnpChecksum", 9, 1, "makes the bytes of this structure add up to zero"),
    Field("deviceId", 10, 4, "EISA device identifier, 0 for none"),
    Field("manufacturerOffset", 14, 2, "offset of the manufacturer's name, a string ending in NUL, 0 for none"),
    Field("productOffset", 16, 2, "offset of the product's name, a string ending in NUL, 0 for none"),
)
"""The part that clients read; PNP_SIZE is the whole structure, whose rest (boot vectors) is zero here."""
PNP_SIZE: Final = 32
PNP_CHECKSUM: Final = 9


def header(generation: Generation | None) -> tuple[Field, ...]:
    """The header's fields; those that every version has if the generation is unknown."""
    match generation:
        case Generation.V3:
            return HEADER_3
        case Generation.V13:
            return HEADER_13
        case None:
            return COMMON


# Entry points. Each is VMCALL; RET, which the machine serves as a call, and behind the RET, never executed, an
# instruction that carries the call's unified number. So a call can be told wherever the ROM was copied or mapped.

TRAP: Final = bytes.fromhex("0f01c1c3")
TRAP_SIZE: Final = len(TRAP)
_MOV_AX: Final = bytes.fromhex("66b8")
STUB_SIZE: Final = TRAP_SIZE + len(_MOV_AX) + 2
UNDEFINED: Final = bytes.fromhex("0f0b")
"""UD2, in a slot that has no call."""
FILL: Final = 0xCC
"""INT3, behind stubs."""

SLOT_SIZE_13: Final = 32
FIRST_SLOT_13: Final = 4
SLOTS_13: Final = 128
TABLE_3: Final = 0x100
"""In 3.0 the entry point of call n is here + 16 * n; only Init and GetRelocationInfo are in jump slots."""
ENTRY_SIZE_3: Final = 16

CODE_START: Final = 128
"""Init's offset, in both generations; from here to code_end there are entry points only."""


def stub(generation: Generation, number: int) -> bytes:
    """The 8 bytes of an entry point: VMCALL; RET; MOV AX, unified number."""
    return TRAP + _MOV_AX + unified(generation, number).to_bytes(2, "little")


def identify(code: bytes) -> tuple[Generation, int] | None:
    """The call whose stub these bytes (at least STUB_SIZE of them) begin with, or None."""
    mark = TRAP + _MOV_AX
    if not code.startswith(mark) or len(code) < STUB_SIZE:
        return None
    try:
        generation, number = from_unified(int.from_bytes(code[len(mark) : STUB_SIZE], "little"))
    except ValueError:
        return None
    return None if by_number(generation, number) is None else (generation, number)


def entry_offset(generation: Generation, number: int) -> int:
    """Offset of a call's entry point. Raises RomError if the generation has no call of that number."""
    if by_number(generation, number) is None:
        raise RomError(f"VMI {generation}.x has no call number {number}")
    if generation is Generation.V13:
        return SLOT_SIZE_13 * number
    return number if number in (INIT_3, GET_RELOCATION_3) else TABLE_3 + ENTRY_SIZE_3 * number


def entry_size(generation: Generation, number: int) -> int:
    """Bytes from a call's entry point to whatever is next."""
    if generation is Generation.V13:
        return SLOT_SIZE_13
    return JUMP_SLOT_SIZE if number in (INIT_3, GET_RELOCATION_3) else ENTRY_SIZE_3


def code_end(generation: Generation) -> int:
    """Offset of the first byte behind the entry points."""
    if generation is Generation.V13:
        return SLOT_SIZE_13 * SLOTS_13
    return TABLE_3 + ENTRY_SIZE_3 * (1 + max(number for number in calls(generation) if number < INIT_3))
