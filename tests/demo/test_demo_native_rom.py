"""Guests with the transparent ROM on a real (emulated) CPU: they find it, call it, and run as they do natively."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pvtrace.demo.guests import FAULTS, HELLO, USERLAND, Guest, says
from rom.abi import Generation, by_name
from rom.build import build, standard
from rom.layout import entry_offset

END = bytes.fromhex("31c0e6f4")  # XOR EAX, EAX; OUT 0xF4, AL: to end QEMU instead of halting in it


def native_rom(generation: Generation, folder: Path) -> Path:
    image = bytearray(build(replace(standard(generation), native=True, virtual_top=0)))
    shutdown = entry_offset(generation, by_name("Shutdown").number(generation) or 0)
    image[shutdown : shutdown + len(END)] = END
    image[-1] = -sum(image[:-1]) & 0xFF
    path = folder / "native.rom"
    path.write_bytes(image)
    return path


@pytest.mark.parametrize("generation", list(Generation))
@pytest.mark.parametrize("guest", [HELLO, FAULTS, USERLAND], ids=lambda guest: guest.name)
def test_runs_through_its_calls(
    qemu: Callable[..., tuple[int, bytes]], tmp_path: Path, guest: Guest, generation: Generation
) -> None:
    code, console = qemu(guest.path, options=["-option-rom", str(native_rom(generation, tmp_path))])
    assert code == 0, console
    paravirtual = guest.native_console.replace(": native", ": paravirtual").replace(
        "a breakpoint", "RDMSR of a register that does not exist\na breakpoint"
    )
    if guest is HELLO:
        assert b"VMI_Init returned 0" in console
    else:
        assert says(paravirtual, console), console
