"""Register names, numbers and frozen register values, as in the Intel manual (SDM volume 1, chapter 3)."""

from enum import IntEnum
from typing import NamedTuple


class Gpr(IntEnum):
    """General registers in the order of the instruction encoding (SDM volume 2, table 2-1)."""

    EAX = 0
    ECX = 1
    EDX = 2
    EBX = 3
    ESP = 4
    EBP = 5
    ESI = 6
    EDI = 7


class Seg(IntEnum):
    """Segment registers in the order of the instruction encoding."""

    ES = 0
    CS = 1
    SS = 2
    DS = 3
    FS = 4
    GS = 5


class Segment(NamedTuple):
    """A segment register with its hidden part.

    `limit` is in bytes, granularity already applied. `attributes` holds the descriptor's bits 40..55 in place, that is
    the second doubleword masked with 00F0FF00h: type, S, DPL, P, AVL, L, D/B, G.
    """

    selector: int
    base: int
    limit: int
    attributes: int

    @property
    def dpl(self) -> int:
        return (self.attributes >> 13) & 3

    @property
    def rpl(self) -> int:
        return self.selector & 3

    @property
    def big(self) -> bool:
        """The D/B bit: 32-bit code or stack."""
        return bool(self.attributes & 0x00400000)


class TableRegister(NamedTuple):
    """GDTR or IDTR: linear base and limit in bytes."""

    base: int
    limit: int


class Registers(NamedTuple):
    """Everything a person sees of the CPU. `gprs` by Gpr, `segments` by Seg, `crs` = CR0..CR4 (CR1 is 0)."""

    gprs: tuple[int, ...]
    eip: int
    eflags: int
    segments: tuple[Segment, ...]
    ldtr: Segment
    tr: Segment
    gdtr: TableRegister
    idtr: TableRegister
    crs: tuple[int, ...]
    cpl: int
