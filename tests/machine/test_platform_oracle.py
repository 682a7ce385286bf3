"""The same guest, on this machine and under QEMU, reads the same from the devices of the PC."""

import shutil
from pathlib import Path
from typing import Final

import pytest

from pvtrace.model.stops import Why
from pvtrace.tape.scripted import ScriptedTape
from tests.machine.oracle import PROLOGUE, in_qemu, said
from tests.machine.small import LIMIT, Ran, assemble, machine

PROBES: Final = {
    "APIC: id": "APIC_SAY 0x20",
    "version": "APIC_SAY 0x30",
    "TPR": "APIC_SAY 0x80",
    "LDR": "APIC_SAY 0xD0",
    "DFR": "APIC_SAY 0xE0",
    "LINT0 after the BIOS": "APIC_SAY 0x350",
    "LINT1 after the BIOS": "APIC_SAY 0x360",
    "timer entry after the BIOS": "APIC_SAY 0x320",
    "SVR": "WRITE 0xF0, 0x1FF\nAPIC_SAY 0xF0",
    "LDR written": "WRITE 0xD0, 0x02000000\nAPIC_SAY 0xD0",
    "timer entry written": "WRITE 0x320, 0x30040\nAPIC_SAY 0x320",
    "divide": "WRITE 0x3E0, 0xB\nAPIC_SAY 0x3E0",
    "initial count 0": "WRITE 0x380, 0\nAPIC_SAY 0x390",
    "initial count": "WRITE 0x320, 0x10040\nWRITE 0x380, 0xFFFFFFF0\nAPIC_SAY 0x380",
    "self-IPI in IRR": "WRITE 0x380, 0\nWRITE 0x300, 0x40070\nAPIC_SAY 0x230",
    "ICR": "APIC_SAY 0x300",
    "a higher one, by logical destination": "WRITE 0x310, 0x02000000\nWRITE 0x300, 0x00895\nAPIC_SAY 0x240",
    "taken: ISR": "sti\nnop\nnop\ncli\nAPIC_SAY 0x140",
    "PPR": "APIC_SAY 0xA0",
    "the lower one still waits": "APIC_SAY 0x230",
    "EOI: PPR": "WRITE 0xB0, 0\nAPIC_SAY 0xA0",
    "then it is taken": "sti\nnop\nnop\ncli\nAPIC_SAY 0x130",
    "TPR holds back": "WRITE 0xB0, 0\nWRITE 0x80, 0x90\nWRITE 0x300, 0x40095\nsti\nnop\nnop\ncli\nAPIC_SAY 0x240",
    "PPR of TPR": "APIC_SAY 0xA0",
    "IO-APIC: inputs": "mov dword [0xFEC00000], 1\nmov eax, [0xFEC00010]\nshr eax, 16\ncall say",
    "id": "REDIRECTION 0, 0x0A000000",
    "low word of input 5": "REDIRECTION 0x1A, 0x1FFFF",
    "high word of input 5": "REDIRECTION 0x1B, 0xFF000000",
    "edge again": "REDIRECTION 0x1A, 0x10055",
    "PIT through input 2": (
        "WRITE 0xB0, 0\nWRITE 0x80, 0\nsti\nnop\ncli\nWRITE 0xB0, 0\nREDIRECTION 0x15, 0\nREDIRECTION 0x14, 0x66\n"
        "PIC 0xFF\nPIT 60\n.wait: test dword [0xFEE00230], 0x40\njz .wait\nAPIC_SAY 0x230"
    ),
    "PIC: IMR": "REDIRECTION 0x14, 0x10066\nOUTB 0x21, 0xA5\nSAY_PORT 0x21",
    "IRR of the tick": "PIC 0xFF\nPIT 60\n.tick: in al, 0x20\ntest al, 1\njz .tick\nSAY_PORT 0x20",
    "ELCR": "OUTB 0x21, 0xFF\nmov dx, 0x4D1\nmov al, 0x0E\nout dx, al\nxor eax, eax\nin al, dx\ncall say",
    "PIT: mode in the status": "OUTB 0x43, 0xB6\nOUTB 0x42, 0\nOUTB 0x42, 0x10\nOUTB 0x43, 0xE8\nxor eax, eax\n"
    "in al, 0x42\nand al, 0x3F\ncall say",
    "port 61h": "OUTB 0x61, 3\nin al, 0x61\nand eax, 0x0F\ncall say",
    "CRTC: cursor high": "INDEXED 0x3D4, 0x0E, 0x03",
    "cursor low": "INDEXED 0x3D4, 0x0F, 0x5A",
    "cursor start": "INDEXED 0x3D4, 0x0A, 0x20",
    "sequencer map mask": "INDEXED 0x3C4, 2, 0x0F",
    "graphics mode": "INDEXED 0x3CE, 5, 0x10",
    "8042: self test": "OUTB 0x64, 0xAD\n.drain: in al, 0x64\ntest al, 1\njz .empty\nin al, 0x60\njmp .drain\n.empty:\n"
    "OUTB 0x64, 0xAA\ncall wait_keyboard\nSAY_PORT 0x60",
    "interface test": "OUTB 0x64, 0xAB\ncall wait_keyboard\nSAY_PORT 0x60",
    "configuration": "OUTB 0x64, 0x60\nOUTB 0x60, 0x65\nOUTB 0x64, 0x20\ncall wait_keyboard\nSAY_PORT 0x60",
    "keyboard: echo": "OUTB 0x64, 0xAE\nKEYBOARD 0xEE",
    "identify": "KEYBOARD 0xF2",
    "first byte": "call wait_keyboard\nSAY_PORT 0x60",
    "second byte": "call wait_keyboard\nSAY_PORT 0x60",
    "reset": "KEYBOARD 0xFF",
    "passed": "call wait_keyboard\nSAY_PORT 0x60",
    "lights": "KEYBOARD 0xED",
    "their data": "KEYBOARD 0x07",
    "nothing left": "in al, 0x64\nand eax, 1\ncall say",
    "RTC: D": "mov al, 0x0D\nout 0x70, al\nSAY_PORT 0x71",
    "periodic flag": "INDEXED 0x70, 0x0A, 0x23\nmov al, 0x0C\nout 0x70, al\nin al, 0x71\n"
    "INDEXED 0x70, 0x0B, 0x42\nmov al, 0x0C\nout 0x70, al\n.flag: xor eax, eax\nin al, 0x71\ntest al, 0x40\njz .flag\n"
    "and al, 0xC0\ncall say",
    "PCI: address": "mov dx, 0xCF8\nmov eax, 0x80000000\nout dx, eax\nin eax, dx\ncall say",
    "host bridge": "mov dx, 0xCFC\nin eax, dx\ncall say",
    "class": "mov dx, 0xCF8\nmov eax, 0x80000008\nout dx, eax\nmov dx, 0xCFC\nin eax, dx\nshr eax, 8\ncall say",
    "no function": "mov dx, 0xCF8\nmov eax, 0x8000F800\nout dx, eax\nmov dx, 0xCFC\nin eax, dx\ncall say",
    "fw_cfg: signature": "mov dx, 0x510\nxor eax, eax\nout dx, ax\ninc dx\nmov ebx, 4\n.letter: xor eax, eax\n"
    "in al, dx\ncall say\nmov dx, 0x511\ndec ebx\njnz .letter",
    "processors": "mov dx, 0x510\nmov eax, 5\nout dx, ax\ninc dx\nxor eax, eax\nin al, dx\ncall say",
}
"""What each is about, and the instructions that say it."""


MARK: Final = 0xB0B00000
"""What is said before each probe, with its number."""


def source() -> str:
    body = "\n".join(f"p{number}:\nSAY {MARK | number:#x}\n{code}" for number, code in enumerate(PROBES.values()))
    gates = "\n".join(f"GATE {vector:#x}, on_interrupt" for vector in (0x66, 0x70, 0x95))
    return f"""{PROLOGUE}
start:
    cli
    mov esp, MEMORY
    PIC 0xFF
    lidt [idt_register]
{gates}
    mov ax, cs
    mov [IDT + 8 * 0x66 + 2], ax
    mov [IDT + 8 * 0x70 + 2], ax
    mov [IDT + 8 * 0x95 + 2], ax
{body}
    EXIT 0
on_interrupt:
    iretd
"""


def here(guest: bytes) -> bytes:
    tape = ScriptedTape()
    built = machine(guest, tape, "none")
    ran = Ran(built, built.run(LIMIT), tape.events)
    assert (ran.stop.why, ran.stop.code) == (Why.EXIT, 0), ran.stop
    return said(ran)


def by_name(said: bytes) -> dict[str, list[str]]:
    """The words of each probe."""
    names = list(PROBES)
    found: dict[str, list[str]] = {}
    name = ""
    for at in range(0, len(said), 4):
        word = int.from_bytes(said[at : at + 4], "little")
        if word >> 16 == MARK >> 16:
            name = names[word & 0xFFFF]
            found[name] = []
        else:
            found[name].append(f"{word:08x}")
    return found


def test_devices_read_as_in_qemu(tmp_path: Path) -> None:
    if shutil.which("qemu-system-i386") is None:
        pytest.skip("qemu-system-i386 is not installed")
    guest = assemble(source(), paravirtual=False)
    ours, theirs = by_name(here(guest)), by_name(in_qemu(guest, tmp_path))
    assert ours == theirs
    assert list(ours) == list(PROBES)
