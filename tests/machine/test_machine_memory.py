"""What a guest meets beyond its memory: ROMs, holes, ports that nobody answers."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.stops import Why
from pvtrace.session.build import roms_of
from tests.machine.small import run

BOTH = pytest.mark.parametrize("paravirtual", [False, True])
ROM = 0xC8000


@BOTH
def test_an_unknown_port_reads_ones_and_is_logged_once(paravirtual: bool) -> None:
    source = """
    start:
        INIT
        mov edi, 5
    .again:
        mov dx, 0x1234
        xor eax, eax
        in al, dx
        mov ebx, eax
        in ax, dx
        mov ecx, eax
        in eax, dx
        mov esi, eax
        out dx, al
        mov dx, 0x1236
        out dx, al
        dec edi
        jnz .again
        EXIT 0
    """
    ran = run(source, paravirtual=paravirtual)
    assert (ran.gpr(Gpr.EBX), ran.gpr(Gpr.ECX), ran.gpr(Gpr.ESI)) == (0xFF, 0xFFFF, 0xFFFFFFFF)
    seen = [(row["port"], row["width"], row["write"]) for row in ran.of(Kind.UNKNOWN_PORT)]
    assert seen == [(0x1234, 1, 0), (0x1236, 1, 1)]
    assert len([row for row in ran.of(Kind.PORT_READ) if row["port"] == 0x1234]) == 15


@pytest.mark.parametrize("store", ["mov byte [ebx], 0x90", "mov dword [ebx + 6], 0x90909090", "inc dword [ebx]"])
def test_stores_to_a_rom_are_dropped(store: str) -> None:
    ran = run(f"start:\n INIT\n mov ebx, ROM + 0x80\n {store}\n {store}\n call V_INIT\n mov edx, eax\n EXIT 0")
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EDX) & 0xFFFFFF00 == 0
    ((address, image),) = roms_of("13.3")
    assert ran.machine.cpu.read_physical(address, len(image)) == image


def test_strings_and_pushes_into_a_rom_are_dropped() -> None:
    source = """
    start:
        INIT
        mov edi, ROM
        mov ecx, 512
        mov eax, 0x90909090
        cld
        rep stosd
        mov esp, ROM + 0x400
        push eax
        pop ebx
        mov esp, 0x7000
        EXIT 0
    """
    ran = run(source)
    assert ran.stop.code == 0
    ((address, image),) = roms_of("13.3")
    assert ran.machine.cpu.read_physical(address, len(image)) == image
    assert ran.gpr(Gpr.EBX) == int.from_bytes(image[0x3FC:0x400], "little")


@BOTH
@pytest.mark.parametrize("address", [0x400000, 0x8000000, 0xC0000000, 0xD0000000, 0xFBFFF000])
def test_a_hole_reads_ones(address: int, paravirtual: bool) -> None:
    source = f"""
    start:
        INIT
        mov esi, {address}
        mov dword [esi], 0x12345678
        mov eax, [esi]
        mov ebx, eax
        movzx ecx, byte [esi + 5]
        add dword [esi + 8], 1
        mov edi, [esi + 8]
        EXIT 0
    """
    ran = run(source, paravirtual=paravirtual)
    assert ran.stop.code == 0, ran.stop
    assert (ran.gpr(Gpr.EBX), ran.gpr(Gpr.ECX), ran.gpr(Gpr.EDI)) == (0xFFFFFFFF, 0xFF, 0xFFFFFFFF)


def test_the_last_page_of_memory_and_the_first_without() -> None:
    """An access that crosses the border keeps its half."""
    source = """
    start:
        INIT
        mov dword [0x3FFFFE], 0x12345678
        mov ebx, [0x3FFFFE]
        EXIT 0
    """
    ran = run(source)
    assert ran.stop.code == 0
    assert ran.gpr(Gpr.EBX) == 0xFFFF5678


def test_the_hypervisors_part_of_the_address_space_faults() -> None:
    """#GP, natively nothing of the kind."""
    source = """
    start:
        LOAD_IDT
        GATE 13, on_protection
        INIT
        mov eax, [0xFC000000]
        mov bl, 2
        EXIT 2
    on_protection:
        mov bl, 1
        EXIT 0
    """
    assert run(source).gpr(Gpr.EBX) & 0xFF == 1
    assert run(source, paravirtual=False).gpr(Gpr.EBX) & 0xFF == 2


@BOTH
def test_the_end_of_memory_is_no_place_for_code(paravirtual: bool) -> None:
    ran = run("start:\n INIT\n mov eax, 0x10000000\n jmp eax", paravirtual=paravirtual)
    assert ran.stop.why is Why.TRIPLE_FAULT
