"""Run a Multiboot ELF on stock Unicorn, as fast as its Python binding allows: no count, no clock, no log.

Its only hook ends the run at the guest's first OUT. Usage: python stock.py GUEST.elf
"""

import sys
from pathlib import Path

from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_X86, UC_HOOK_INSN, UC_MODE_32, Uc
from unicorn.x86_const import UC_X86_INS_OUT

RAM = 64 << 20


def run(guest: Path) -> None:
    """Run `guest` to its end."""
    uc = Uc(UC_ARCH_X86, UC_MODE_32)
    uc.mem_map(0, RAM)
    with guest.open("rb") as file:
        elf = ELFFile(file)
        for segment in elf.iter_segments("PT_LOAD"):
            uc.mem_write(segment["p_paddr"], segment.data())
        entry = elf["e_entry"]

    def out(engine: Uc, *_: object) -> None:
        engine.emu_stop()

    uc.hook_add(UC_HOOK_INSN, out, None, 1, 0, UC_X86_INS_OUT)
    uc.emu_start(entry, 0)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
