"""Guests of every boot protocol, assembled here, that print what they were told: run, recorded and replayed."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Pvtrace
from tests.machine.kernels import bzimage

PRINT = """
print:                          ; the string at ESI
    mov dx, 0x3F8
.next:
    lodsb
    test al, al
    jz .done
    out dx, al
    jmp .next
.done:
    mov al, 10
    out dx, al
    ret
leave:                          ; with AL
    out 0xF4, al
    hlt
"""

MULTIBOOT_2 = """
bits 32
section .text
align 8
header:
    dd 0xE85250D6, 0, header_end - header, -(0xE85250D6 + header_end - header)
    dw 1, 0
    dd 16, 1, 9
    dw 0, 0
    dd 8
header_end:
global _start
_start:
    cmp eax, 0x36D76289
    mov al, 1
    jne leave
    lea edi, [ebx + 8]
.tag:
    mov eax, [edi]
    test eax, eax
    jz .end
    lea esi, [edi + 8]
    cmp eax, 1
    je .show
    lea esi, [edi + 16]
    cmp eax, 3
    je .show
    cmp eax, 9
    jne .skip
    mov ebp, [edi + 8]
    jmp .skip
.show:
    call print
.skip:
    mov eax, [edi + 4]
    add eax, 7
    and eax, ~7
    add edi, eax
    jmp .tag
.end:
    cmp ebp, 5                  ; sections: there are some
    setb al
    jmp leave
"""

LINUX = """
bits 32
org 0x100000
    mov ebx, esi
    mov esi, [ebx + 0x228]
    call print
    cmp dword [ebx + 0x21C], 5
    mov al, 2
    jne leave
    mov esi, [ebx + 0x218]
    call print
    mov ax, cs
    sub ax, 0x10
    jmp leave
"""

FLAT = """
bits 32
org 0x7E00
    db "data"
    mov esi, 0x7E00
    mov byte [0x7E04], 0
    call print
    xor eax, eax
    jmp leave
"""

Assemble = Callable[[str, str], bytes]


@pytest.fixture
def assemble(require_tool: Callable[[str], Path], tmp_path: Path) -> Assemble:
    """`assemble(source, format)` with the routines of PRINT behind; linked if the format is elf32."""

    def run(source: str, form: str) -> bytes:
        file, out, linked = (tmp_path / name for name in ("s.asm", "s.o", "s.elf"))
        file.write_text(source + PRINT)
        subprocess.run([require_tool("nasm"), f"-f{form}", "-o", out, file], check=True)
        if form == "bin":
            return out.read_bytes()
        options = ["-melf_i386", "-n", "-Ttext=0x100000", "--no-warn-rwx-segments"]
        subprocess.run([require_tool("ld"), *options, "-o", linked, out], check=True)
        return linked.read_bytes()

    return run


def boots(pvtrace: Pvtrace, *arguments: str | Path) -> tuple[str, str]:
    """Console and messages of a guest that must end well and replay."""
    done = pvtrace("record", *arguments, "--vmi", "none", "-o", "boot.pvt")
    assert done.returncode == 0, done.stderr
    assert pvtrace("replay", "boot.pvt").stdout.startswith("identical: boot.pvt")
    return done.stdout, done.stderr


def test_multiboot_2(pvtrace: Pvtrace, assemble: Assemble, tmp_path: Path) -> None:
    (tmp_path / "kernel.elf").write_bytes(assemble(MULTIBOOT_2, "elf32"))
    (tmp_path / "disk.img").write_bytes(b"module")
    console, said = boots(pvtrace, "kernel.elf", "--append", "a=1 b", "--module", "disk.img root=here")
    assert console == "a=1 b\ndisk.img root=here\n"
    assert said.startswith("Multiboot 2 kernel kernel.elf, entry 0x100028")


def test_bzimage_with_an_initrd(pvtrace: Pvtrace, assemble: Assemble, tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage(assemble(LINUX, "bin"), relocatable=False, release="9.9 (me)"))
    (tmp_path / "initrd").write_bytes(b"init\0")
    console, said = boots(pvtrace, "bzImage", "--append", "quiet", "--initrd", "initrd")
    assert console == "quiet\ninit\n"
    assert said.startswith("Linux 9.9 kernel (bzImage, boot protocol 2.10) bzImage, entry 0x100000")


def test_a_flat_binary(pvtrace: Pvtrace, assemble: Assemble, tmp_path: Path) -> None:
    (tmp_path / "boot.bin").write_bytes(assemble(FLAT, "bin"))
    console, said = boots(pvtrace, "boot.bin", "--load", "0x7e00", "--entry", "7e04")
    assert console == "data\n"
    assert said.startswith("flat binary boot.bin, entry 0x7e04")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--initrd", "missing"), "cannot read missing"),
        (("--initrd", "empty"), "initrd empty is empty"),
        (("--initrd", "large"), "initrd large of 67,108,864 bytes does not fit beside the kernel into 64 MiB of RAM"),
        (("--module", "empty arguments"), "bzImage is a Linux kernel"),
        (("--symbols", "empty"), "empty holds no symbols"),
        (("--symbols", "missing"), "cannot read missing"),
        (("--input", "missing"), "cannot read missing"),
        (("--type", ""), "types nothing"),
        (("--type", r"\q"), "is no escape"),
        (("--type", "x", "--input", "empty"), "give one of them"),
        (("--break-on", "nothing_of_the_kind"), "the guest has no such symbol"),
        (("--break-on", "call Nothing"), "Nothing is no VMI call"),
        (("--break-on", "fault XY"), "XY is no exception"),
    ],
)
def test_what_cannot_be_is_one_sentence_before_the_run(
    pvtrace: Pvtrace, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage(b"\xf4" * 64))
    (tmp_path / "empty").write_bytes(b"")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(64 << 20)
    done = pvtrace("record", "bzImage", *arguments)
    assert done.returncode in (2, 3)
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.pvt"))
