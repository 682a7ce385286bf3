import struct

import pytest

from pvtrace.machine.boot import BootImage, File, boot_image
from pvtrace.model.errors import InputError, UsageError
from pvtrace.model.registers import Gpr, Seg
from tests.machine.kernels import bzimage, elf

MIB = 1 << 20
RAM = 64 * MIB
VMLINUX = File("vmlinux", elf(b"\xf4" * 16 + b"Linux version 2.6.24-x (me@here) #1\n\0"))
BZIMAGE = File("bzImage", bzimage(b"\xf4" * 1000, release="2.6.32 (me)"))


def memory(image: BootImage, start: int, size: int) -> bytes:
    ram = bytearray(RAM)
    for at, data in image.memory:
        ram[at : at + len(data)] = data
    return bytes(ram[start : start + size])


def word(image: BootImage, at: int) -> int:
    return int(struct.unpack("<I", memory(image, at, 4))[0])


def command_line(image: BootImage) -> bytes:
    return memory(image, word(image, image.gprs[Gpr.ESI] + 0x228), 100).split(b"\0")[0]


@pytest.mark.parametrize("guest", [VMLINUX, BZIMAGE])
def test_the_state_at_the_32_bit_entry(guest: File) -> None:
    """Documentation/x86/boot.rst, "32-bit boot protocol"."""
    image = boot_image(guest, ram_size=RAM, command_line="console=ttyS0 quiet")
    assert (image.cr0, image.eflags) == (0x11, 2)
    assert [image.gprs[register] for register in (Gpr.EBP, Gpr.EDI, Gpr.EBX)] == [0, 0, 0]
    assert image.segments[Seg.CS].selector == 0x10
    assert {image.segments[s].selector for s in (Seg.DS, Seg.ES, Seg.SS)} == {0x18}
    gdt = struct.unpack("<4Q", memory(image, image.gdtr.base, 32))
    assert image.gdtr.limit == 31
    assert gdt == (0, 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)
    assert memory(image, image.eip, 1) == b"\xf4"
    assert command_line(image) == b"console=ttyS0 quiet"
    page = image.gprs[Gpr.ESI]
    assert memory(image, page + 0x202, 4) == b"HdrS"
    assert memory(image, page + 0x1E8, 1) == b"\x03"


def test_it_says_what_it_found() -> None:
    image = boot_image(VMLINUX, ram_size=RAM)
    assert image.description == "Linux 2.6.24-x kernel (vmlinux) vmlinux, entry 0x100054, 64 MiB of RAM"
    image = boot_image(BZIMAGE, ram_size=RAM)
    assert image.description == (
        "Linux 2.6.32 kernel (bzImage, boot protocol 2.10) bzImage, entry 0x1000000, 64 MiB of RAM"
    )


def test_a_kernel_that_cannot_be_moved_is_not() -> None:
    assert boot_image(File("k", bzimage(b"\xf4", relocatable=False)), ram_size=RAM).eip == 0x100000
    small = bzimage(b"\xf4", preferred=48 * MIB, working=MIB)
    assert boot_image(File("k", small), ram_size=RAM).eip == 48 * MIB


@pytest.mark.parametrize("guest", [VMLINUX, BZIMAGE])
def test_an_initrd_is_at_the_end_of_memory(guest: File) -> None:
    initrd = File("initrd.gz", b"I" * 5000)
    image = boot_image(guest, ram_size=RAM, initrd=initrd)
    page = image.gprs[Gpr.ESI]
    at, size = word(image, page + 0x218), word(image, page + 0x21C)
    assert (at, size) == (RAM - 8192, 5000)
    assert memory(image, at, size) == initrd.data


@pytest.mark.parametrize("guest", [VMLINUX, BZIMAGE])
def test_what_does_not_fit(guest: File) -> None:
    with pytest.raises(
        InputError, match=r"initrd i of 67,108,864 bytes does not fit beside the kernel into 64 MiB of RAM"
    ):
        boot_image(guest, ram_size=RAM, initrd=File("i", bytes(RAM)))
    with pytest.raises(InputError, match="initrd i is empty"):
        boot_image(guest, ram_size=RAM, initrd=File("i", b""))
    with pytest.raises(UsageError, match=r"the command line has 3000 bytes, and .* takes 2047"):
        boot_image(guest, ram_size=RAM, command_line="x" * 3000)
    with pytest.raises(UsageError, match="is a Linux kernel, which is given an initrd and no modules"):
        boot_image(guest, ram_size=RAM, modules=[File("m", b"m")])


def test_a_kernel_that_needs_more_memory_to_unpack() -> None:
    with pytest.raises(InputError, match=r"bzImage needs 18 MiB of RAM to unpack itself, and there are 4 MiB"):
        boot_image(BZIMAGE, ram_size=4 * MIB)


def test_an_initrd_is_for_linux_alone() -> None:
    with pytest.raises(UsageError, match="only a Linux kernel can be given an initrd"):
        boot_image(File("p.elf", elf(b"\xf4")), ram_size=RAM, initrd=File("i", b"i"))


def test_a_flat_binary() -> None:
    image = boot_image(File("boot.bin", b"\xf4" * 8), ram_size=RAM, load=0x7E00, entry=0x7E04)
    assert (image.eip, memory(image, 0x7E00, 8)) == (0x7E04, b"\xf4" * 8)
    assert image.description.startswith("flat binary boot.bin, entry 0x7e04")
    assert boot_image(VMLINUX, ram_size=RAM, load=0x200000).eip == 0x200000


def test_flat_binaries_that_cannot_be() -> None:
    guest = File("b", b"\xf4")
    with pytest.raises(UsageError, match=r"--entry 0x2 is outside b"):
        boot_image(guest, ram_size=RAM, load=0x100000, entry=2)
    with pytest.raises(UsageError, match="also needs --load"):
        boot_image(guest, ram_size=RAM, entry=2)
    with pytest.raises(InputError, match="outside the machine's 64 MiB of RAM"):
        boot_image(guest, ram_size=RAM, load=RAM)
    with pytest.raises(InputError, match="b is empty"):
        boot_image(File("b", b""), ram_size=RAM, load=0x100000)
