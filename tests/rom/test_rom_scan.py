"""The scanner: several ROMs side by side, and the reason for each that is passed over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom.abi import Generation
from rom.build import build, standard
from rom.scan import AREA, Scan, scan

V3 = build(standard(Generation.V3))
V13 = build(standard(Generation.V13))
BASE = 0xC0000


def memory(*roms: tuple[int, bytes]) -> bytes:
    """The physical addresses C0000h to FFFFFh with ROMs at these addresses."""
    image = bytearray(0x40000)
    for address, rom in roms:
        image[address - BASE : address - BASE + len(rom)] = rom
    return bytes(image)


def found(result: Scan) -> list[tuple[int, str]]:
    return [(f.address, f.rom.version) for f in result.found]


def with_checksum(image: bytearray) -> bytes:
    image[-1] = (image[-1] - sum(image)) & 0xFF
    return bytes(image)


def test_both_generations_side_by_side() -> None:
    result = scan(memory((0xC8000, V13), (0xCA000, V3), (0xD7800, V3)), BASE)
    assert found(result) == [(0xC8000, "13.3"), (0xCA000, "3.0"), (0xD7800, "3.0")]
    assert result.passed == ()


def test_each_rom_that_is_passed_over_has_its_reason() -> None:
    vga = b"\x55\xaa\x40\xe9".ljust(0x2000, b"\x90")
    other_version = bytearray(V3)
    other_version[13] = 6
    bad = bytearray(V3)
    bad[0x200] += 1
    long = bytearray(V3)
    long[2] = 0x60
    roms = (
        (0xC8000, vga),
        (0xCA000, with_checksum(other_version)),
        (0xCC000, bytes(bad)),
        (0xD0000, V13),
        (0xD8000, bytes(long)),
        (0xDF800, V3[:2048]),
    )
    result = scan(memory(*roms), BASE)
    assert found(result) == [(0xD0000, "13.3")]
    assert [(p.address, p.reason) for p in result.passed] == [
        (0xC8000, 'hyperSignature is 90 90 90 90, not 63 56 6D 69, the "cVmi" of a VMI ROM'),
        (0xCA000, "APIVersionMajor is 6; the known ones are 3 and 13"),
        (0xCC000, "checksum: the 8192 bytes add up to 01h, not to 0"),
        (0xD8000, "romLength says 49152 bytes, but only 32768 are there"),
        (0xDF800, "romLength says 8192 bytes, but only 2048 are there"),
    ]


@pytest.mark.parametrize("address", [0xC0000, 0xC7800, 0xE0000, 0xC8200, 0xD0400])
def test_other_places_are_not_looked_at(address: int) -> None:
    result = scan(memory((address, V3)), BASE)
    assert result == Scan((), ())


def test_area_and_step_are_the_callers_to_choose() -> None:
    image = memory((0xC0000, V3), (0xD0200, V13))
    assert found(scan(image, BASE, area=range(0xC0000, 0xE0000))) == [(0xC0000, "3.0")]
    assert found(scan(image, BASE, step=512)) == [(0xD0200, "13.3")]
    with pytest.raises(ValueError, match="step must be positive"):
        scan(image, BASE, step=0)


def test_a_rom_found_with_warnings_says_so() -> None:
    image = bytearray(V3)
    image[12] = 1
    result = scan(memory((0xC8000, with_checksum(image))), BASE)
    assert [p.field for p in result.found[0].rom.problems] == ["APIVersionMinor"]


def test_memory_from_zero_and_memory_that_begins_between() -> None:
    assert found(scan(bytes(0xC8000) + V13)) == [(0xC8000, "13.3")]
    assert found(scan(bytes(0x800 - 0x123) + V3, 0xD0123)) == [(0xD0800, "3.0")]


def test_memory_that_ends_within_a_signature() -> None:
    assert scan(b"\x55", 0xC8000) == Scan((), ())
    assert [p.address for p in scan(b"\x55\xaa", 0xC8000).passed] == [0xC8000]


@given(st.sets(st.integers(0, (len(AREA) - len(V3)) // 8192), max_size=6), st.data())
def test_every_rom_is_found_where_it_is(places: set[int], data: st.DataObject) -> None:
    choice = {AREA.start + 8192 * place: data.draw(st.sampled_from([V3, V13])) for place in places}
    result = scan(memory(*choice.items()), BASE)
    assert [(f.address, build(f.rom.spec)) for f in result.found if f.rom.spec] == sorted(choice.items())


_ROM_LIKE = st.binary(max_size=99).map(lambda data: b"\x55\xaa" + data)


@given(st.binary(max_size=5000) | _ROM_LIKE, st.integers(0xC7000, 0xE0000) | st.just(AREA.start))
def test_random_memory(data: bytes, base: int) -> None:
    result = scan(data, base)
    addresses = [f.address for f in result.found] + [p.address for p in result.passed]
    assert all(base <= address < base + len(data) for address in addresses)
