import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.errors import InputError
from pvtrace.x86 import multiboot
from pvtrace.x86.elf import ElfSegment
from pvtrace.x86.multiboot import RESERVED, USABLE, MemoryRange, Module

MEMORY = (
    MemoryRange(0, 0x9FC00, USABLE),
    MemoryRange(0x9FC00, 1 << 20, RESERVED),
    MemoryRange(1 << 20, 1 << 26, USABLE),
)


def header(flags: int, *addresses: int) -> bytes:
    return struct.pack("<3I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF) + struct.pack(
        f"<{len(addresses)}I", *addresses
    )


def test_a_header_anywhere_in_the_first_8192_bytes() -> None:
    for at in (0, 4, 8192 - 12):
        found = multiboot.find_header(bytes(at) + header(3), "k")
        assert found == multiboot.Header(at, 3, None)
    for at in (2, 8192 - 8, 8192):
        assert multiboot.find_header(bytes(at) + header(3), "k") is None


def test_what_is_not_a_header() -> None:
    broken = bytearray(header(3))
    broken[8] ^= 1
    assert multiboot.find_header(bytes(broken), "k") is None
    assert multiboot.find_header(bytes(broken) + header(0), "k") == multiboot.Header(12, 0, None)
    assert multiboot.find_header(b"", "k") is None


def test_features_that_nobody_knows() -> None:
    with pytest.raises(InputError, match=r"k: its Multiboot header requires features 0x0108"):
        multiboot.find_header(header(0x10B), "k")
    assert multiboot.find_header(header(0x80000007), "k") is not None


def kernel(*addresses: int, size: int = 100, at: int = 8) -> multiboot.Kernel | None:
    data = (bytes(at) + header(1 << 16, *addresses)).ljust(size, b"\xcc")
    found = multiboot.find_header(data, "k")
    assert found is not None
    return multiboot.kernel_at_addresses(data, "k", found)


def test_a_kernel_loaded_by_addresses() -> None:
    loaded = kernel(0x100004, 0x100000, 0x100040, 0x102000, 0x100020)
    assert loaded is not None
    assert loaded.entry == 0x100020
    assert loaded.segment.paddr == loaded.segment.vaddr == 0x100000
    assert len(loaded.segment.data) == 0x40
    assert loaded.segment.data[4:8] == header(1 << 16)[:4]
    assert loaded.segment.memsz == 0x2000


def test_zero_means_the_whole_file_and_no_bss() -> None:
    loaded = kernel(0x100008, 0x100000, 0, 0, 0x100000)
    assert loaded is not None
    assert loaded.segment == ElfSegment(0x100000, 0x100000, loaded.segment.data, 100, 7)
    assert len(loaded.segment.data) == 100


def test_a_kernel_without_addresses() -> None:
    assert multiboot.kernel_at_addresses(header(3), "k", multiboot.Header(0, 3, None)) is None


@pytest.mark.parametrize(
    ("addresses", "message"),
    [
        ((0x100000, 0x100008, 0, 0, 0x100008), "cannot be at address 0x100000 when loading begins at 0x100008"),
        ((0x100010, 0x100000, 0, 0, 0x100000), "cannot be at address 0x100010 when loading begins at 0x100000"),
        ((0x100008, 0x100000, 0x100065, 0, 0x100000), "loads 0x100000-0x100065, which the file does not contain"),
        ((0x100008, 0x100000, 0x0FFFFF, 0, 0x100000), "loads 0x100000-0xfffff, which the file does not contain"),
        ((0x100008, 0x100000, 0x100040, 0x100030, 0x100000), "bss ends at 0x100030, before the loaded part"),
        ((0x100008, 0x100000, 0x100040, 0x100080, 0x100080), "entry 0x100080 is outside 0x100000-0x100080"),
    ],
)
def test_addresses_that_contradict_each_other(addresses: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kernel(*addresses)


def test_addresses_that_are_cut_off() -> None:
    with pytest.raises(InputError, match="the addresses in its Multiboot header are cut off"):
        multiboot.find_header(header(1 << 16, 1, 2, 3, 4), "k")


@given(st.binary(max_size=64), st.lists(st.integers(0, 0xFFFFFFFF), min_size=5, max_size=5))
def test_any_addresses_raise_nothing_but_input_errors(tail: bytes, addresses: list[int]) -> None:
    data = header(1 << 16, *addresses) + tail
    found = multiboot.find_header(data, "k")
    assert found is not None
    try:
        loaded = multiboot.kernel_at_addresses(data, "k", found)
    except InputError:
        return
    assert loaded is not None
    assert len(loaded.segment.data) <= loaded.segment.memsz


@given(
    address=st.integers(0, 1 << 30),
    command_line=st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    names=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20), max_size=4),
)
def test_the_information_reads_back(address: int, command_line: str, names: list[str]) -> None:
    """Read as a kernel reads it: by the offsets of the specification, following the pointers."""
    modules = [Module(0x200000 + 0x1000 * n, 100 + n, name) for n, name in enumerate(names)]
    data = multiboot.information(
        address, command_line=command_line, modules=modules, memory=MEMORY, loader="pvtrace 1.0"
    )
    assert len(data) == len(
        multiboot.information(0, command_line=command_line, modules=modules, memory=MEMORY, loader="pvtrace 1.0")
    )

    def word(at: int) -> int:
        return int(struct.unpack_from("<I", data, at - address)[0])

    def string(at: int) -> str:
        return data[at - address : data.index(b"\0", at - address)].decode()

    assert word(address) == 0b1001001101
    assert (word(address + 4), word(address + 8)) == (639, 63 * 1024)
    assert string(word(address + 16)) == command_line
    assert string(word(address + 64)) == "pvtrace 1.0"
    assert word(address + 20) == len(modules)
    for number, module in enumerate(modules):
        at = word(address + 24) + 16 * number
        assert (word(at), word(at + 4) - word(at)) == (module.start, module.size)
        assert string(word(at + 8)) == module.string
    at, end, ranges = word(address + 48), word(address + 48) + word(address + 44), []
    while at < end:
        low, high, low_size, high_size, kind = (word(at + 4 + 4 * n) for n in range(5))
        assert high == high_size == 0
        ranges.append(MemoryRange(low, low + low_size, kind))
        at += 4 + word(at)
    assert tuple(ranges) == MEMORY
