"""The virtual-native state: what native hardware would hold where this machine holds something else.

Everything else is the same on both and is read from the machine (native_view). Frozen; `judge` replaces it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, NamedTuple

from pvtrace.model.events import Kind
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import DPL, LIMIT_HIGH, LIMIT_LOW, NOT_SYSTEM, PRESENT
from pvtrace.x86.disasm import LONGEST

Image = tuple[int, int]
"""A descriptor's low and high doubleword."""

MOST_IMAGES: Final = 4096
"""EFLAGS images on stacks that are remembered; the oldest go first. Only those that would be another natively are."""

MOST_LEFT: Final = 1024
"""Ways back that are awaited; the oldest go first. A kernel that abandons its frames would leave ever more."""

Way = tuple[int, int]
"""The way back to code that was left for the kernel: 0 and the linear address of the EFLAGS image in its frame.
SYSENTER leaves no frame: then it is CR3 and the ESP of the user code."""


class Back(NamedTuple):
    """Where an entry's frame returns to. `esp`: 0 if the frame has none, which is one of the kernel itself."""

    eip: int
    cs: int
    esp: int

    def is_still(self, now: "Back") -> bool:
        """Whether the frame that is there now can be the one that was pushed: a handler may have it skip or repeat an
        instruction. Anything else may be a new frame at the same place, and is not believed to be the old one."""
        return abs(self.eip - now.eip) <= LONGEST and (self.cs, self.esp) == (now.cs, now.esp)


class Stored(NamedTuple):
    """An EFLAGS image in memory, and what it would be natively. `section`: the one that it belongs to; `back`: of an
    entry's frame."""

    image: int
    native: int
    section: int | None
    back: Back | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """A section without interrupts was left for the kernel, and nobody has returned to it yet. `by`: the kind of entry;
    `elsewhere`: user code of somebody else has run since."""

    section: int
    by: Kind
    elsewhere: bool = False


OWNED: Final = eflags.IF | eflags.IOPL
"""The bits of an EFLAGS image that a deprivileged CPU keeps from the guest."""

_NO_IMAGES: Final[Mapping[int, Stored]] = MappingProxyType({})
_NO_SAVES: Final[Mapping[int, int]] = MappingProxyType({})
_NONE_LEFT: Final[Mapping[Way, Left]] = MappingProxyType({})
_CHANGED: Final = ((LIMIT_LOW, LIMIT_HIGH), (0, DPL), (0, PRESENT))
"""The fields of a descriptor that the machine changes, as masks of its two doublewords."""

_NO_TABLES: Final[Mapping[int, tuple[Image, Image]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shadow:
    """`vif`, `iopl`: native IF and IOPL. `section`: index of the finding since which native IF is off where the
    machine's is on, or the other way round; None where they agree.

    `images`: EFLAGS images in memory that natively would be others, by linear address. `saves`: what PUSHF has stored,
    by linear address. `left`: the sections that wait for a return. `tables`: descriptors that the machine rewrote:
    linear address to (what it stored, what the guest had supplied). `sysenter_cs`: the native MSR, where entering
    virtual-8086 mode has cleared the machine's; None where they agree. `cr0`, `cr4`: bits that the guest
    has switched natively and that stay as they were here.
    """

    vif: bool = False
    iopl: int = 0
    section: int | None = None
    images: Mapping[int, Stored] = field(default_factory=lambda: _NO_IMAGES)
    saves: Mapping[int, int] = field(default_factory=lambda: _NO_SAVES)
    left: Mapping[Way, Left] = field(default_factory=lambda: _NONE_LEFT)
    tables: Mapping[int, tuple[Image, Image]] = field(default_factory=lambda: _NO_TABLES)
    sysenter_cs: int | None = None
    cr0: int = 0
    cr4: int = 0

    @property
    def masked(self) -> int | None:
        """The section that the guest is in: natively IF is off and an interrupt would wait; the machine's is on."""
        return None if self.vif else self.section

    def flags(self, image: int) -> int:
        """The EFLAGS with native IF and IOPL."""
        return image & ~OWNED | (eflags.IF if self.vif else 0) | self.iopl << eflags.IOPL_SHIFT

    def remembering(
        self, address: int, image: int, native: int, section: int | None, back: Back | None = None
    ) -> "Shadow":
        """An image was stored at a linear address; only its IF and IOPL may differ."""
        if image == native:
            return self.forgetting(address)
        images = {known: entry for known, entry in self.images.items() if known != address}
        if len(images) >= MOST_IMAGES:
            del images[next(iter(images))]
        images[address] = Stored(image, native, section, back)
        return replace(self, images=MappingProxyType(images))

    def forgetting(self, address: int) -> "Shadow":
        if address not in self.images and address not in self.saves:
            return self
        images = {known: entry for known, entry in self.images.items() if known != address}
        saves = {known: entry for known, entry in self.saves.items() if known != address}
        return replace(self, images=MappingProxyType(images), saves=MappingProxyType(saves))

    def saving(self, address: int, image: int) -> "Shadow":
        """PUSHF has stored an image."""
        if self.saves.get(address) == image:
            return self
        saves = {known: entry for known, entry in self.saves.items() if known != address}
        if len(saves) >= MOST_IMAGES:
            del saves[next(iter(saves))]
        return replace(self, saves=MappingProxyType({**saves, address: image}))

    def leaving(self, way: Way, by: Kind) -> "Shadow":
        """The kernel was entered, and this is the way back. A frame at the same place has lost its meaning."""
        shadow = self.returning(way)
        if self.masked is None:
            return shadow
        left = {**shadow.left, way: Left(self.masked, by)}
        if len(left) > MOST_LEFT:
            del left[next(iter(left))]
        return replace(shadow, left=MappingProxyType(left))

    def returning(self, way: Way) -> "Shadow":
        """The kernel goes this way; entries that the same section has nested in it are over as well."""
        if way not in self.left:
            return self
        section, ways = self.left[way].section, list(self.left)
        over = {each for each in ways[ways.index(way) :] if self.left[each].section == section}
        left = {each: entry for each, entry in self.left.items() if each not in over}
        return replace(self, left=MappingProxyType(left))

    def running_elsewhere(self) -> "Shadow":
        """User code runs that is in none of the sections that were left."""
        if all(entry.elsewhere for entry in self.left.values()):
            return self
        left = {way: replace(entry, elsewhere=True) for way, entry in self.left.items()}
        return replace(self, left=MappingProxyType(left))

    def native_image(self, address: int, image: int) -> tuple[int, int | None]:
        """What an image that is read from this address would be natively, and the section it belongs to.

        Bits that were changed since it was stored were changed by the guest, and would be natively as well. What nobody
        can see is a bit set that showed as set.
        """
        known = self.images.get(address)
        if known is None:
            return image, None
        taken = (known.image ^ known.native) & OWNED & ~(known.image ^ image)
        return image ^ taken, known.section

    def supplied(self, address: int, now: Image) -> Image:
        """The descriptor at this address as it would be natively, given what is there now.

        What the machine changes are limit, DPL and P. Where one of them is still as the machine stored it, it is
        natively as the guest supplied it; all else the guest, or the processor, has changed natively as well.
        """
        known = self.tables.get(address)
        if known is None or (known[0][1] ^ now[1]) & NOT_SYSTEM:
            return now
        (low, high), (low_native, high_native) = known
        mask_low = mask_high = 0
        for changed_low, changed_high in _CHANGED:
            if not ((low ^ now[0]) & changed_low or (high ^ now[1]) & changed_high):
                mask_low, mask_high = mask_low | changed_low, mask_high | changed_high
        return now[0] & ~mask_low | low_native & mask_low, now[1] & ~mask_high | high_native & mask_high

    def with_tables(self, stores: Mapping[int, tuple[Image, Image]]) -> "Shadow":
        return replace(self, tables=MappingProxyType({**self.tables, **stores})) if stores else self
