"""What the processor reads from the current task state segment: inner stacks and the I/O permission bitmap.

SDM volume 3, 7.2.1 and 7.6; volume 1, 18.5.2. Reads only.
"""

from typing import Final

from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import SegmentFault, SystemType, system_type
from pvtrace.x86.exceptions import TS
from pvtrace.x86.view import View

BUSY: Final = 2 << 8
IO_MAP_BASE: Final = 102
SHORTEST: Final = 103  # limit of the smallest 32-bit TSS


def is_tss32(attributes: int) -> bool:
    return system_type(attributes) in (SystemType.TSS32, SystemType.TSS32_BUSY)


def inner_stack(view: View, ring: int, external: int = 0) -> tuple[int, int]:
    """(SS selector, ESP) for entries to privilege level `ring`. SegmentFault #TS if the TSS does not reach so far."""
    tr = view.tr
    if is_tss32(tr.attributes):
        offset, size = ring * 8 + 4, 4
    else:
        offset, size = ring * 4 + 2, 2
    if offset + size + 1 > tr.limit:
        raise SegmentFault(TS, (tr.selector & 0xFFFC) | external)
    raw = view.read(tr.base + offset, size + 2)
    return int.from_bytes(raw[size:], "little"), int.from_bytes(raw[:size], "little")


def io_allowed(view: View, port: int, width: int) -> bool:
    """Whether the code that runs now may access `width` bytes from `port` on; False means #GP(0).

    A paravirtual kernel counts as CPL 0. May raise PageFault while it reads the bitmap.
    """
    system = view.system
    v8086 = bool(view.eflags & eflags.VM)
    if not view.cr(0) & 1:
        return True
    cpl = 0 if system.paravirtual and view.cpl < 3 else view.cpl
    if cpl <= system.viopl and not v8086:
        return True
    tr = view.tr
    if not is_tss32(tr.attributes) or tr.limit < SHORTEST:
        return False
    first = int.from_bytes(view.read(tr.base + IO_MAP_BASE, 2), "little") + port // 8
    if first + 1 > tr.limit:
        return False
    bits = int.from_bytes(view.read(tr.base + first, 2), "little") >> (port & 7)
    return bits & ((1 << width) - 1) == 0
