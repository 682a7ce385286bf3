"""Reads VMI ROM images, of this project or of others: bytes in, every field and everything that is wrong with it out.

Pure, and safe for bytes from anywhere: what is damaged becomes a Problem, and only bytes that are no VMI ROM at all
raise RomError. No file is opened and nothing is printed here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Final, NamedTuple

from rom import elf, layout
from rom.abi import Generation, calls
from rom.build import MAX_STRING, RomSpec
from rom.elf import Symbol
from rom.layout import CHUNK, Field, RomError
from rom.native import routine

_LICENSES: Final = ("GPL", "GPL v2")


class Severity(StrEnum):
    ERROR = "error"
    """A scanner by the text of 2006 passes this ROM over."""
    WARNING = "warning"
    """Out of order, but the ROM can be found; some guests may refuse it or make less of it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an image: the field it is about, and one sentence that names it."""

    field: str
    severity: Severity
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A field as it was read; `offset` is from the ROM's first byte. A string is the value of a field of its own."""

    structure: str
    name: str
    offset: int
    size: int
    value: int | bytes | str
    meaning: str


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """Where a guest calls; `trap` tells whether pvtrace's stub for that very call is there."""

    offset: int
    number: int
    name: str
    trap: bool


@dataclass(frozen=True, slots=True)
class Rom:
    """An image as it was read.

    Attributes:
        generation: None if the major version is unknown; then there are no entry points.
        spec: what `build` takes to make such a ROM; None if it cannot.
        size: bytes that belong to the ROM: romLength chunks, or what there is of them.
        fields: in the order of the image's structures.
        symbols: what the ELF file at offset 64 names; empty if it is missing or damaged.
        problems: in the order in which they were met.
    """

    generation: Generation | None
    spec: RomSpec | None
    size: int
    fields: tuple[FieldValue, ...]
    entry_points: tuple[EntryPoint, ...]
    symbols: tuple[Symbol, ...]
    problems: tuple[Problem, ...]

    def field(self, name: str) -> int | bytes | str | None:
        """A field's value by its name, or None if the image has no such field."""
        return next((f.value for f in self.fields if f.name == name), None)

    @property
    def version(self) -> str:
        """Major and minor version, as in 3.0."""
        return ".".join(str(self.field(name)) for name in ("APIVersionMajor", "APIVersionMinor"))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems for which the ROM is passed over."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)


def parse(image: bytes) -> Rom:
    """Reads the ROM at the start of `image`, which may be longer than the ROM.

    Raises RomError if the bytes are no VMI ROM: too short for a header, or without one of the two signatures.
    """
    if len(image) < layout.COMMON_SIZE:
        raise RomError(f"a ROM has a header of at least {layout.COMMON_SIZE} bytes; there are {len(image)}")
    if image[:2] != layout.ROM_SIGNATURE.to_bytes(2, "little"):
        raise RomError(f"romSignature is {image[:2].hex(' ').upper()}, not the 55 AA of an option ROM")
    if image[8:12] != layout.HYPER_SIGNATURE.to_bytes(4, "little"):
        raise RomError(f'hyperSignature is {image[8:12].hex(" ").upper()}, not 63 56 6D 69, the "cVmi" of a VMI ROM')
    generation = _generation(image[13])
    # A romLength of 0 covers nothing; the header is read all the same, to show what else there is.
    rom = image[: max(image[2] * CHUNK, layout.COMMON_SIZE)]
    parts = [_header(rom, len(image), generation)]
    header = {field.name: field.value for field in parts[0].fields}
    parts.append(_pci(rom, _number(header, "pciHeaderOffset")))
    parts.append(_pnp(rom, _number(header, "pnpHeaderOffset")))
    if generation is Generation.V3:
        parts.append(_license(rom, _number(header, "license_offs")))
    entry_points = () if generation is None else _entry_points(rom, generation)
    native = generation is not None and _is_native(rom, generation)
    missing = () if native else tuple(_missing_traps(entry_points))
    symbols, symbol_problems = _symbols(rom)
    fields = tuple(chain.from_iterable(part.fields for part in parts))
    return Rom(
        generation,
        _spec(generation, {field.name: field.value for field in fields}, native),
        min(image[2] * CHUNK, len(image)),
        fields,
        entry_points,
        symbols,
        (*chain.from_iterable(part.problems for part in parts), *missing, *symbol_problems),
    )


_Value = int | bytes | str


class _Part(NamedTuple):
    fields: list[FieldValue]
    problems: list[Problem]


def _error(field: str, sentence: str) -> Problem:
    return Problem(field, Severity.ERROR, sentence)


def _warning(field: str, sentence: str) -> Problem:
    return Problem(field, Severity.WARNING, sentence)


def _generation(major: int) -> Generation | None:
    try:
        return Generation(major)
    except ValueError:
        return None


def _number(values: Mapping[str, _Value], name: str) -> int:
    """A numeric field; 0 where a truncated image lacks it."""
    value = values.get(name, 0)
    return value if isinstance(value, int) else 0


def _read(structure: str, fields: Iterable[Field], rom: bytes, base: int) -> Iterator[FieldValue]:
    """The fields that lie within the ROM."""
    for field in fields:
        start = base + field.offset
        data = rom[start : start + field.size]
        if len(data) == field.size:
            value = int.from_bytes(data, "little") if field.is_number else data
            yield FieldValue(structure, field.name, start, field.size, value, field.meaning)


def _header(rom: bytes, available: int, generation: Generation | None) -> _Part:
    fields = list(_read("header", layout.header(generation), rom, 0))
    values = {field.name: field.value for field in fields}
    problems = [*_length(rom, available), *_version(rom[13], rom[12], generation), *_reserved(fields)]
    if not any(rom[3:7]):
        problems.append(_warning("romEntry", "romEntry is empty: a BIOS that far-calls it would run zeros"))
    if generation is Generation.V3:
        slots, top = _number(values, "jump_slots"), _number(values, "virtual_top")
        if slots != layout.JUMP_SLOTS:
            problems.append(_warning("jump_slots", f"jump_slots is {slots}; 3.0 defines {layout.JUMP_SLOTS}"))
        if top % 4096:
            problems.append(_warning("virtual_top", f"virtual_top is {top:#x}, not a multiple of 4096"))
    return _Part(fields, problems)


def _length(rom: bytes, available: int) -> Iterator[Problem]:
    chunks = rom[2]
    if chunks == 0:
        yield _error("romLength", "romLength is 0: the ROM and its checksum cover nothing")
    if chunks > layout.MAX_CHUNKS:
        yield _warning("romLength", f"romLength is {chunks}, negative to a client that reads it as a signed byte")
    if chunks * CHUNK > available:
        yield _error("romLength", f"romLength says {chunks * CHUNK} bytes, but only {available} are there")
    elif chunks and sum(rom) & 0xFF:
        yield _error("checksum", f"checksum: the {chunks * CHUNK} bytes add up to {sum(rom) & 0xFF:02X}h, not to 0")


def _version(major: int, minor: int, generation: Generation | None) -> Iterator[Problem]:
    if generation is None:
        yield _error("APIVersionMajor", f"APIVersionMajor is {major}; the known ones are 3 and 13")
    elif minor < layout.MINOR[generation]:
        known = layout.MINOR[generation]
        yield _warning("APIVersionMinor", f"APIVersionMinor is {minor}: calls added up to {major}.{known} are missing")
    elif minor > layout.MINOR[generation]:
        known = layout.MINOR[generation]
        yield _warning("APIVersionMinor", f"APIVersionMinor is {minor}: calls added after {major}.{known} are unknown")


def _reserved(fields: Iterable[FieldValue]) -> Iterator[Problem]:
    for field in fields:
        if not field.name.startswith(("reserved", "romPad")):
            continue
        if field.value if isinstance(field.value, int) else any(field.value):
            yield _warning(field.name, f"{field.name} at offset {field.offset} is not zero")


def _pci(rom: bytes, offset: int) -> _Part:
    if offset == 0:
        return _Part([], [_warning("pciHeaderOffset", "pciHeaderOffset is 0: clients of 3.0 refuse such a ROM")])
    fields = list(_read("PCI", layout.PCI, rom, offset))
    if len(fields) < len(layout.PCI):
        return _Part(fields, [_warning("pciHeaderOffset", f"pciHeaderOffset {offset:#x} leads out of the ROM")])
    values = {field.name: field.value for field in fields}
    wanted = {
        "pciSignature": layout.PCI_SIGNATURE,
        "vendor": layout.PCI_VENDOR,
        "device": layout.PCI_DEVICE,
        "chunks": rom[2],
    }
    wrong = ((name, _number(values, name), right) for name, right in wanted.items() if values[name] != right)
    problems = [_warning(name, f"{name} in the PCI data structure is {is_:X}h, not {to:X}h") for name, is_, to in wrong]
    return _Part(fields, problems)


def _pnp(rom: bytes, offset: int) -> _Part:
    if offset == 0:
        return _Part([], [])
    fields = list(_read("PnP", layout.PNP, rom, offset))
    if len(fields) < len(layout.PNP):
        return _Part(fields, [_warning("pnpHeaderOffset", f"pnpHeaderOffset {offset:#x} leads out of the ROM")])
    values = {field.name: field.value for field in fields}
    problems = []
    if (signature := _number(values, "pnpSignature")) != layout.PNP_SIGNATURE:
        problems.append(_warning("pnpSignature", f'pnpSignature is {signature:X}h, not the bytes "$PnP"'))
    elif sum(rom[offset : offset + _number(values, "pnpSize") * 16]) & 0xFF:
        problems.append(_warning("pnpChecksum", "pnpChecksum does not make the PnP header add up to 0"))
    for name in ("manufacturer", "product"):
        at = _number(values, f"{name}Offset")
        if (string := _string(rom, at, name, f"the {name}'s name")) is not None:
            fields.append(string)
        elif at:
            problems.append(_warning(f"{name}Offset", f"{name}Offset {at:#x} leads to no string"))
    return _Part(fields, problems)


def _license(rom: bytes, offset: int) -> _Part:
    string = _string(rom, offset, "license", "the license that guests check")
    if string is None:
        return _Part([], [_warning("license_offs", f"license_offs {offset:#x} leads to no string; clients want one")])
    if string.value in _LICENSES:
        return _Part([string], [])
    return _Part([string], [_warning("license", f"license is {string.value!r}; Linux takes 'GPL' and 'GPL v2' alone")])


def _string(rom: bytes, offset: int, name: str, meaning: str) -> FieldValue | None:
    """The string at `offset`, or None if that is outside the ROM or no NUL ends it within MAX_STRING characters."""
    data, nul, _ = rom[offset : offset + MAX_STRING + 1].partition(b"\0")
    if not nul or not offset:
        return None
    return FieldValue("strings", name, offset, len(data) + 1, data.decode("latin-1"), meaning)


def _entry_points(rom: bytes, generation: Generation) -> tuple[EntryPoint, ...]:
    points = []
    for number, call in calls(generation).items():
        offset = layout.entry_offset(generation, number)
        trap = layout.identify(rom[offset : offset + layout.STUB_SIZE]) == (generation, number)
        points.append(EntryPoint(offset, number, call.name, trap))
    return tuple(sorted(points, key=lambda point: point.offset))


def _is_native(rom: bytes, generation: Generation) -> bool:
    """Whether all short entry points hold the routines of the native ROM."""
    for number in calls(generation):
        offset = layout.entry_offset(generation, number)
        code = routine(generation, number, offset)
        if len(code) <= layout.entry_size(generation, number) and not rom[offset:].startswith(code):
            return False
    return True


def _missing_traps(entry_points: tuple[EntryPoint, ...]) -> Iterator[Problem]:
    without = [entry for entry in entry_points if not entry.trap]
    if without:
        first = f"{without[0].name} at offset {without[0].offset:#x}"
        count = f"{len(without)} of {len(entry_points)} entry points"
        yield _warning("entry points", f"{count} hold no trap of pvtrace, the first being {first}")


def _symbols(rom: bytes) -> tuple[tuple[Symbol, ...], tuple[Problem, ...]]:
    try:
        return elf.decode(rom), ()
    except RomError as error:
        return (), (_warning("elfHeader", str(error)),)


def _spec(generation: Generation | None, values: Mapping[str, _Value], native: bool) -> RomSpec | None:
    texts = [values.get(name) for name in ("manufacturer", "product")]
    license_ = values.get("license") if generation is Generation.V3 else ""
    match generation, license_, texts:
        case Generation(), str(), [str(manufacturer), str(product)]:
            top, chunks = _number(values, "virtual_top"), _number(values, "romLength")
            try:
                return RomSpec(generation, top, license_, manufacturer, product, chunks, native)
            except RomError:
                return None
    return None
