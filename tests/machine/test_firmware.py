"""The tables that a BIOS leaves, read as a kernel reads them."""

import struct
from itertools import pairwise

import pytest

from pvtrace.machine import firmware
from pvtrace.machine.boot import File, boot_image
from pvtrace.x86.cpuid import cpuid
from tests.machine.small import RAM, assemble


def memory(disks: int = 0) -> bytes:
    """The first MiB of a machine at boot."""
    image = boot_image(File("guest.elf", assemble("start:", paravirtual=False)), ram_size=RAM, disks=disks)
    made = bytearray(1 << 20)
    for at, data in image.memory:
        if at < 1 << 20:
            made[at : at + len(data)] = data
    return bytes(made)


def scan(low: bytes, signature: bytes) -> int:
    """As kernels look for one: every 16 bytes of the BIOS area."""
    (found,) = [at for at in range(0xF0000, 0x100000, 16) if low[at : at + len(signature)] == signature]
    return found


def summed(data: bytes) -> int:
    return sum(data) & 0xFF


def test_mp_tables() -> None:
    low = memory()
    pointer = scan(low, b"_MP_")
    assert summed(low[pointer : pointer + 16]) == 0
    (table,) = struct.unpack_from("<I", low, pointer + 4)
    length, revision = struct.unpack_from("<HB", low, table + 4)
    assert (low[table : table + 4], revision, summed(low[table : table + length])) == (b"PCMP", 4, 0)
    (count, apic) = struct.unpack_from("<HI", low, table + 34)
    assert apic == 0xFEE00000
    at, entries = table + 44, []
    while at < table + length:
        size = 20 if low[at] == 0 else 8
        entries.append(low[at : at + size])
        at += size
    assert len(entries) == count
    (processor,) = [entry for entry in entries if entry[0] == 0]
    assert (processor[1], processor[3]) == (0, 3)
    assert struct.unpack_from("<II", processor, 4) == (cpuid(1)[0], cpuid(1)[3])
    (io_apic,) = [entry for entry in entries if entry[0] == 2]
    assert struct.unpack("<BBBBI", io_apic) == (2, 1, 0x11, 1, 0xFEC00000)
    lines = {entry[5]: entry[7] for entry in entries if entry[0] == 3}
    assert lines == {0: 2, 1: 1, **{irq: irq for irq in range(3, 16)}}
    assert [(entry[1], entry[7]) for entry in entries if entry[0] == 4] == [(3, 0), (1, 1)]


def test_acpi_tables() -> None:
    low = memory()
    root = scan(low, b"RSD PTR ")
    assert summed(low[root : root + 20]) == 0
    tables = {}

    def table(at: int) -> bytes:
        (length,) = struct.unpack_from("<I", low, at + 4)
        found = low[at : at + length]
        assert summed(found) == 0
        tables[found[:4]] = found
        return found

    (rsdt,) = struct.unpack_from("<I", low, root + 16)
    for (at,) in struct.iter_unpack("<I", table(rsdt)[36:]):
        table(at)
    fadt, madt = tables[b"FACP"], tables[b"APIC"]
    facs, dsdt = struct.unpack_from("<II", fadt, 36)
    assert low[facs : facs + 4] == b"FACS"
    assert facs % 64 == 0
    assert b"\x08_S5_\x12\x06\x04\0\0\0\0" in table(dsdt)
    assert struct.unpack_from("<III", fadt, 56) == (0x600, 0, 0x604)
    assert (len(fadt), fadt[88:93]) == (116, bytes([4, 2, 0, 4, 0]))
    assert struct.unpack_from("<I", fadt, 76) == (0x608,)
    assert struct.unpack_from("<I", madt, 36) == (0xFEE00000,)
    at, kinds = 44, []
    while at < len(madt):
        kinds.append(madt[at])
        at += madt[at + 1]
    assert (at, kinds) == (len(madt), [0, 1, 2, 2, 4])


def test_the_screen_is_empty() -> None:
    low = memory()
    assert low[0xB8000:0xB8FA0] == b" \x07" * 2000
    assert (low[0x449], low[0x44A], low[0x484]) == (3, 80, 24)
    assert struct.unpack_from("<H", low, 0x463) == (0x3D4,)


@pytest.mark.parametrize("disks", [0, 1])
def test_the_number_of_hard_disks(disks: int) -> None:
    assert memory(disks)[0x475] == disks


def test_no_two_pieces_overlap() -> None:
    places = sorted((at, at + len(data)) for at, data in firmware.PIECES.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
