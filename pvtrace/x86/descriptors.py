"""Segment descriptors and gates: parse, encode, load from the guest's tables.

Descriptors are two doublewords, `lo` and `hi`, as in memory (SDM volume 3, 3.4.5 and 6.11). The functions that take a
View read the guest's tables and may raise PageFault; nothing here writes.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from pvtrace.model.registers import Segment
from pvtrace.x86.exceptions import GP
from pvtrace.x86.view import View

ACCESSED: Final = 1 << 8
WRITABLE: Final = 1 << 9  # of data; readable, of code
CONFORMING: Final = 1 << 10  # of code; expand-down, of data
EXPAND_DOWN: Final = 1 << 10
CODE: Final = 1 << 11
NOT_SYSTEM: Final = 1 << 12  # the S bit
DPL_SHIFT: Final = 13
DPL: Final = 3 << DPL_SHIFT
PRESENT: Final = 1 << 15
BIG: Final = 1 << 22
GRANULAR: Final = 1 << 23
ATTRIBUTES: Final = 0x00F0FF00
LIMIT_LOW: Final = 0x0000FFFF  # in the low doubleword
LIMIT_HIGH: Final = 0x000F0000

FLAT_CODE: Final = GRANULAR | BIG | PRESENT | NOT_SYSTEM | CODE | WRITABLE | ACCESSED
FLAT_DATA: Final = GRANULAR | BIG | PRESENT | NOT_SYSTEM | WRITABLE | ACCESSED
NO_HOLE: Final = 1 << 32
KERNEL_RING: Final = 1
"""The privilege level of a paravirtual guest's kernel."""

USER_RING: Final = 3
"""The privilege level of user code, on every machine."""


class SystemType(IntEnum):
    """Type field of descriptors with S = 0 (SDM volume 3, table 3-2)."""

    TSS16 = 1
    LDT = 2
    TSS16_BUSY = 3
    CALL_GATE16 = 4
    TASK_GATE = 5
    INTERRUPT_GATE16 = 6
    TRAP_GATE16 = 7
    TSS32 = 9
    TSS32_BUSY = 11
    CALL_GATE32 = 12
    INTERRUPT_GATE32 = 14
    TRAP_GATE32 = 15


class SegmentFault(Exception):
    """A selector, descriptor or stack cannot be used. `vector` and `error`: the exception that the processor raises."""

    def __init__(self, vector: int, error: int) -> None:
        super().__init__(f"exception {vector}, error code {error:#x}")
        self.vector = vector
        self.error = error


def is_code(attributes: int) -> bool:
    return attributes & (NOT_SYSTEM | CODE) == NOT_SYSTEM | CODE


def is_conforming(attributes: int) -> bool:
    return is_code(attributes) and bool(attributes & CONFORMING)


def is_writable_data(attributes: int) -> bool:
    return attributes & (NOT_SYSTEM | CODE | WRITABLE) == NOT_SYSTEM | WRITABLE


def is_present(attributes: int) -> bool:
    return bool(attributes & PRESENT)


def dpl(attributes: int) -> int:
    return (attributes >> DPL_SHIFT) & 3


def with_dpl(attributes: int, level: int) -> int:
    return (attributes & ~DPL) | (level << DPL_SHIFT)


def system_type(attributes: int) -> int | None:
    """The type field if S = 0, else None."""
    return None if attributes & NOT_SYSTEM else (attributes >> 8) & 15


def segment_from_descriptor(selector: int, lo: int, hi: int) -> Segment:
    """The segment register that loading this descriptor makes; no check of any kind."""
    base = (lo >> 16) | ((hi & 0xFF) << 16) | (hi & 0xFF000000)
    limit = (lo & 0xFFFF) | (hi & 0x000F0000)
    if hi & GRANULAR:
        limit = (limit << 12) | 0xFFF
    return Segment(selector, base, limit, hi & ATTRIBUTES)


def encode_segment(segment: Segment) -> tuple[int, int]:
    """The descriptor (lo, hi) of a segment register. Granular limits lose their low 12 bits, which are ones."""
    limit = segment.limit >> 12 if segment.attributes & GRANULAR else segment.limit
    base = segment.base
    lo = (limit & 0xFFFF) | ((base & 0xFFFF) << 16)
    hi = ((base >> 16) & 0xFF) | segment.attributes | (limit & 0x000F0000) | (base & 0xFF000000)
    return lo, hi


class Gate(NamedTuple):
    """An interrupt, trap, task or call gate. `type` is the raw type field: any value, hostile ones too."""

    selector: int
    offset: int
    type: int
    dpl: int
    present: bool

    @property
    def wide(self) -> bool:
        """Whether it pushes doublewords."""
        return bool(self.type & 8)


def gate_from_descriptor(lo: int, hi: int) -> Gate:
    """`type` includes the S bit as bit 4, so that no code or data descriptor passes for a gate."""
    offset = (lo & 0xFFFF) | (hi & 0xFFFF0000)
    kind = (hi >> 8) & 0x1F
    return Gate(lo >> 16, offset if kind & 8 else offset & 0xFFFF, kind, (hi >> 13) & 3, bool(hi & PRESENT))


def encode_gate(gate: Gate) -> tuple[int, int]:
    hi = (gate.offset & 0xFFFF0000) | (gate.type << 8) | (gate.dpl << 13) | (PRESENT if gate.present else 0)
    return (gate.offset & 0xFFFF) | (gate.selector << 16), hi


def null_segment(selector: int = 0) -> Segment:
    return Segment(selector, 0, 0, 0)


def real_mode_segment(selector: int, old: Segment) -> Segment:
    """What a load in real mode makes: only selector and base change (SDM volume 3, 20.1.1)."""
    return Segment(selector, selector << 4, old.limit, old.attributes)


def v8086_segment(selector: int) -> Segment:
    """64 KiB of writable data at privilege level 3 (SDM volume 3, 20.2.1)."""
    return Segment(selector, selector << 4, 0xFFFF, PRESENT | DPL | NOT_SYSTEM | WRITABLE | ACCESSED)


def flat(selector: int, level: int, *, code: bool, hole: int = 1 << 32) -> Segment:
    """A segment from 0 to the end of the guest's linear space, as SYSENTER and SYSEXIT make it."""
    return Segment(selector, 0, hole - 1, with_dpl(FLAT_CODE if code else FLAT_DATA, level))


def is_null(selector: int) -> bool:
    return selector & 0xFFFC == 0


def descriptor_address(view: View, selector: int) -> int | None:
    """Linear address of the selector's descriptor; None if it lies outside its table."""
    if selector & 4:
        table_base, limit = view.ldtr.base, view.ldtr.limit
        if is_null(view.ldtr.selector):
            return None
    else:
        table_base, limit = view.gdtr.base, view.gdtr.limit
    offset = selector & 0xFFF8
    return (table_base + offset) & 0xFFFFFFFF if offset + 7 <= limit else None


def fetch(view: View, selector: int) -> tuple[int, int] | None:
    """The selector's descriptor (lo, hi) from the GDT or LDT; None if it lies outside its table."""
    address = descriptor_address(view, selector)
    if address is None:
        return None
    raw = view.read(address, 8)
    return int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")


def load(view: View, selector: int, vector: int = GP, external: int = 0) -> Segment:
    """The segment of a selector that is not null. Outside its table: SegmentFault `vector` with the selector."""
    descriptor = fetch(view, selector)
    if descriptor is None:
        raise SegmentFault(vector, (selector & 0xFFFC) | external)
    return segment_from_descriptor(selector, *descriptor)


def deprivileged(lo: int, hi: int, hole: int) -> tuple[int, int]:
    """The descriptor as a paravirtual guest must have it: kernel segments at KERNEL_RING, ending below `hole`. Without
    one no limit is clipped, not even of a segment that wraps.

    Code and data only; others come back unchanged. A segment that begins in the hole is marked not present.
    Expand-down segments keep their limit: they reach up to the end of linear space only by wrapping, which the
    refusal of the hypervisor's pages catches.
    """
    if not hi & NOT_SYSTEM or not hi & PRESENT:
        return lo, hi
    if dpl(hi) < KERNEL_RING:
        hi = with_dpl(hi, KERNEL_RING)
    segment = segment_from_descriptor(0, lo, hi)
    if hole >= NO_HOLE:
        return lo, hi
    if segment.base >= hole:
        return lo, hi & ~PRESENT
    if not hi & CODE and hi & EXPAND_DOWN:
        return lo, hi
    limit = min(segment.limit, hole - 1 - segment.base)
    if limit == segment.limit:
        return lo, hi
    raw = ((limit + 1) >> 12) - 1 if hi & GRANULAR else limit
    if raw < 0:
        return lo, hi & ~PRESENT
    return (lo & 0xFFFF0000) | (raw & 0xFFFF), (hi & ~0x000F0000) | (raw & 0x000F0000)
