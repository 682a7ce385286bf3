"""An initramfs with a small init, made from nothing: C without a library, and a cpio archive (format newc)."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SOURCE: Final = """
static long call(long number, long one, long two, long three, long four)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result)
                     : "a"(number), "b"(one), "c"(two), "d"(three), "S"(four) : "memory");
    return result;
}
static void say(const char *text)
{
    long size = 0;
    while (text[size])
        size++;
    call(4, 1, (long)text, size, 0);
}
void _start(void)
{
    static char page[1 << 20];
    long status = 0, child, at;
    for (at = 0; at < sizeof page; at += 4096)
        page[at] = 1;
    say("init: pages touched\\n");
    child = call(2, 0, 0, 0, 0);
    if (child == 0) {
        say("init: the child\\n");
        call(1, 7, 0, 0, 0);
    }
    call(7, child, (long)&status, 0, 0);
    say(status == 7 << 8 ? "init: it left with 7\\n" : "init: it was lost\\n");
    call(88, (long)0xfee1dead, 672274793, 0x4321fedc, 0); /* reboot: power off */
    for (;;)
        ;
}
"""


def init(folder: Path) -> bytes:
    """The program; it prints three lines, of which a child has one, and switches the machine off."""
    source, program = folder / "init.c", folder / "init"
    source.write_text(SOURCE, encoding="ascii")
    flags = ["-m32", "-Os", "-march=i686", "-mno-sse", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie"]
    flags += ["-fno-stack-protector", "-fcf-protection=none", "-Wl,--build-id=none"]
    done = subprocess.run(["gcc", *flags, "-o", program, source], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return program.read_bytes()


DIRECTORY, DEVICE, PROGRAM = 0o040755, 0o020600, 0o100755


def archive(program: bytes) -> bytes:
    """/init, and the console that the kernel opens for it."""
    entries: Mapping[str, tuple[int, bytes, int]] = {
        "dev": (DIRECTORY, b"", 0),
        "dev/console": (DEVICE, b"", 5 << 8 | 1),
        "init": (PROGRAM, program, 0),
        "TRAILER!!!": (0, b"", 0),
    }
    return b"".join(_entry(number, name, *entry) for number, (name, entry) in enumerate(entries.items(), 1))


def _entry(number: int, name: str, mode: int, data: bytes, device: int) -> bytes:
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, device >> 8, device & 0xFF, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
