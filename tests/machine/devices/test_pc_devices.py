"""ACPI's fixed hardware, fw_cfg, PCI configuration space, VGA registers."""

import json

import pytest

from pvtrace.machine.devices.acpi_power import TIMER_HZ, AcpiPower
from pvtrace.machine.devices.fw_cfg import FwCfg
from pvtrace.machine.devices.pci import DISK_FUNCTIONS, Pci
from pvtrace.machine.devices.vga import FRAMES, Vga
from pvtrace.model.stops import Why

HZ = 100_000_000


class Ends:
    """What devices asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Why, int]] = []

    def __call__(self, why: Why, code: int) -> None:
        self.asked.append((why, code))


def test_power_off() -> None:
    ends = Ends()
    device = AcpiPower(HZ, ends)
    assert device.read(4, 2, 0) == 1  # SCI_EN: ACPI is on
    device.write(4, 2, 0x1C00, 0)
    device.write(4, 1, 0x20, 0)
    assert ends.asked == []
    assert device.read(4, 2, 0) == 0x1C01
    device.write(4, 2, 0x2000, 0)
    device.write(5, 1, 0x34, 0)
    assert ends.asked == [(Why.SHUTDOWN, 0)] * 2


def test_acpi_event_registers_and_timer() -> None:
    device, copy = AcpiPower(HZ, Ends()), AcpiPower(HZ, Ends())
    device.write(0, 4, 0xFFFFFFFF, 0)
    assert device.read(0, 4, 0) == 0x0721_0000
    device.write(3, 1, 0x01, 0)
    assert device.read(2, 2, 0) == 0x0121
    assert device.read(8, 4, HZ) == TIMER_HZ
    assert device.read(8, 4, 10 * HZ) == 10 * TIMER_HZ % (1 << 24)
    copy.load(json.loads(json.dumps(device.save())))
    assert copy.read(0, 4, 0) == device.read(0, 4, 0)


def item(device: FwCfg, key: int, size: int) -> bytes:
    device.write(0, 2, key, 0)
    return bytes(device.read(1, 1, 0) for _ in range(size))


def test_fw_cfg() -> None:
    device, copy = FwCfg(48 << 20), FwCfg(48 << 20)
    assert item(device, 0, 6) == b"QEMU\0\0"
    assert item(device, 3, 8) == (48 << 20).to_bytes(8, "little")
    assert item(device, 5, 2) == item(device, 0x0F, 2) == b"\1\0"
    assert item(device, 0x19, 4) == bytes(4)
    assert item(device, 0x4000, 2) == bytes(2)
    device.write(0, 1, 0, 0)  # half a selector selects nothing
    assert item(device, 0, 2) == b"QE"
    copy.load(json.loads(json.dumps(device.save())))
    assert copy.read(1, 1, 0) == device.read(1, 1, 0) == ord("M")


def config(device: Pci, bus: int, slot: int, register: int) -> int:
    device.write(0, 4, 1 << 31 | bus << 16 | slot << 11 | register, 0)
    return device.read(4, 4, 0)


def test_pci_functions() -> None:
    device = Pci(Ends())
    assert config(device, 0, 0, 0) == 0x1237_8086
    assert config(device, 0, 0, 8) >> 8 == 0x060000
    assert config(device, 0, 15, 0) == 0x0801_15AD
    assert config(device, 0, 1, 0) == config(device, 1, 0, 0) == 0xFFFFFFFF
    device.write(0, 4, 0, 0)
    assert device.read(4, 4, 0) == 0xFFFFFFFF
    assert config(device, 0, 0, 0x10) == 0


def test_pci_functions_with_a_disk() -> None:
    """An IDE controller in compatibility mode without bus mastering, as function 1 of the ISA bridge."""
    device, copy = Pci(Ends()), Pci(Ends())
    for one in (device, copy):
        one.add(DISK_FUNCTIONS)
    assert (config(device, 0, 1, 0), config(device, 0, 1, 12) >> 16) == (0x7000_8086, 0x80)
    assert config(device, 0, 1, 1 << 8) == 0x7010_8086
    assert config(device, 0, 1, 1 << 8 | 8) >> 8 == 0x010180
    assert config(device, 0, 1, 1 << 8 | 0x40) == 0x8000
    assert config(device, 0, 1, 1 << 8 | 0x20) == 0
    device.write(0, 4, 0, 0)
    copy.load(json.loads(json.dumps(device.save())))
    assert config(copy, 0, 1, 1 << 8) == 0x7010_8086


def test_pci_probing() -> None:
    """As kernels tell mechanism 1: the address register is there, and as a doubleword only."""
    ends = Ends()
    device = Pci(ends)
    device.write(3, 1, 1, 0)
    device.write(0, 4, 0x80000000, 0)
    assert device.read(0, 4, 0) == 0x80000000
    device.write(1, 1, 0x02, 0)
    assert ends.asked == []
    device.write(1, 1, 0x06, 0)
    assert ends.asked == [(Why.REBOOT, 0)]


def test_pci_writable_bits() -> None:
    device, copy = Pci(Ends()), Pci(Ends())
    config(device, 0, 15, 4)
    device.write(4, 2, 0xFFFF, 0)
    assert device.read(4, 4, 0) == 0x0107
    config(device, 0, 15, 0x3C)
    device.write(4, 4, 0xFFFFFF0B, 0)
    config(device, 0, 15, 0x10)
    device.write(4, 4, 0xFFFFFFFF, 0)
    assert device.read(4, 4, 0) == 0
    copy.load(json.loads(json.dumps(device.save())))
    assert config(copy, 0, 15, 0x3C) == 0x0B
    assert config(copy, 0, 15, 0) == 0x0801_15AD


def indexed(device: Vga, port: int, index: int, value: int | None = None) -> int:
    device.write(port, 1, index, 0)
    if value is not None:
        device.write(port + 1, 1, value, 0)
    return device.read(port + 1, 1, 0)


def test_vga_cursor() -> None:
    device = Vga(HZ)
    assert device.cursor == 0
    assert indexed(device, 0x14, 0x0E, 0x03) == 0x03
    assert indexed(device, 0x14, 0x0F, 0x5A) == 0x5A
    assert device.read(0x14, 1, 0) == 0x0F
    assert device.cursor == 0x35A
    assert indexed(device, 0x14, 0x1F, 0xFF) == 0


def test_vga_registers_read_back() -> None:
    device, copy = Vga(HZ), Vga(HZ)
    assert indexed(device, 0x14, 0x01, 0x12) == 0x4F  # protected
    indexed(device, 0x14, 0x11, 0x0E)
    assert indexed(device, 0x14, 0x01, 0x12) == 0x12
    assert indexed(device, 0x04, 2, 0x0F) == 0x0F
    assert indexed(device, 0x0E, 5, 0x40) == 0x40
    device.write(2, 1, 0x63, 0)
    assert device.read(0xC, 1, 0) == 0x63
    device.write(6, 1, 0x0F, 0)
    assert device.read(6, 1, 0) == 0x0F
    device.write(8, 1, 255, 0)
    for value in (1, 2, 0xFF, 4):
        device.write(9, 1, value, 0)
    device.write(7, 1, 255, 0)
    assert [device.read(9, 1, 0) for _ in range(4)] == [1, 2, 0x3F, 4]
    copy.load(json.loads(json.dumps(device.save())))
    assert copy.save() == device.save()


def test_vga_attribute_flip_flop() -> None:
    device = Vga(HZ)
    device.read(0x1A, 1, 0)
    device.write(0, 1, 0x30, 0)
    device.write(0, 1, 0x08, 0)
    device.write(0, 1, 0x31, 0)
    assert device.read(0, 1, 0) == 0x31
    device.read(0x1A, 1, 0)
    device.write(0, 1, 0x30, 0)
    assert device.read(1, 1, 0) == 0x08


@pytest.mark.parametrize("frame", [0, 1, 1000])
def test_vga_retrace_comes_and_goes(frame: int) -> None:
    start, length = frame * HZ // FRAMES, HZ // FRAMES
    seen = {Vga(HZ).read(0x1A, 1, start + length * part // 1000) for part in range(1000)}
    assert seen == {0, 1, 9}
