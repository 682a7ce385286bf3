"""Reading: every field, every problem by name, and nothing but RomError for bytes from anywhere."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom.abi import Generation
from rom.build import build, standard, symbols
from rom.layout import RomError
from rom.parse import Rom, Severity, parse

V3 = build(standard(Generation.V3))
V13 = build(standard(Generation.V13))
PCI_3 = int.from_bytes(V3[24:26], "little")
PNP_3 = int.from_bytes(V3[26:28], "little")
LICENSE_3 = int.from_bytes(V3[22:24], "little")


def changed(image: bytes, offset: int, data: bytes, *, checksum: bool = True) -> bytes:
    """The image with other bytes at `offset`, and its checksum made right again unless that is not wanted."""
    edited = bytearray(image)
    edited[offset : offset + len(data)] = data
    if checksum:
        edited[-1] = (edited[-1] - sum(edited)) & 0xFF
    return bytes(edited)


def named(rom: Rom) -> list[tuple[str, Severity]]:
    return [(problem.field, problem.severity) for problem in rom.problems]


@pytest.mark.parametrize("image", [V3, V13], ids=["3.0", "13.3"])
def test_a_good_rom_has_no_problem(image: bytes) -> None:
    rom = parse(image)
    assert rom.problems == ()
    assert rom.size == len(image)
    assert rom.spec is not None
    assert rom.symbols == symbols(rom.spec)


def test_fields_of_3() -> None:
    rom = parse(V3)
    assert rom.version == "3.0"
    assert rom.field("virtual_top") == 0xFC000000
    assert rom.field("license") == "GPL"
    assert rom.field("vendor") == 0x15AD
    assert rom.field("device") == 0x0801
    assert rom.field("product") == "pvtrace VMI ROM"
    assert rom.field("romEntry") == b"\xcb\x90\x90\x90"
    assert rom.field("reserved0") is None


def test_fields_cover_the_header_without_gap_or_overlap() -> None:
    for image, end in ((V3, 144), (V13, 128)):
        header = [field for field in parse(image).fields if field.structure == "header"]
        at = 0
        for field in sorted(header, key=lambda field: field.offset):
            assert field.offset == at, field.name
            at += field.size
        assert at == end


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (changed(V3, 300, b"\xaa", checksum=False), ("checksum", Severity.ERROR)),
        (V3[:-1], ("romLength", Severity.ERROR)),
        (changed(V3, 2, b"\0"), ("romLength", Severity.ERROR)),
        (changed(V3 + bytes(200 * 512 - len(V3)), 2, b"\xc8"), ("romLength", Severity.WARNING)),
        (changed(V3, 13, b"\x06"), ("APIVersionMajor", Severity.ERROR)),
        (changed(V13, 12, b"\x00"), ("APIVersionMinor", Severity.WARNING)),
        (changed(V3, 12, b"\x01"), ("APIVersionMinor", Severity.WARNING)),
        (changed(V3, 3, bytes(4)), ("romEntry", Severity.WARNING)),
        (changed(V3, 7, b"\x01"), ("romPad0", Severity.WARNING)),
        (changed(V3, 14, b"\x00"), ("jump_slots", Severity.WARNING)),
        (changed(V3, 16, b"\x01"), ("virtual_top", Severity.WARNING)),
        (changed(V3, 22, bytes(2)), ("license_offs", Severity.WARNING)),
        (changed(V3, 22, b"\xff\xff"), ("license_offs", Severity.WARNING)),
        (changed(V3, LICENSE_3, b"BSD"), ("license", Severity.WARNING)),
        (changed(V3, 24, bytes(2)), ("pciHeaderOffset", Severity.WARNING)),
        (changed(V3, 24, b"\xff\xff"), ("pciHeaderOffset", Severity.WARNING)),
        (changed(V3, PCI_3, b"X"), ("pciSignature", Severity.WARNING)),
        (changed(V3, PCI_3 + 4, b"\x86\x80"), ("vendor", Severity.WARNING)),
        (changed(V3, PCI_3 + 6, b"\x00\x08"), ("device", Severity.WARNING)),
        (changed(V3, PCI_3 + 16, b"\x01"), ("chunks", Severity.WARNING)),
        (changed(V3, 26, b"\xff\xff"), ("pnpHeaderOffset", Severity.WARNING)),
        (changed(V3, PNP_3, b"X"), ("pnpSignature", Severity.WARNING)),
        (changed(V3, PNP_3 + 10, b"X"), ("pnpChecksum", Severity.WARNING)),
        (changed(V3, PNP_3 + 16, b"\xff\xff"), ("productOffset", Severity.WARNING)),
        (changed(V3, 28, b"\x01"), ("romPad3", Severity.WARNING)),
        (changed(V13, 14, b"\x01"), ("reserved0", Severity.WARNING)),
        (changed(V3, 64, b"\x00"), ("elfHeader", Severity.WARNING)),
        (changed(V3, 64 + 32, b"\xff\xff\xff"), ("elfHeader", Severity.WARNING)),
        (changed(V3, 0x110, b"\x90"), ("entry points", Severity.WARNING)),
    ],
)
def test_each_problem_is_named(image: bytes, problem: tuple[str, Severity]) -> None:
    rom = parse(image)
    assert problem in named(rom)
    sentence = next(p.sentence for p in rom.problems if (p.field, p.severity) == problem)
    assert sentence.count("\n") == 0
    assert problem[0].split()[0] in sentence


def test_one_change_is_one_problem() -> None:
    assert named(parse(changed(V3, LICENSE_3, b"BSD"))) == [("license", Severity.WARNING)]
    assert named(parse(changed(V3, 300, b"\xaa", checksum=False))) == [("checksum", Severity.ERROR)]


def test_a_replaced_stub_is_the_problem_of_that_entry_point() -> None:
    rom = parse(changed(V13, 32 * 35, b"\xfb"))
    assert [entry.name for entry in rom.entry_points if not entry.trap] == ["EnableInterrupts"]
    assert "EnableInterrupts at offset 0x460" in rom.problems[0].sentence


def test_what_no_specification_can_say_is_not_made_one() -> None:
    assert parse(changed(V3, 16, b"\x01")).spec is None
    assert parse(changed(V3, LICENSE_3, b"\xff")).spec is None
    assert parse(changed(V3, 13, b"\x06")).spec is None
    assert parse(changed(V3, 26, bytes(2))).spec is None


def test_an_unknown_version_still_shows_what_all_versions_share() -> None:
    rom = parse(changed(V3, 13, b"\x06"))
    assert rom.generation is None
    assert rom.entry_points == ()
    assert rom.field("pciHeaderOffset") == PCI_3
    assert rom.field("vendor") == 0x15AD


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (b"", "header of at least 32 bytes; there are 0"),
        (V3[:31], "there are 31"),
        (b"MZ" + V3[2:], "romSignature is 4D 5A, not the 55 AA"),
        (changed(V3, 8, b"IBM "), "hyperSignature is 49 42 4D 20, not 63 56 6D 69"),
    ],
)
def test_what_is_no_vmi_rom_at_all(image: bytes, sentence: str) -> None:
    with pytest.raises(RomError, match=sentence):
        parse(image)


def read(image: bytes) -> Rom | None:
    """The ROM, or None for bytes that are none; whatever else is raised fails the test."""
    try:
        return parse(image)
    except RomError:
        return None


def is_rom(image: bytes) -> bool:
    return len(image) >= 32 and image[:2] == b"\x55\xaa" and image[8:12] == b"cVmi"


@given(st.binary(max_size=600), st.binary(min_size=6, max_size=6), st.booleans())
def test_random_bytes(data: bytes, head: bytes, signed: bool) -> None:
    image = b"\x55\xaa" + head + b"cVmi" + data if signed else data
    rom = read(image)
    assert (rom is not None) == is_rom(image)
    if rom is not None:
        assert rom.size <= len(image)
        assert all(field.offset + field.size <= len(image) for field in rom.fields)


_EDITS = st.lists(st.tuples(st.integers(0, 200) | st.integers(0, 8191), st.integers(0, 255)), max_size=12)


@given(st.sampled_from([V3, V13]), _EDITS, st.integers(0, 8192))
def test_mutated_and_truncated_images(original: bytes, edits: list[tuple[int, int]], size: int) -> None:
    edited = bytearray(original)
    for offset, value in edits:
        edited[offset] = value
    image = bytes(edited[:size])
    rom = read(image)
    assert (rom is not None) == is_rom(image)
    if rom is not None:
        assert rom.size <= size
        assert rom.errors or (sum(image[: rom.size]) & 0xFF == 0 and rom.size == 512 * image[2])


_ELF_EDITS = st.lists(st.tuples(st.integers(64, 127) | st.integers(0x600, 0x1000), st.integers(0, 255)), max_size=8)


@given(_ELF_EDITS)
def test_damaged_symbols_never_harm(edits: list[tuple[int, int]]) -> None:
    edited = bytearray(V3)
    for offset, value in edits:
        edited[offset] = value
    rom = parse(bytes(edited))
    assert rom.generation is Generation.V3
    assert rom.spec is not None or edited[0x5A0:0x600] != V3[0x5A0:0x600]


def test_the_specification_of_a_longer_rom() -> None:
    spec = replace(standard(Generation.V13), chunks=127, product="another")
    assert parse(build(spec)).spec == spec
