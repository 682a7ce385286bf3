"""The file that gdb is given: the guest's own, with the names of the ROMs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.gdb.symbol_file import with_roms
from pvtrace.session.build import roms_of
from pvtrace.x86 import elf
from rom.elf import decode
from tests.gdb.conftest import Served
from tests.machine.small import demo

Serve = Callable[[str], Served]

GUEST = demo("userland")
ROMS = roms_of("both")

KERNEL = """
void _start(void)
{
    for (;;)
        ;
}
"""

HIGH_HALF = """
ENTRY(_start)
SECTIONS
{
    . = 0xC0100000;
    .text : AT(0x100000) { *(.text*) }
    /DISCARD/ : { *(*) }
}
"""


def named(data: bytes) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for symbol in elf.symbols_of(data).symbols:
        found.setdefault(symbol.name, set()).add(symbol.address)
    return found


def test_nothing_of_the_guest_is_lost() -> None:
    made = with_roms(GUEST, ROMS)
    assert set(elf.symbols_of(GUEST).symbols) <= set(elf.symbols_of(made).symbols)
    assert elf.parse(made, "made").segments == elf.parse(GUEST, "guest").segments


def test_each_entry_point_has_its_name() -> None:
    names = named(with_roms(GUEST, ROMS))
    for address, rom in ROMS:
        for symbol in decode(rom):
            assert address + symbol.offset in names[symbol.name]


def test_a_kernel_in_the_high_half_sees_a_rom_there_as_well(
    tmp_path: Path, require_tool: Callable[[str], Path]
) -> None:
    source, script, guest = tmp_path / "kernel.c", tmp_path / "kernel.ld", tmp_path / "kernel.elf"
    source.write_text(KERNEL)
    script.write_text(HIGH_HALF)
    flags = ("-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-Wl,--build-id=none", f"-Wl,-T,{script}")
    subprocess.run([str(require_tool("gcc")), *flags, "-o", str(guest), str(source)], check=True)
    (address, rom), *_ = ROMS
    first = decode(rom)[0]
    at = address + first.offset
    assert {at, at + 0xC0000000} <= named(with_roms(guest.read_bytes(), ROMS))[first.name]


@pytest.mark.parametrize("strip", [False, True])
def test_binutils_find_no_fault_in_it(tmp_path: Path, require_tool: Callable[[str], Path], strip: bool) -> None:
    guest, made = tmp_path / "guest.elf", tmp_path / "made.elf"
    guest.write_bytes(GUEST)
    if strip:
        subprocess.run([str(require_tool("strip")), str(guest)], check=True)
    made.write_bytes(with_roms(guest.read_bytes(), ROMS))
    done = subprocess.run([str(require_tool("readelf")), "-aW", str(made)], capture_output=True, text=True, check=True)
    assert not done.stderr
    assert "VMI_IRET" in done.stdout


def test_a_file_without_sections_stays_as_it_is() -> None:
    assert with_roms(b"no ELF file", ROMS) == b"no ELF file"
    assert with_roms(GUEST[:-1], ROMS) == GUEST[:-1]


@given(st.integers(0, 51) | st.integers(len(GUEST) - 19 * 40, len(GUEST) - 1), st.integers(0, 255))
def test_a_hostile_file_never_raises(at: int, byte: int) -> None:
    """One byte of the header, or of the section headers at the end, is another one."""
    assert len(with_roms(GUEST[:at] + bytes([byte]) + GUEST[at + 1 :], ROMS)) >= len(GUEST)


FLUSH = "maintenance flush register-cache"


def test_a_backtrace_from_a_stub_names_who_called_it(serve: Serve) -> None:
    said = serve("userland").script("monitor goto end", FLUSH, "backtrace 4")
    assert "in VMI_Shutdown ()" in said
    assert "in guest_exit (" in said.partition("VMI_Shutdown")[2]


def test_a_breakpoint_at_a_vmi_call_by_its_name(serve: Serve) -> None:
    said = serve("userland").script("break VMI_SetIDT", "continue", "backtrace 2")
    assert "in VMI_SetIDT ()" in said
    assert "#1  " in said.partition("VMI_SetIDT ()")[2]
