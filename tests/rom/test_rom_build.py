"""Golden bytes of the images, and what objdump, readelf and gdb make of them."""

import os
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from rom.abi import Generation, by_name, calls
from rom.build import RomSpec, build, entry_offset, entry_points, standard, symbols
from rom.layout import RomError, identify

V3 = standard(Generation.V3)
V13 = standard(Generation.V13)
BOTH = pytest.mark.parametrize("spec", [V3, V13], ids=["3.0", "13.3"])


def run(tool: str, *arguments: str | Path) -> str:
    """What a tool of the system says, which must include no complaint; without the tool the test is skipped."""
    if shutil.which(tool) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{tool} is not installed")
        pytest.skip(f"{tool} is not installed")
    result = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return result.stdout


@pytest.fixture
def symbol_file(spec: RomSpec, tmp_path: Path) -> Path:
    """What `tail -c +65` leaves of the ROM."""
    path = tmp_path / "symbols"
    path.write_bytes(build(spec)[64:])
    return path


def test_header_of_3() -> None:
    image = build(V3)
    assert image[:2] == b"\x55\xaa"
    assert image[2] * 512 == len(image) == 8192
    assert image[3:8] == b"\xcb\x90\x90\x90\x00"
    assert image[8:12] == b"cVmi"
    assert image[12:16] == bytes([0, 3, 2, 0])
    assert image[16:20] == b"\x00\x00\x00\xfc"
    license_at, pci, pnp = struct.unpack_from("<HHH", image, 22)
    assert image[license_at : license_at + 4] == b"GPL\0"
    assert pci == 0x100 + 16 * 74
    assert image[pci : pci + 8] == b"PCIR" + bytes.fromhex("ad150108")
    assert image[pnp : pnp + 6] == b"$PnP" + bytes([1, 2])
    assert sum(image[pnp : pnp + 32]) & 0xFF == 0
    assert image[28:64] == bytes(36)
    assert image[128:144] == bytes.fromhex("0f01c1c3 66b88003 0f01c1c3 66b88803")


def test_header_and_slots_of_13() -> None:
    image = build(V13)
    assert image[8:16] == b"cVmi" + bytes([3, 13, 0, 0])
    assert image[16:24] == bytes(8)
    assert image[0x80:0x84] == image[0xAA0:0xAA4] == image[0xAE0:0xAE4] == bytes.fromhex("0f01c1c3")
    assert {image[32 * slot : 32 * slot + 2] for slot in range(88, 128)} == {b"\x0f\x0b"}


def test_pnp_names_this_project() -> None:
    image = build(V13)
    pnp = int.from_bytes(image[26:28], "little")
    manufacturer, product = struct.unpack_from("<HH", image, pnp + 14)
    assert image[manufacturer:].startswith(b"pvtrace\0")
    assert image[product:].startswith(b"pvtrace VMI ROM\0")


@BOTH
def test_every_call_has_its_trap_and_can_be_told_by_it(spec: RomSpec) -> None:
    image = build(spec)
    points = entry_points(spec)
    assert {number for _, number in points.values()} == set(calls(spec.generation))
    for offset, (generation, number) in points.items():
        assert image[offset : offset + 4] == bytes.fromhex("0f01c1c3")
        assert identify(image[offset : offset + 8]) == (generation, number)
        assert entry_offset(spec, number) == offset
    assert image.count(bytes.fromhex("0f01c1")) == len(points)


def test_identify_takes_nothing_else() -> None:
    assert identify(bytes.fromhex("0f01c1c366b82303")) == (Generation.V3, 0x23)
    assert identify(bytes.fromhex("0f01c1c366b82304")) is None
    assert identify(bytes.fromhex("0f01c1c366b80303")[:7]) is None
    assert identify(bytes.fromhex("0f01c1c366b8030d")) is None
    assert identify(bytes(8)) is None


@BOTH
def test_entry_points_are_where_guests_look(spec: RomSpec) -> None:
    init = by_name("Init").number(spec.generation)
    assert init is not None
    assert entry_offset(spec, init) == 128
    with pytest.raises(RomError, match="no call number 200"):
        entry_offset(spec, 200)


@BOTH
def test_objdump_reads_the_stubs(spec: RomSpec, tmp_path: Path) -> None:
    path = tmp_path / "rom"
    path.write_bytes(build(spec))
    text = run("objdump", "-D", "-b", "binary", "-m", "i386", "--start-address=128", "--stop-address=0x5a0", path)
    code = dict(re.findall(r"^ +([0-9a-f]+):\t(?:[0-9a-f]{2} )+ *\t(\S+)", text, re.MULTILINE))
    inside = [offset for offset in entry_points(spec) if offset < 0x5A0]
    assert [offset for offset in inside if code.get(f"{offset:x}") != "vmcall"] == []
    assert [offset for offset in inside if code.get(f"{offset + 3:x}") != "ret"] == []
    assert list(code.values()).count("vmcall") == len(inside)


@BOTH
def test_rom_entry_is_a_far_return_in_real_mode(spec: RomSpec, tmp_path: Path) -> None:
    path = tmp_path / "rom"
    path.write_bytes(build(spec))
    text = run("objdump", "-D", "-b", "binary", "-m", "i8086", "--start-address=3", "--stop-address=7", path)
    assert re.findall(r"\t[0-9a-f]{2} *\t([a-z]+)", text) == ["lret", "nop", "nop", "nop"]


@BOTH
def test_readelf_lists_every_entry_point(spec: RomSpec, symbol_file: Path) -> None:
    text = run("readelf", "-Ws", symbol_file)
    row = re.compile(r"^ +\d+: ([0-9a-f]{8}) +(\d+) FUNC +GLOBAL DEFAULT +1 (VMI_\w+)$", re.MULTILINE)
    listed = {name: (int(value, 16), int(size)) for value, size, name in row.findall(text)}
    table = calls(spec.generation)
    wanted = {f"VMI_{table[number].name}": (offset, 4) for offset, (_, number) in entry_points(spec).items()}
    assert listed == wanted
    assert {(s.name, s.offset, s.size) for s in symbols(spec)} == {(n, o, z) for n, (o, z) in wanted.items()}


@BOTH
def test_readelf_finds_nothing_odd(symbol_file: Path) -> None:
    text = run("readelf", "--all", "--wide", "--lint", symbol_file)
    assert "Intel 80386" in text
    assert "arning" not in text


@BOTH
def test_gdb_names_the_entry_points(spec: RomSpec, symbol_file: Path) -> None:
    base = 0xC00C8000
    number = by_name("EnableInterrupts").number(spec.generation)
    assert number is not None
    address = base + entry_offset(spec, number)
    commands = [f"add-symbol-file {symbol_file} -o {base:#x}", "info address VMI_EnableInterrupts"]
    commands += [f"info symbol {address + 3:#x}"]
    text = run("gdb", "-nx", "-batch", *(word for command in commands for word in ("-ex", command)))
    assert f'Symbol "VMI_EnableInterrupts" is at {address:#x}' in text
    assert "VMI_EnableInterrupts + 3 in section .text" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"virtual_top": 0xFC000001}, "virtual_top must be"),
        ({"virtual_top": 1 << 32}, "virtual_top must be"),
        ({"virtual_top": -4096}, "virtual_top must be"),
        ({"license": "GPL\0"}, "license must be"),
        ({"product": "ü"}, "product must be"),
        ({"manufacturer": "x" * 256}, "manufacturer must be"),
        ({"chunks": 0}, "romLength must be"),
        ({"chunks": 128}, "romLength must be"),
    ],
)
def test_a_specification_that_no_rom_can_have(changes: dict[str, int | str], sentence: str) -> None:
    with pytest.raises(RomError, match=sentence):
        replace(V3, **changes)  # type: ignore[arg-type]


def test_13_has_no_field_for_license_and_virtual_top() -> None:
    for changes in ({"license": "GPL"}, {"virtual_top": 0xFC000000}):
        with pytest.raises(RomError, match=r"13\.x has no field"):
            replace(V13, **changes)


@BOTH
def test_a_rom_that_is_too_short_names_the_length_it_needs(spec: RomSpec) -> None:
    with pytest.raises(RomError, match="needs a romLength of") as caught:
        build(replace(spec, chunks=2))
    needed = re.search(r"of (\d+) chunks", str(caught.value))
    assert needed is not None
    assert len(build(replace(spec, chunks=int(needed[1])))) == int(needed[1]) * 512
    with pytest.raises(RomError):
        build(replace(spec, chunks=int(needed[1]) - 1))
