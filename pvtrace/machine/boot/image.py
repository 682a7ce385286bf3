"""What is asked of a boot loader, and what it gives: the values that all boot protocols share. No behaviour."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pvtrace.model.registers import Gpr, Segment, TableRegister

FLAT_CODE: Final = 0x00CF9B000000FFFF
FLAT_DATA: Final = 0x00CF93000000FFFF
"""Flat 4 GiB segments of DPL 0, already marked accessed (SDM volume 3, 3.4.5)."""


class File(NamedTuple):
    """`name` is what messages and, for a module, the guest call it; `arguments`: a module's command line behind it."""

    name: str
    data: bytes
    arguments: str = ""

    @property
    def string(self) -> str:
        """A module's string: its name and its arguments."""
        return f"{self.name} {self.arguments}".rstrip()


class Request(NamedTuple):
    """`load`, `entry`: physical addresses for a flat binary, which is what the guest is if `load` is given.

    `ram_size` in bytes; `loader` is the boot loader's name and version for the guest.
    """

    guest: File
    ram_size: int
    modules: tuple[File, ...] = ()
    initrd: File | None = None
    command_line: str = ""
    load: int | None = None
    entry: int | None = None
    loader: str = "pvtrace"


class Loaded(NamedTuple):
    """What a boot protocol decided, beside the memory that it filled: `kind` in words; `gprs`: those that are not 0.

    `code` and `data` are the selectors of the flat segments.
    """

    kind: str
    entry: int
    gprs: Mapping[Gpr, int]
    code: int = 0x08
    data: int = 0x10


class BootImage(NamedTuple):
    """`memory`: what to store where, physical, everything else is zero; `gprs` by Gpr; `segments` by Seg;
    `roms`: address and size of each.

    The CPU is as all these protocols want it: protected mode, paging and interrupts off, CPL 0, A20 on, flat segments.
    `description` is one line for people.
    """

    memory: tuple[tuple[int, bytes], ...]
    eip: int
    gprs: tuple[int, ...]
    segments: tuple[Segment, ...]
    gdtr: TableRegister
    cr0: int
    roms: tuple[tuple[int, int], ...]
    eflags: int
    description: str
