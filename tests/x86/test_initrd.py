"""Where an initrd ends, and whether that is its end."""

import bz2
import gzip
import lzma
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.x86.initrd import cut_off
from tests.acceptance.initramfs import archive

ARCHIVE = archive(bytes(range(256)) * 8)
PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("parts", [["plain"], ["gzip"], ["plain", "xz"], ["gzip", "plain", "bzip2"]])
def test_whole_ones(parts: list[str]) -> None:
    """Also behind one another, with zeros between, as microcode stands before the rest."""
    data = b"".join(PACKED.get(part, bytes)(ARCHIVE) + bytes(100) for part in parts)
    assert not cut_off(data)


@given(st.sampled_from(["plain", *PACKED]), st.floats(0.2, 0.95))
def test_cut_off(part: str, share: float) -> None:
    data = PACKED.get(part, bytes)(ARCHIVE)
    assert cut_off(data[: int(len(data) * share)])
    assert cut_off(ARCHIVE + data[: int(len(data) * share)])


@given(st.binary(max_size=300))
def test_what_is_in_no_known_format_may_be_complete(data: bytes) -> None:
    assert not cut_off(b"\x28\xb5\x2f\xfd" + data)  # zstd


@given(st.sampled_from([b"070701", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0"]), st.binary(max_size=300))
def test_whatever_a_part_holds_there_is_an_answer(magic: bytes, data: bytes) -> None:
    cut_off(magic + data)
