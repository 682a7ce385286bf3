"""Hardware task switches between 32-bit TSSs (SDM volume 3, chapter 7): by far JMP and CALL, by an event through a task
gate, and back by IRET with NT set.

Natively alone: a paravirtual guest's TSS is the hypervisor's. Pure: the switch is a list of effects, the stores to both
TSSs and their descriptors first. Up to those a fault is the old task's, raised as SegmentFault or PageFault; what is
wrong with the segments of the new task is a fault in the new task, the last effect. Not modelled: 16-bit TSSs, which
end the run, the debug trap bit, and tables that the two address spaces map differently.
"""

from collections.abc import Iterator
from enum import Enum
from struct import pack, unpack
from typing import Final, NamedTuple

from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.model.stops import Why
from pvtrace.x86 import descriptors, eflags
from pvtrace.x86.control_instructions import PG
from pvtrace.x86.control_instructions import TS as TASK_SWITCHED
from pvtrace.x86.descriptors import SegmentFault, SystemType
from pvtrace.x86.effects import (
    Effect,
    Effects,
    End,
    Raise,
    SetCr,
    SetEip,
    SetFlags,
    SetGpr,
    SetLdtr,
    SetSegment,
    SetTr,
    WriteMemory,
)
from pvtrace.x86.exceptions import GP, NP, SS, TS
from pvtrace.x86.operands import MASK32, check_store, push, within
from pvtrace.x86.tss import BUSY, SHORTEST
from pvtrace.x86.view import View

LINK: Final = 0
CR3: Final = 0x1C
EIP: Final = 0x20
SEGMENTS: Final = 0x48
LDT: Final = 0x60
"""Offsets in a 32-bit TSS (SDM volume 3, figure 7-2). From EIP on: EIP, EFLAGS, 8 general registers, 6 selectors."""

_SAVED: Final = LDT - EIP
_TYPE: Final = 5
"""Offset of the type byte in a descriptor."""

_TASK_TYPES: Final = (SystemType.TSS16, SystemType.TSS16_BUSY, SystemType.TSS32, SystemType.TSS32_BUSY)


class By(Enum):
    """What switches. JUMP and RETURN end the old task; CALL and EVENT nest the new one in it."""

    JUMP = "JMP"
    CALL = "CALL"
    RETURN = "IRET"
    EVENT = "event"


class Switched(NamedTuple):
    """`saved`: EFLAGS as stored for the old task; `image`, `cs`, `eip`, `ss`, `esp`: as the new task begins."""

    effects: Effects
    saved: int
    image: int
    cs: int
    eip: int
    ss: int
    esp: int


class _Task(NamedTuple):
    """What a TSS says of its task. `selectors` by Seg."""

    cr3: int
    eip: int
    eflags: int
    gprs: tuple[int, ...]
    selectors: tuple[int, ...]
    ldt: int


def is_task(attributes: int) -> bool:
    """Whether a descriptor names a TSS or is a task gate."""
    return descriptors.system_type(attributes) in (*_TASK_TYPES, SystemType.TASK_GATE)


def previous(view: View) -> int:
    """The selector that IRET with NT set returns to: the back link of the current TSS."""
    return int.from_bytes(view.read((view.tr.base + LINK) & MASK32, 2), "little")


def switch(
    view: View, selector: int, by: By, *, return_eip: int, error: int | None = None, external: int = 0
) -> Switched | End:
    """Switch to the task of a TSS's selector. `return_eip`: where the old task goes on; `error`: an error code for the
    new task's stack; `external`: the EXT bit of error codes. Raises SegmentFault or PageFault in the old task."""
    tss = _tss(view, selector, by, external)
    old = view.tr
    for segment in (tss, old):
        if descriptors.system_type(segment.attributes) in (SystemType.TSS16, SystemType.TSS16_BUSY):
            return End(Why.UNSUPPORTED, 0, f"a task switch with a 16-bit TSS (selector {segment.selector:04x})")
    if old.limit < EIP + _SAVED - 1:
        raise SegmentFault(TS, (old.selector & 0xFFFC) | external)
    task = _task(view.read(tss.base, SHORTEST + 1))
    nested = by in (By.CALL, By.EVENT)
    saved = eflags.guest_flags(view.eflags, view.system)
    if by is By.RETURN:
        saved &= ~eflags.NT
    image = task.eflags | eflags.FIXED | (eflags.NT if nested else 0)
    segments = _Segments(view, task, image, external)
    stores = (*_save(view, return_eip, saved), *_links(view, tss, by, nested))
    for store in stores:
        check_store(view, store.address, len(store.data))
    effects: tuple[Effect, ...] = (
        *stores,
        SetTr(Segment(tss.selector, tss.base, tss.limit, tss.attributes | BUSY)),
        SetCr(0, view.cr(0) | TASK_SWITCHED),
        *((SetCr(3, task.cr3),) if view.cr(0) & PG else ()),
        *(SetGpr(register, task.gprs[register]) for register in Gpr),
        SetFlags(image, eflags.DEFINED),
        *segments.effects(),
        SetEip(task.eip),
    )
    fault, esp = segments.fault, task.gprs[Gpr.ESP]
    if fault is None and not within(segments.loaded[Seg.CS], task.eip, 1):
        fault = Raise(GP, external)
    if fault is None and error is not None:
        try:
            pushed, esp = push(segments.loaded[Seg.SS], esp, (error,), 4, user=segments.cpl == 3)
            effects = (*effects, *pushed, SetGpr(Gpr.ESP, esp))
        except SegmentFault:
            fault = Raise(SS, external)
    if fault is not None:
        effects = (*effects, fault)
    return Switched(effects, saved, image, task.selectors[Seg.CS], task.eip, task.selectors[Seg.SS], esp)


def _tss(view: View, selector: int, by: By, external: int) -> Segment:
    """The descriptor of the new task's TSS, after all checks on it (SDM volume 3, 7.3; volume 2, JMP and IRET)."""
    vector = TS if by is By.RETURN else GP
    error = (selector & 0xFFFC) | external
    if selector & 4 or descriptors.is_null(selector):
        raise SegmentFault(vector, error)
    tss = descriptors.load(view, selector, vector, external)
    wanted = (SystemType.TSS16_BUSY, SystemType.TSS32_BUSY) if by is By.RETURN else (SystemType.TSS16, SystemType.TSS32)
    kind = descriptors.system_type(tss.attributes)
    if kind not in wanted:
        raise SegmentFault(vector, error)
    if not descriptors.is_present(tss.attributes):
        raise SegmentFault(NP, error)
    if kind in (SystemType.TSS32, SystemType.TSS32_BUSY) and tss.limit < SHORTEST:
        raise SegmentFault(TS, error)
    return tss


def _task(raw: bytes) -> _Task:
    words = unpack("<26I", raw[:104])
    first = EIP // 4
    selectors = tuple(word & 0xFFFF for word in words[SEGMENTS // 4 : LDT // 4])
    ldt = words[LDT // 4] & 0xFFFF
    return _Task(words[CR3 // 4], words[first], words[first + 1], words[first + 2 : first + 10], selectors, ldt)


def _save(view: View, return_eip: int, saved: int) -> Iterator[WriteMemory]:
    """The stores of the old task's state: the upper halves of the selectors' words stay as they are."""
    base = view.tr.base
    gprs = (view.gpr(register) for register in Gpr)
    yield WriteMemory((base + EIP) & MASK32, pack("<10I", return_eip, saved, *gprs))
    for register in Seg:
        data = view.segment(register).selector.to_bytes(2, "little")
        yield WriteMemory((base + SEGMENTS + 4 * register) & MASK32, data)


def _links(view: View, tss: Segment, by: By, nested: bool) -> Iterator[WriteMemory]:
    """The stores that mark the tasks busy or available, and link a nested one to its caller."""
    old = view.tr
    if not nested:
        yield _marked(view, old, busy=False)
    if by is not By.RETURN:
        yield _marked(view, tss, busy=True)
    if nested:
        yield WriteMemory((tss.base + LINK) & MASK32, old.selector.to_bytes(2, "little"))


def _marked(view: View, tss: Segment, *, busy: bool) -> WriteMemory:
    address = descriptors.descriptor_address(view, tss.selector)
    if address is None:
        raise SegmentFault(TS, tss.selector & 0xFFFC)
    attributes = tss.attributes | BUSY if busy else tss.attributes & ~BUSY
    return WriteMemory((address + _TYPE) & MASK32, bytes([(attributes >> 8) & 0xFF]))


class _Segments:
    """The segment registers of a task as they are loaded one after the other: LDTR, CS, SS and the data segments.

    `fault`: the first that cannot be loaded; it and those behind it hold their selectors and no segment.
    """

    def __init__(self, view: View, task: _Task, image: int, external: int) -> None:
        self._external = external
        self.fault: Raise | None = None
        self.ldtr = descriptors.null_segment(task.ldt)
        self.v8086 = bool(image & eflags.VM)
        self.cpl = 3 if self.v8086 else task.selectors[Seg.CS] & 3
        hollow = descriptors.with_dpl(0, self.cpl)
        self.loaded = {register: Segment(task.selectors[register], 0, 0, hollow) for register in Seg}
        try:
            self.ldtr = self._ldt(view, task.ldt)
            for register in (Seg.CS, Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS):
                selector = task.selectors[register]
                self.loaded[register] = (
                    descriptors.v8086_segment(selector) if self.v8086 else self._segment(view, register, selector)
                )
        except SegmentFault as refused:
            self.fault = Raise(refused.vector, refused.error)

    def effects(self) -> Iterator[Effect]:
        yield SetLdtr(self.ldtr)
        for register in Seg:
            yield SetSegment(register, self.loaded[register])

    def _ldt(self, view: View, selector: int) -> Segment:
        if descriptors.is_null(selector):
            return descriptors.null_segment(selector)
        error = (selector & 0xFFFC) | self._external
        if selector & 4:
            raise SegmentFault(TS, error)
        segment = descriptors.load(view, selector, TS, self._external)
        if descriptors.system_type(segment.attributes) != SystemType.LDT or not descriptors.is_present(
            segment.attributes
        ):
            raise SegmentFault(TS, error)
        return segment

    def _segment(self, view: View, register: Seg, selector: int) -> Segment:
        """A segment of the new task (SDM volume 3, table 7-1)."""
        error = (selector & 0xFFFC) | self._external
        if descriptors.is_null(selector):
            if register in (Seg.CS, Seg.SS):
                raise SegmentFault(TS, error)
            return descriptors.null_segment(selector)
        segment = self._load(view, selector)
        if not self._fits(register, segment):
            raise SegmentFault(TS, error)
        if not descriptors.is_present(segment.attributes):
            raise SegmentFault(SS if register is Seg.SS else NP, error)
        return segment

    def _load(self, view: View, selector: int) -> Segment:
        """As `descriptors.load`, with the new task's LDT."""
        if not selector & 4:
            return descriptors.load(view, selector, TS, self._external)
        offset = selector & 0xFFF8
        if descriptors.is_null(self.ldtr.selector) or offset + 7 > self.ldtr.limit:
            raise SegmentFault(TS, (selector & 0xFFFC) | self._external)
        lo, hi = unpack("<II", view.read((self.ldtr.base + offset) & MASK32, 8))
        return descriptors.segment_from_descriptor(selector, lo, hi)

    def _fits(self, register: Seg, segment: Segment) -> bool:
        attributes, cpl = segment.attributes, self.cpl
        conforming = descriptors.is_conforming(attributes)
        match register:
            case Seg.CS:
                return descriptors.is_code(attributes) and (segment.dpl <= cpl if conforming else segment.dpl == cpl)
            case Seg.SS:
                return descriptors.is_writable_data(attributes) and segment.dpl == cpl == segment.rpl
            case _:
                readable = attributes & descriptors.NOT_SYSTEM and (
                    not descriptors.is_code(attributes) or attributes & descriptors.WRITABLE
                )
                return bool(readable) and (conforming or segment.dpl >= max(cpl, segment.rpl))
