import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.errors import InputError
from pvtrace.x86 import multiboot2
from pvtrace.x86.elf_sections import Sections
from pvtrace.x86.multiboot import RESERVED, USABLE, MemoryRange, Module
from pvtrace.x86.multiboot2 import Header, Wish

MEMORY = (
    MemoryRange(0, 0x9FC00, USABLE),
    MemoryRange(0x9FC00, 1 << 20, RESERVED),
    MemoryRange(1 << 20, 1 << 26, USABLE),
)


def tag(kind: int, *words: int, optional: bool = False) -> bytes:
    body = struct.pack(f"<{len(words)}I", *words)
    size = 8 + len(body)
    return struct.pack("<HHI", kind, optional, size) + body + bytes(-size % 8)


def header(*tags: bytes, architecture: int = 0) -> bytes:
    body = b"".join([*tags, tag(0)])
    length = 16 + len(body)
    return (
        struct.pack("<4I", 0xE85250D6, architecture, length, -(0xE85250D6 + architecture + length) & 0xFFFFFFFF) + body
    )


def test_a_header_anywhere_in_the_first_32_kib() -> None:
    for at in (0, 8, 32768 - len(header())):
        assert multiboot2.find_header(bytes(at) + header(), "k") == Header(at)
    for at in (4, 32768):
        assert multiboot2.find_header(bytes(at) + header(), "k") is None
    broken = bytearray(header())
    broken[12] ^= 1
    assert multiboot2.find_header(bytes(broken), "k") is None


def test_addresses_and_entry() -> None:
    data = bytes(8) + header(tag(2, 0x100008, 0x100000, 0, 0x102000), tag(3, 0x100040)) + b"\xf4" * 64
    found = multiboot2.find_header(data, "k")
    assert found is not None
    kernel = multiboot2.kernel_at_addresses(data, "k", found)
    assert kernel is not None
    assert (kernel.entry, kernel.segment.paddr, kernel.segment.memsz) == (0x100040, 0x100000, 0x2000)
    assert kernel.segment.data == data
    from_start = bytes(8) + header(tag(2, 0x100008, 0xFFFFFFFF, 0, 0), tag(3, 0x100040)) + b"\xf4" * 64
    found = multiboot2.find_header(from_start, "k")
    assert found is not None
    kernel = multiboot2.kernel_at_addresses(from_start, "k", found)
    assert kernel is not None
    assert kernel.segment.paddr == 0x100000


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (header(architecture=4), "for another architecture"),
        (header(tag(1, 1, 7)), "requires information 7, which is not there"),
        (header(tag(4, 1)), "requires a graphics console"),
        (header(tag(Wish.EFI_BOOT_SERVICES)), "requires feature 7"),
        (header(tag(77)), "requires feature 77"),
        (header()[:20], "cut off"),
        (header(struct.pack("<HHI", 2, 0, 4096)), "do not end in it"),
        (header(tag(3)), "too short"),
    ],
)
def test_what_cannot_be_had(data: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        multiboot2.find_header(data, "k")


def test_what_may_be_ignored() -> None:
    wishes = [
        tag(1, 1, 2, 3, 4, 5, 6, 8, 9),
        tag(1, 7, 10, optional=True),
        tag(4, 3),
        tag(5, 640, 480, 32),
        tag(6),
        tag(7, optional=True),
        tag(9, 0x1000),
        tag(77, optional=True),
    ]
    assert multiboot2.find_header(header(*wishes), "k") == Header(0)


def test_addresses_need_an_entry() -> None:
    found = multiboot2.find_header(header(tag(2, 0x100000, 0x100000, 0, 0)), "k")
    assert found is not None
    with pytest.raises(InputError, match="addresses but no entry"):
        multiboot2.kernel_at_addresses(b"", "k", found)


@given(st.binary(max_size=200))
def test_any_tags_raise_nothing_but_input_errors(body: bytes) -> None:
    length = 16 + len(body)
    data = struct.pack("<4I", 0xE85250D6, 0, length, -(0xE85250D6 + length) & 0xFFFFFFFF) + body
    try:
        found = multiboot2.find_header(data, "k")
        assert found is not None
        multiboot2.kernel_at_addresses(data, "k", found)
    except InputError:
        pass


def tags(data: bytes) -> Iterator[tuple[int, bytes]]:
    """As a kernel reads the information."""
    total, reserved = struct.unpack_from("<II", data)
    assert (total, reserved) == (len(data), 0)
    at = 8
    while at < total:
        kind, size = struct.unpack_from("<II", data, at)
        yield kind, data[at + 8 : at + size]
        at += -(-size // 8) * 8


NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)


@given(command_line=NAMES, names=st.lists(NAMES, max_size=4))
def test_the_information_reads_back(command_line: str, names: list[str]) -> None:
    modules = [Module(0x200000 + 0x1000 * n, 100 + n, name) for n, name in enumerate(names)]
    sections = Sections(0x300000, 2, 1, bytes(range(80)) + b"contents")
    data = multiboot2.information(
        command_line=command_line, modules=modules, memory=MEMORY, loader="pvtrace", sections=sections
    )
    found = list(tags(data))
    assert found[-1] == (0, b"")
    assert [body for kind, body in found if kind == 1] == [command_line.encode() + b"\0"]
    assert [body for kind, body in found if kind == 2] == [b"pvtrace\0"]
    assert [body for kind, body in found if kind == 3] == [
        struct.pack("<II", m.start, m.start + m.size) + m.string.encode() + b"\0" for m in modules
    ]
    by_kind = dict(found)
    assert by_kind[4] == struct.pack("<II", 639, 63 * 1024)
    assert 5 not in by_kind
    assert struct.unpack_from("<II", by_kind[6]) == (24, 0)
    ranges = [
        MemoryRange(start, start + size, kind) for start, size, kind, _ in struct.iter_unpack("<QQII", by_kind[6][8:])
    ]
    assert tuple(ranges) == MEMORY
    assert struct.unpack_from("<QIIIBB", by_kind[8]) == (0xB8000, 160, 80, 25, 16, 2)
    assert by_kind[9] == struct.pack("<III", 2, 40, 1) + bytes(range(80))
