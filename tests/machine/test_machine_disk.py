"""Guests that use the disk: sectors by interrupts, checkpoints in the midst of it, and QEMU's disk beside ours."""

import shutil
import struct
from pathlib import Path
from typing import Final

import pytest

from pvtrace.machine.devices.disk_image import FIRST_FRAME, SECTOR
from pvtrace.machine.machine import Machine
from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.step import Step
from pvtrace.model.stops import Why
from pvtrace.tape.scripted import ScriptedTape
from tests.machine.disk_guests import COPIES, MACROS
from tests.machine.oracle import PROLOGUE, in_qemu, said
from tests.machine.small import LIMIT, Ran, Walk, assemble, machine

DISK: Final = b"".join(struct.pack("<I", sector) * (SECTOR // 4) for sector in range(2048))


def with_disk(guest: str, paravirtual: bool, content: bytes = DISK) -> tuple[Machine, ScriptedTape]:
    tape = ScriptedTape()
    built = machine(assemble(guest, paravirtual), tape, "13.3" if paravirtual else "none")
    built.platform.attach_disk(content)
    return built, tape


def disk_of(built: Machine) -> bytes:
    assert built.platform.disk is not None
    return b"".join(built.platform.disk.read(sector) for sector in range(built.platform.disk.sectors))


COPIED: Final = DISK[: 9 * SECTOR] + DISK[SECTOR : 2 * SECTOR] + DISK[10 * SECTOR :]


@pytest.mark.parametrize("paravirtual", [False, True])
def test_copies_a_sector(paravirtual: bool) -> None:
    built, tape = with_disk(COPIES, paravirtual)
    ran = Ran(built, built.run(LIMIT), tape.events)
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    assert ran.gpr(Gpr.EBX) == 2
    assert [row["irq"] for row in ran.of(Kind.INTERRUPT)] == [14, 14]
    assert disk_of(built) == COPIED
    assert not ran.of(Kind.UNKNOWN_PORT)


def test_without_a_disk_nobody_answers() -> None:
    tape = ScriptedTape()
    built = machine(assemble("start: mov dx, 0x1F7\nin al, dx\nmov bl, al\nEXIT 0\n", False), tape, "none")
    ran = Ran(built, built.run(LIMIT), tape.events)
    assert ran.gpr(Gpr.EBX) == 0xFF
    assert len(ran.of(Kind.UNKNOWN_PORT)) == 1


def test_the_disk_is_in_the_snapshots() -> None:
    """From any of them the guest comes to the same end, in the same machine and in another, forwards and backwards."""
    walked, _ = with_disk(COPIES, paravirtual=True)
    walk = Walk(walked)
    states = [walk.full()]
    while walked.run(Step(walked.step + 150)).why is Why.ARRIVED:
        states.append(walk.full())
    end = walk.snapshot()
    assert [frame for frame in walk.pages if frame >= FIRST_FRAME] == [FIRST_FRAME + 1]
    assert disk_of(walked) == COPIED
    other, _ = with_disk(COPIES, paravirtual=True)
    for built in (other, walked):
        for state, pages in reversed(states):
            built.restore(state, pages)
            built.run(LIMIT)
            assert built.snapshot().ram_digest == end.ram_digest
            assert built.snapshot().state == end.state
            assert disk_of(built) == COPIED
    first, pages = states[0]
    walked.restore(first, pages)
    assert disk_of(walked) == DISK


WAIT: Final = """
%macro READY 0
%%busy:
    in al, dx
    test al, 0x80
    jnz %%busy
%endmacro
%macro STATUS 0                 ; of the command that was written last
    mov dx, 0x1F7
    READY
    and eax, 0xEF               ; bit 4 is left to each command
    SAY eax
%endmacro
%macro REGISTERS 0              ; error and count
    mov dx, 0x1F1
    xor eax, eax
    in al, dx
    inc dx
    mov ah, al
    in al, dx
    SAY eax
%endmacro
%macro SUM 1                    ; of so many sectors that are read
    mov edi, MEMORY
    SECTORS_IN %1
    mov esi, MEMORY
    mov ecx, 128 * (%1)
    xor ebx, ebx
%%word:
    rol ebx, 1
    lodsd
    add ebx, eax
    loop %%word
    SAY ebx
%endmacro
"""

STEPS: Final = {
    "no second disk": "SET 0x1F6, 0xF0\nSTATUS\nSET 0x1F6, 0xE0\nSTATUS",
    "read": "COMMAND 0x20, 5, 1\nSTATUS\nSUM 1\nSTATUS\nREGISTERS",
    "read three": "COMMAND 0x20, 7, 3\nSTATUS\nSUM 1\nSTATUS\nSUM 1\nSTATUS\nSUM 1\nSTATUS\nREGISTERS",
    "write": "COMMAND 0x30, 20, 1\nSTATUS\nmov esi, 0x100000\nSECTORS_OUT 1\nSTATUS\nCOMMAND 0xE7, 0, 0\nSTATUS",
    "read it back": "COMMAND 0x20, 20, 1\nSTATUS\nSUM 1\nSTATUS",
    "multiple unset": "COMMAND 0xC6, 0, 3\nSTATUS\nREGISTERS",
    "set multiple": "COMMAND 0xC6, 0, 4\nSTATUS",
    "read multiple": "COMMAND 0xC4, 30, 6\nSTATUS\nSUM 4\nSTATUS\nSUM 2\nSTATUS",
    "write multiple": (
        "COMMAND 0xC5, 40, 6\nSTATUS\nmov esi, 0x100000\nSECTORS_OUT 4\nSTATUS\nSECTORS_OUT 2\nSTATUS\n"
        "COMMAND 0x20, 45, 1\nSTATUS\nSUM 1"
    ),
    "by cylinder": "COMMAND 0x20, 0, 1\nSTATUS\nSUM 1\nSET 0x1F2, 1\nSET 0x1F3, 9\nSET 0x1F4, 1\nSET 0x1F5, 0\n"
    "SET 0x1F6, 0xA3\nSET 0x1F7, 0x20\nSTATUS\nSUM 1\nSTATUS",
    "behind the end": "COMMAND 0x20, 2048, 1\nSTATUS",
    "unknown": "COMMAND 0xFF, 0, 0\nSTATUS\nmov dx, 0x1F1\nxor eax, eax\nin al, dx\nSAY eax",
    "features": "SET 0x1F1, 3\nCOMMAND 0xEF, 0, 0x0C\nSTATUS\nSET 0x1F1, 0x82\nCOMMAND 0xEF, 0, 0\nSTATUS",
    "power": "COMMAND 0xE5, 0, 0\nSTATUS\nREGISTERS",
    "identify: geometry": "COMMAND 0xEC, 0, 0\nSTATUS\nmov edi, MEMORY\nSECTORS_IN 1\nSTATUS\n"
    "movzx eax, word [MEMORY + 2]\nSAY eax\nmovzx eax, word [MEMORY + 6]\nSAY eax\n"
    "movzx eax, word [MEMORY + 12]\nSAY eax",
    "size": "SAY [MEMORY + 120]",
    "LBA": "mov eax, [MEMORY + 98]\nand eax, 0x200\nSAY eax",
    "reset": "SET 0x3F6, 0x04\nSET 0x3F6, 0x00\nmov dx, 0x3F6\nREADY\nSAY 0\nREGISTERS",
    "signature": "mov dx, 0x1F4\nxor eax, eax\nin al, dx\nSAY eax\nmov dx, 0x1F5\nxor eax, eax\nin al, dx\nSAY eax",
}


def test_the_disk_answers_as_in_qemu(tmp_path: Path) -> None:
    if shutil.which("qemu-system-i386") is None:
        pytest.skip("qemu-system-i386 is not installed")
    body = "\n".join(f"p{number}:\n{code}" for number, code in enumerate(STEPS.values()))
    source = f"{PROLOGUE}{MACROS}{WAIT}start:\ncli\nmov esp, MEMORY\n{body}\nEXIT 0\n"
    image = tmp_path / "disk.img"
    image.write_bytes(DISK)
    built, tape = with_disk(source, paravirtual=False)
    ran = Ran(built, built.run(LIMIT), tape.events)
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    theirs = in_qemu(assemble(source, paravirtual=False), tmp_path, "-drive", f"file={image},format=raw,if=ide")
    assert said(ran).hex(" ", 4) == theirs.hex(" ", 4)
    assert disk_of(built) == image.read_bytes()
