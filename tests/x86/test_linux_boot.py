import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.errors import InputError
from pvtrace.x86 import linux_boot
from pvtrace.x86.multiboot import RESERVED, USABLE, MemoryRange
from tests.machine.kernels import bzimage

MEMORY = (
    MemoryRange(0, 0x9FC00, USABLE),
    MemoryRange(0x9FC00, 1 << 20, RESERVED),
    MemoryRange(1 << 20, 1 << 26, USABLE),
)


def test_a_setup_header() -> None:
    data = bzimage(b"\xf4" * 100, release="2.6.32-test (me@here)")
    assert linux_boot.is_bzimage(data)
    setup = linux_boot.setup_of(data, "k")
    assert data[setup.payload :] == b"\xf4" * 100
    assert (setup.version, setup.load, setup.preferred) == (0x020A, 0x100000, 0x1000000)
    assert (setup.working_size, setup.relocatable, setup.command_line_max) == (0x200000, True, 2047)
    assert setup.release == "2.6.32-test"
    assert linux_boot.words(setup.version) == "2.10"


def test_fields_that_an_old_header_does_not_have() -> None:
    setup = linux_boot.setup_of(bzimage(b"\xf4", version=0x0202), "k")
    assert (setup.initrd_max, setup.command_line_max) == (0x37FFFFFF, 255)
    assert (setup.relocatable, setup.preferred, setup.working_size) == (False, 0x100000, 0)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (bzimage(b"\xf4", version=0x0201), r"k has Linux boot protocol 2\.01; it must be 2\.02 or later"),
        (bzimage(b"\xf4", flags=0), "zImage"),
        (bzimage(b"\xf4", version=0x020C, features=1), "64-bit Linux kernel"),
        (bzimage(b"\xf4" * 100, paragraphs=100), "truncated: 1,600 bytes must follow"),
        (bzimage(b"\xf4")[:1024], "truncated: it ends in its setup code"),
    ],
)
def test_kernels_that_cannot_be_started(data: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        linux_boot.setup_of(data, "k")


def test_what_is_no_bzimage() -> None:
    assert not linux_boot.is_bzimage(b"")
    assert not linux_boot.is_bzimage(bytes(4096))
    assert linux_boot.banner(b"Linux version 2.6.32 (me)") is None
    assert linux_boot.banner(b"\x7fELF...Linux version 2.6.32-5 (me)") == "2.6.32-5"
    assert linux_boot.banner(b"\x7fELF...Linux version %s") is None


def test_the_zero_page() -> None:
    header = linux_boot.setup_of(bzimage(b"\xf4"), "k").raw
    page = linux_boot.zero_page(header, load=0x100000, command_line_at=0x9000, initrd=(0x3000000, 5000), memory=MEMORY)
    assert len(page) == 4096
    assert page[0x202:0x206] == b"HdrS"
    assert page[0x210] == 0xFF
    assert struct.unpack_from("<III", page, 0x214) == (0x100000, 0x3000000, 5000)
    assert struct.unpack_from("<I", page, 0x228) == (0x9000,)
    assert (page[0x06], page[0x07], page[0x0E], page[0x0F]) == (3, 80, 25, 1)
    assert struct.unpack_from("<I", page, 0x1E0) == (63 * 1024,)
    assert page[0x1E8] == 3
    ranges = [struct.unpack_from("<QQI", page, 0x2D0 + 20 * n) for n in range(3)]
    assert [MemoryRange(start, start + size, kind) for start, size, kind in ranges] == list(MEMORY)


def test_a_header_for_a_kernel_without_one() -> None:
    page = linux_boot.zero_page(
        linux_boot.synthetic_header(), load=0x100000, command_line_at=0x9000, initrd=(0, 0), memory=MEMORY
    )
    assert page[0x1FE:0x200] == b"\x55\xaa"
    assert page[0x202:0x206] == b"HdrS"
    assert page[0x211] & 1


@given(st.binary(max_size=400))
def test_any_setup_code_raises_nothing_but_input_errors(tail: bytes) -> None:
    data = bytearray(bzimage(b"\xf4"))
    data[0x1F1 : 0x1F1 + len(tail)] = tail
    data[0x1FE:0x206] = b"\x55\xaa\0\0HdrS"
    with contextlib.suppress(InputError):
        linux_boot.setup_of(bytes(data), "k")
