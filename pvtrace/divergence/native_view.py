"""The machine as it would look natively: a View for the same pure handlers, which then say what they would do there.

It differs from the machine in what VMI changes and in nothing else: the kernel is at privilege level 0, IF and IOPL are
the native ones, selectors and descriptors are what the guest supplied, and no hypervisor lives in linear space.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from struct import pack, unpack, unpack_from
from typing import TYPE_CHECKING, Final

from pvtrace.divergence.quiet_view import QuietView
from pvtrace.divergence.shadow import Image, Shadow
from pvtrace.model.registers import Gpr, Segment
from pvtrace.vmi.call import Call
from pvtrace.x86 import descriptors
from pvtrace.x86.descriptors import KERNEL_RING, NO_HOLE, deprivileged, is_null, segment_from_descriptor
from pvtrace.x86.eflags import VM
from pvtrace.x86.fast_calls import SYSENTER_CS
from pvtrace.x86.operands import MASK32
from pvtrace.x86.selector_operands import NONE, Selectors
from pvtrace.x86.state import System
from pvtrace.x86.view import PageFault

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

_ENTRY: Final = 8
_IMAGE: Final = 4
_FRAME_CS: Final = 4


def native_selector(selector: int) -> int:
    """A kernel's selector has RPL 0 natively. A guest uses rings 0 and 3 alone (vmi: privilege model)."""
    return selector & ~3 if selector & 3 == KERNEL_RING else selector


class NativeView(QuietView):
    """See x86.view.View. Of a guest that is native already it is the guest as it is."""

    __slots__ = ("_frame", "_segments", "_selectors", "_shadow", "_site", "_system")

    def __init__(
        self,
        machine: "Machine",
        shadow: Shadow,
        *,
        call: Call | None = None,
        frame: int | None = None,
        selectors: Selectors = NONE,
    ) -> None:
        """`call`: a VMI call that was made, and natively was not; `frame`: linear address of EIP, CS and EFLAGS that
        IRET is about to take; `selectors`: those that another instruction is about to take."""
        super().__init__(machine)
        self._shadow = shadow
        self._segments: dict[int, Segment] = {}
        self._system: System | None = None
        self._site = None if call is None else call.site
        self._frame = frame
        self._selectors = selectors if super().cpl == KERNEL_RING else NONE
        if machine.system.paravirtual:
            self.read = self._native_read
            self.cr = self._native_cr
            self.segment = self._native_segment
        if self._selectors.registers:
            self.gpr = self._native_gpr
        if call is not None:
            gpr, esp = self.gpr, call.esp + 4 & MASK32
            self.gpr = lambda register: esp if register == Gpr.ESP else gpr(register)

    @property
    def eip(self) -> int:
        return super().eip if self._site is None else self._site

    @property
    def cpl(self) -> int:
        level = super().cpl
        return 0 if level == KERNEL_RING and self._machine.system.paravirtual else level

    @property
    def eflags(self) -> int:
        """Natively the real flags are the guest's."""
        real = super().eflags
        return self._shadow.flags(real) if self._machine.system.paravirtual else real

    @property
    def system(self) -> System:
        """A view is of one moment: it asks once."""
        if self._system is None:
            self._system = self._native_system()
        return self._system

    def _native_system(self) -> System:
        system, shadow = self._machine.system, self._shadow
        if not system.paravirtual:
            return system
        msrs = system.msrs
        if shadow.sysenter_cs is not None:
            msrs = system.with_msr(SYSENTER_CS, shadow.sysenter_cs)
        return replace(
            system, paravirtual=False, vif=shadow.vif, viopl=shadow.iopl, hole=NO_HOLE, kernel_stack=None, msrs=msrs
        )

    def _native_segment(self, register: int) -> Segment:
        """It asks once, too."""
        known = self._segments.get(register)
        if known is None:
            known = self._segments[register] = self._as_supplied(self._machine.cpu.segment(register))
        return known

    def _as_supplied(self, segment: Segment) -> Segment:
        """The register as loading the guest's own descriptor would have made it, if it was loaded from that."""
        if is_null(segment.selector) or self.eflags & VM:
            return segment
        images = tuple(self._images(native_selector(segment.selector)))
        return _as_supplied(segment, images, self._machine.system.hole)

    def _images(self, selector: int) -> Iterator[Image]:
        """What the guest has supplied for a descriptor: as it is now, and as it was when the machine rewrote it."""
        try:
            address = descriptors.descriptor_address(self, selector)
            image = descriptors.fetch(self, selector)
        except PageFault:
            return
        if address is None or image is None:
            return
        yield image
        if address in self._shadow.tables:
            yield self._shadow.tables[address][1]

    def _native_read(self, address: int, size: int, user: bool = False) -> bytes:
        data, shadow = self._peek(address, size, user), self._shadow
        if size == _ENTRY and address in shadow.tables:
            low, high = unpack("<II", data)
            return pack("<II", *shadow.supplied(address, (low, high)))
        for at in shadow.images:
            if 0 <= at - address <= size - _IMAGE:
                offset = at - address
                (here,) = unpack_from("<I", data, offset)
                native, _ = shadow.native_image(at, here)
                data = data[:offset] + pack("<I", native) + data[offset + _IMAGE :]
        for at in self._selectors.addresses:
            if 0 <= at - address < size:
                offset = at - address
                data = data[:offset] + bytes([native_selector(data[offset])]) + data[offset + 1 :]
        return data if self._frame is None else self._with_native_cs(address, data, self._frame)

    def _native_gpr(self, register: int) -> int:
        value = self._machine.cpu.gpr(register)
        return native_selector(value) if register in self._selectors.registers else value

    def _with_native_cs(self, address: int, data: bytes, frame: int) -> bytes:
        """CS in the frame of a return to the kernel, as natively it was pushed."""
        offset = frame + _FRAME_CS - address
        if not 0 <= offset <= len(data) - 4:
            return data
        cs, image = unpack("<II", self._peek(frame + _FRAME_CS, 8))
        if image & VM:
            return data
        return data[:offset] + pack("<I", native_selector(cs)) + data[offset + 4 :]

    def _native_cr(self, number: int) -> int:
        value = self._machine.cpu.cr(number)
        match number:
            case 0:
                return value ^ self._shadow.cr0
            case 4:
                return value ^ self._shadow.cr4
            case _:
                return value


@lru_cache(maxsize=256)
def _as_supplied(segment: Segment, images: tuple[Image, ...], hole: int) -> Segment:
    """See NativeView._as_supplied. Kernels load few segments, again and again."""
    selector = native_selector(segment.selector)
    for image in images:
        here = segment_from_descriptor(segment.selector, *deprivileged(*image, hole))
        if (here.base, here.limit) == (segment.base, segment.limit):
            return segment_from_descriptor(selector, *image)
    level = 0 if segment.dpl == KERNEL_RING else segment.dpl
    return segment._replace(selector=selector, attributes=descriptors.with_dpl(segment.attributes, level))
