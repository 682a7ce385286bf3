"""The virtual-native state: what native hardware would hold where this machine holds something else.

Everything else is the same on both and is read from the machine (native_view). Frozen; `judge` replaces it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from pvtrace.x86 import eflags

Image = tuple[int, int]
"""A descriptor's low and high doubleword."""

MOST_IMAGES: Final = 4096
"""EFLAGS images on stacks that are remembered; the oldest go first. Only those that would be another natively are."""

OWNED: Final = eflags.IF | eflags.IOPL
"""The bits of an EFLAGS image that a deprivileged CPU keeps from the guest."""

_NO_IMAGES: Final[Mapping[int, tuple[int, int, int | None]]] = MappingProxyType({})
_NO_TABLES: Final[Mapping[int, tuple[Image, Image]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shadow:
    """`vif`, `iopl`: native IF and IOPL. `section`: index of the finding since which native IF is off where the
    machine's is on, or the other way round; None where they agree.

    `images`: EFLAGS images in memory that natively would be others: linear address to (the image there, the native
    image, the section that it belongs to). `tables`: descriptors that the machine rewrote: linear address to (what it
    stored, what the guest had supplied). `sysenter_cs`: the native MSR, where entering virtual-8086 mode has cleared
    the machine's; None where they agree. `cr0`, `cr4`: bits that the guest has switched off natively and that stay on
    here.
    """

    vif: bool = False
    iopl: int = 0
    section: int | None = None
    images: Mapping[int, tuple[int, int, int | None]] = field(default_factory=lambda: _NO_IMAGES)
    tables: Mapping[int, tuple[Image, Image]] = field(default_factory=lambda: _NO_TABLES)
    sysenter_cs: int | None = None
    cr0: int = 0
    cr4: int = 0

    def flags(self, image: int) -> int:
        """The EFLAGS with native IF and IOPL."""
        return image & ~OWNED | (eflags.IF if self.vif else 0) | self.iopl << eflags.IOPL_SHIFT

    def remembering(self, address: int, image: int, native: int, section: int | None) -> "Shadow":
        """An image was stored at a linear address; only its IF and IOPL may differ."""
        if image == native:
            return self.forgetting(address)
        images = {known: entry for known, entry in self.images.items() if known != address}
        if len(images) >= MOST_IMAGES:
            del images[next(iter(images))]
        images[address] = (image, native, section)
        return replace(self, images=MappingProxyType(images))

    def forgetting(self, address: int) -> "Shadow":
        if address not in self.images:
            return self
        images = {known: entry for known, entry in self.images.items() if known != address}
        return replace(self, images=MappingProxyType(images))

    def native_image(self, address: int, image: int) -> tuple[int, int | None]:
        """What an image that is read from this address would be natively, and the section it belongs to.

        Bits that were changed since it was stored were changed by the guest, and would be natively as well.
        """
        known = self.images.get(address)
        if known is None:
            return image, None
        stored, native, section = known
        taken = (stored ^ native) & OWNED & ~(stored ^ image)
        return image ^ taken, section

    def supplied(self, address: int, now: Image) -> Image:
        """The descriptor at this address as the guest supplied it, given what is there now."""
        written, original = self.tables.get(address, (now, now))
        return original if written == now else now

    def with_tables(self, stores: Mapping[int, tuple[Image, Image]]) -> "Shadow":
        return replace(self, tables=MappingProxyType({**self.tables, **stores})) if stores else self
