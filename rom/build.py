"""Builds VMI ROM images: a specification in, bytes out.

Pure: no files, no clock, no randomness, so equal specifications give equal bytes. The code is position independent: it
is nothing but trap stubs, and the answers of the relocation query are the machine's, computed from entry_points; or, in
a native ROM, the routines of `native`.

Order in the image: header; entry points; PCI data structure; PnP header; strings; symbol table, names and section
headers of the ELF file that begins at offset 64; zeros; and as last byte the one that makes the checksum zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from rom import elf, layout, native
from rom.abi import Generation, calls
from rom.elf import Symbol
from rom.layout import CHUNK, Field, RomError

DEFAULT_VIRTUAL_TOP: Final = 0xFC000000
"""The top 64 MiB of linear space are the hypervisor's."""
_PAGE: Final = 4096
_JMP: Final = b"\xe9"
_JMP_SIZE: Final = 5
"""JMP rel32."""
MAX_STRING: Final = 255


@dataclass(frozen=True, slots=True)
class RomSpec:
    """What a ROM says; `standard` gives the ones that pvtrace uses.

    Attributes:
        generation: which numbering and which header.
        virtual_top: first linear address of the hypervisor, a multiple of 4096, 0 for none; only 3.0 has the field.
        license: the license string; only 3.0 has one.
        manufacturer, product: the names in the PnP header.
        chunks: length of the image in units of 512 bytes.
        native: the entry points hold native instructions (see native) instead of traps to pvtrace.

    Strings are of printable ASCII, at most 255 characters. Raises RomError if a field cannot be in a ROM.
    """

    generation: Generation
    virtual_top: int = 0
    license: str = ""
    manufacturer: str = "pvtrace"
    product: str = "pvtrace VMI ROM"
    chunks: int = 16
    native: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.virtual_top < 1 << 32 or self.virtual_top % _PAGE:
            raise RomError(f"virtual_top must be a 32-bit multiple of {_PAGE}, not {self.virtual_top:#x}")
        if self.generation is Generation.V13 and (self.virtual_top or self.license):
            raise RomError("a ROM of VMI 13.x has no field for virtual_top or license")
        for name, text in (("license", self.license), ("manufacturer", self.manufacturer), ("product", self.product)):
            if len(text) > MAX_STRING or not (text.isascii() and text.isprintable()):
                raise RomError(f"{name} must be at most {MAX_STRING} printable ASCII characters")
        if not 1 <= self.chunks <= layout.MAX_CHUNKS:
            raise RomError(f"romLength must be 1 to {layout.MAX_CHUNKS} chunks of {CHUNK} bytes, not {self.chunks}")

    @property
    def version(self) -> str:
        return f"{self.generation}.{layout.MINOR[self.generation]}"


def standard(generation: Generation) -> RomSpec:
    """The ROM of that generation as pvtrace shows it to guests."""
    if generation is Generation.V13:
        return RomSpec(generation)
    return RomSpec(generation, virtual_top=DEFAULT_VIRTUAL_TOP, license="GPL")


def entry_offset(spec: RomSpec, number: int) -> int:
    """Offset of a call's entry point in the ROM. Raises RomError for a number that is no call."""
    return layout.entry_offset(spec.generation, number)


def entry_points(spec: RomSpec) -> Mapping[int, tuple[Generation, int]]:
    """The call at each entry point's offset, ascending; every call of the generation is there once."""
    generation = spec.generation
    offsets = {layout.entry_offset(generation, number): (generation, number) for number in calls(generation)}
    return MappingProxyType(dict(sorted(offsets.items())))


def symbols(spec: RomSpec) -> tuple[Symbol, ...]:
    """Name (VMI_ and the call's name), offset and size of every entry point, by offset."""
    table = calls(spec.generation)
    sizes = _native(spec).sizes if spec.native else {}
    return tuple(
        Symbol(f"VMI_{table[number].name}", offset, sizes.get(offset, layout.TRAP_SIZE))
        for offset, (_, number) in entry_points(spec).items()
    )


def build(spec: RomSpec) -> bytes:
    """The image, `spec.chunks` * 512 bytes. Raises RomError if that is too short for what must be in it."""
    code = _native(spec).code if spec.native else _code(spec)
    end = pci = len(code)
    pnp = pci + layout.PCI_SIZE
    manufacturer = pnp + layout.PNP_SIZE
    product = manufacturer + len(spec.manufacturer) + 1
    license_at = product + len(spec.product) + 1
    tables = _align4(license_at + len(spec.license) + 1)
    parts = elf.encode(symbols(spec), range(layout.CODE_START, end), tables)
    image = bytearray(code)
    _put(image, 0, layout.header(spec.generation), _header(spec, pci, pnp, license_at))
    image[layout.ELF_OFFSET : layout.ELF_OFFSET + len(parts.header)] = parts.header
    image += _structure(layout.PCI_SIZE, layout.PCI, _pci(spec.chunks))
    image += _pnp(manufacturer, product)
    image += b"".join(text.encode("ascii") + b"\0" for text in (spec.manufacturer, spec.product, spec.license))
    image += bytes(tables - len(image)) + parts.tables
    size = spec.chunks * CHUNK
    if len(image) >= size:
        raise RomError(f"the ROM needs a romLength of {len(image) // CHUNK + 1} chunks, not {spec.chunks}")
    image += bytes(size - len(image))
    image[-1] = -sum(image) & 0xFF
    return bytes(image)


def _slots(generation: Generation) -> bytearray:
    """The header's room and the entry points' places, without calls."""
    image = bytearray(layout.CODE_START)
    image += bytes([layout.FILL]) * (layout.code_end(generation) - layout.CODE_START)
    if generation is Generation.V13:
        for slot in range(layout.FIRST_SLOT_13, layout.SLOTS_13):
            _place(image, slot * layout.SLOT_SIZE_13, layout.UNDEFINED)
    return image


def _code(spec: RomSpec) -> bytes:
    image = _slots(spec.generation)
    for offset, (_, number) in entry_points(spec).items():
        _place(image, offset, layout.stub(spec.generation, number))
    return bytes(image)


class _Native(NamedTuple):
    """`sizes`: bytes at each entry point's offset."""

    code: bytes
    sizes: Mapping[int, int]


def _native(spec: RomSpec) -> _Native:
    """The routines at their entry points; one that is too long is behind all of them, and a jump is at its place."""
    image, sizes = _slots(spec.generation), {}
    for offset, (generation, number) in entry_points(spec).items():
        code = native.routine(generation, number, offset)
        if len(code) > layout.entry_size(generation, number):
            at = len(image)
            image += native.routine(generation, number, at)
            code = _JMP + (at - offset - _JMP_SIZE).to_bytes(4, "little")
        _place(image, offset, code)
        sizes[offset] = len(code)
    return _Native(bytes(image), sizes)


def _header(spec: RomSpec, pci: int, pnp: int, license_at: int) -> Mapping[str, int | bytes]:
    values: dict[str, int | bytes] = {
        "romSignature": layout.ROM_SIGNATURE,
        "romLength": spec.chunks,
        "romEntry": layout.ROM_ENTRY,
        "hyperSignature": layout.HYPER_SIGNATURE,
        "APIVersionMinor": layout.MINOR[spec.generation],
        "APIVersionMajor": int(spec.generation),
        "pciHeaderOffset": pci,
        "pnpHeaderOffset": pnp,
    }
    if spec.generation is Generation.V3:
        values |= {"jump_slots": layout.JUMP_SLOTS, "virtual_top": spec.virtual_top, "license_offs": license_at}
    return values


def _pci(chunks: int) -> Mapping[str, int | bytes]:
    return {
        "pciSignature": layout.PCI_SIGNATURE,
        "vendor": layout.PCI_VENDOR,
        "device": layout.PCI_DEVICE,
        "size": layout.PCI_SIZE,
        "class": b"\0\0\xff",
        "chunks": chunks,
        "romMajor": 1,
        "lastImage": 0x80,
    }


def _pnp(manufacturer: int, product: int) -> bytes:
    values: dict[str, int | bytes] = {
        "pnpSignature": layout.PNP_SIGNATURE,
        "pnpRevision": 1,
        "pnpSize": layout.PNP_SIZE // 16,
        "manufacturerOffset": manufacturer,
        "productOffset": product,
    }
    structure = bytearray(_structure(layout.PNP_SIZE, layout.PNP, values))
    structure[layout.PNP_CHECKSUM] = -sum(structure) & 0xFF
    return bytes(structure)


def _structure(size: int, fields: tuple[Field, ...], values: Mapping[str, int | bytes]) -> bytes:
    structure = bytearray(size)
    _put(structure, 0, fields, values)
    return bytes(structure)


def _put(image: bytearray, base: int, fields: tuple[Field, ...], values: Mapping[str, int | bytes]) -> None:
    """Stores the values by their fields' names; a field without a value keeps what is there."""
    by_name = {field.name: field for field in fields}
    for name, value in values.items():
        field = by_name[name]
        data = value if isinstance(value, bytes) else value.to_bytes(field.size, "little")
        _place(image, base + field.offset, data)


def _place(image: bytearray, offset: int, data: bytes) -> None:
    image[offset : offset + len(data)] = data


def _align4(offset: int) -> int:
    return (offset + 3) & ~3
