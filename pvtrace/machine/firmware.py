"""What a PC BIOS leaves in memory for whoever looks for processors and devices: MP and ACPI tables, the text screen.

Pure: everything is computed once from what the machine has. Layout:

    00449h  the BIOS data area from video to disks
    B8000h  text memory: an empty screen of 80 by 25
    F6000h  MP floating pointer, and its configuration table behind it
    F6200h  ACPI: RSDP, RSDT, FADT, MADT, FACS, DSDT

Sources: MultiProcessor specification 1.4, chapter 4; ACPI specification 1.0b, chapters 5 and 16.
"""

import struct
from collections.abc import Mapping
from typing import Final

from pvtrace.machine.devices.io_apic import APIC_ID, VERSION_VALUE
from pvtrace.machine.devices.local_apic import VERSION
from pvtrace.machine.interrupt_controller import TIMER_IRQ, TIMER_PIN, pin_of_irq
from pvtrace.machine.memory_bus import APIC_BASE, IO_APIC_BASE
from pvtrace.x86.cpuid import APIC, FEATURES, SIGNATURE

ISA_IRQS: Final = tuple(irq for irq in range(16) if irq != TIMER_PIN)
"""Those with a line of their own: 2 is the cascade."""

SCI_IRQ: Final = 9
PM1_EVENT, PM1_CONTROL, PM_TIMER = 0x600, 0x604, 0x608
CENTURY: Final = 0x32
CONFIGURATION: Final = 0x10
"""Offset of the MP configuration table behind its floating pointer."""

MP_AT: Final = 0xF6000
RSDP_AT, RSDT_AT, FADT_AT, MADT_AT, FACS_AT, DSDT_AT = 0xF6200, 0xF6220, 0xF6260, 0xF6300, 0xF6400, 0xF6440

OEM: Final = b"PVTRAC"
MP_PRODUCT: Final = b"PVTRACE PC          "
"""OEM of 8 and product of 12 bytes."""


def with_checksum(table: bytes, at: int, size: int | None = None) -> bytes:
    """The table with byte `at` such that its first `size` bytes (all of them) add up to 0 modulo 256."""
    byte = (table[at] - sum(table[:size])) & 0xFF
    return table[:at] + bytes([byte]) + table[at + 1 :]


# ---------------------------------------------------------------------- MP


def mp_floating_pointer(configuration: int) -> bytes:
    """`configuration`: address of the table. No IMCR: the 8259 is behind LINT0 (virtual wire mode)."""
    return with_checksum(struct.pack("<4sIBBB5s", b"_MP_", configuration, 1, 4, 0, bytes(5)), 10)


def mp_configuration() -> bytes:
    """One processor, the ISA bus, one IO-APIC with all ISA interrupts, and the two LINT pins."""
    apic_version, io_apic_version = VERSION & 0xFF, VERSION_VALUE & 0xFF
    entries = [
        struct.pack("<BBBBII8x", 0, 0, apic_version, 3, SIGNATURE, FEATURES | APIC),
        struct.pack("<BB6s", 1, 0, b"ISA   "),
        struct.pack("<BBBBI", 2, APIC_ID, io_apic_version, 1, IO_APIC_BASE),
        *(struct.pack("<BBHBBBB", 3, 0, 0, 0, irq, APIC_ID, pin_of_irq(irq)) for irq in ISA_IRQS),
        struct.pack("<BBHBBBB", 4, 3, 0, 0, 0, 0xFF, 0),  # ExtINT at LINT0
        struct.pack("<BBHBBBB", 4, 1, 0, 0, 0, 0xFF, 1),  # NMI at LINT1
    ]
    body = b"".join(entries)
    head = struct.pack(
        "<4sHBB20sIHHIHBx", b"PCMP", 44 + len(body), 4, 0, MP_PRODUCT, 0, 0, len(entries), APIC_BASE, 0, 0
    )
    return with_checksum(head + body, 7)


# ---------------------------------------------------------------------- ACPI


def acpi_table(signature: bytes, body: bytes, revision: int = 1) -> bytes:
    """A system description table: the common header of 36 bytes, and its body."""
    head = struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), revision, 0, OEM, OEM + b"PC", 1, b"PVTR", 1)
    return with_checksum(head + body, 9)


def rsdp(rsdt: int) -> bytes:
    """The root pointer of ACPI 1.0."""
    return with_checksum(struct.pack("<8sB6sBI", b"RSD PTR ", 0, OEM, 0, rsdt), 8)


def fadt(facs: int, dsdt: int) -> bytes:
    """Fixed hardware. There is no SMI command port: ACPI is always on. No buttons, no general-purpose events."""
    flags = 0x01 | 0x04 | 0x10 | 0x20 | 0x40  # WBINVD works, HLT works, no fixed buttons, no fixed wake by the clock
    body = struct.pack(
        "<IIBxHIBBBxIIIIIIIIBBBBBBBxHHHHBBBBB3xI",
        *(facs, dsdt, 0, SCI_IRQ, 0, 0, 0, 0),
        *(PM1_EVENT, 0, PM1_CONTROL, 0, 0, PM_TIMER, 0, 0),
        *(4, 2, 0, 4, 0, 0, 0),
        *(0xFFFF, 0xFFFF, 0, 0),
        *(0, 0, 0, 0, CENTURY),
        flags,
    )
    return acpi_table(b"FACP", body)


def madt() -> bytes:
    """Interrupt controllers: one processor, one IO-APIC, and where IRQ 0 and the SCI differ from the ISA rule."""
    body = struct.pack("<II", APIC_BASE, 1)  # 1: there is an 8259 pair, too
    body += struct.pack("<BBBBI", 0, 8, 0, 0, 1)
    body += struct.pack("<BBBxII", 1, 12, APIC_ID, IO_APIC_BASE, 0)
    body += struct.pack("<BBBBIH", 2, 10, 0, TIMER_IRQ, TIMER_PIN, 0)
    body += struct.pack("<BBBBIH", 2, 10, 0, SCI_IRQ, SCI_IRQ, 0xD)  # active high, level
    body += struct.pack("<BBBHB", 4, 6, 0xFF, 0, 1)  # NMI at LINT1
    return acpi_table(b"APIC", body)


def facs() -> bytes:
    """The firmware control structure, which has neither checksum nor common header."""
    return struct.pack("<4sI", b"FACS", 64).ljust(64, b"\0")


def dsdt() -> bytes:
    """AML: Name (\\_S5, Package () {0, 0, 0, 0}), and a PCI root bridge Device (\\_SB.PCI0) with _HID PNP0A03."""
    s5 = b"\x08_S5_" + b"\x12" + _package(bytes([4, 0, 0, 0, 0]))
    hid = b"\x08_HID" + b"\x0c" + bytes.fromhex("41d00a03")
    bridge = b"\x5b\x82" + _package(b"PCI0" + hid)
    return acpi_table(b"DSDT", s5 + b"\x10" + _package(b"\\_SB_" + bridge))


def _package(body: bytes) -> bytes:
    """AML's PkgLength, which counts itself, in its form of one byte, and what it measures."""
    length = len(body) + 1
    if length >= 0x40:
        raise ValueError("longer than one byte of PkgLength can say")
    return bytes([length]) + body


# ---------------------------------------------------------------------- video and disks


def video_and_disks(disks: int) -> bytes:
    """The BIOS data area from 449h to 486h: mode 3, 80 columns, cursor at home, CRTC at 3D4h; how many hard disks there
    are; 25 rows of 16 lines."""
    return struct.pack("<BHHH16xHBHBB14xB14xBH", 3, 80, 0x1000, 0, 0x0D0E, 0, 0x3D4, 0x29, 0x30, disks, 24, 16)


PIECES: Final[Mapping[str, tuple[int, bytes]]] = {
    "the text screen": (0xB8000, b" \x07" * 2000),
    "the MP tables": (MP_AT, mp_floating_pointer(MP_AT + CONFIGURATION) + mp_configuration()),
    "the ACPI root pointer": (RSDP_AT, rsdp(RSDT_AT)),
    "the ACPI RSDT": (RSDT_AT, acpi_table(b"RSDT", struct.pack("<II", FADT_AT, MADT_AT))),
    "the ACPI FADT": (FADT_AT, fadt(FACS_AT, DSDT_AT)),
    "the ACPI MADT": (MADT_AT, madt()),
    "the ACPI FACS": (FACS_AT, facs()),
    "the ACPI DSDT": (DSDT_AT, dsdt()),
}
"""Address and contents by name, of all that is the same in every machine."""
