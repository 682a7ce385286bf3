"""Finds VMI ROMs in memory the traditional way: a signature at every 2 KiB of the option ROM area.

Pure: memory in, findings out. What a ROM holds is parse's to say; here is only where to look and what is passed over.

Source: the proposal of March 2006, "locating the ROM": C8000h to DFFFFh, signature, checksum, version. (The clients
that exist begin at C0000h and check no checksum.)
"""

from dataclasses import dataclass
from typing import Final

from rom import layout
from rom.layout import RomError
from rom.parse import Rom, parse

AREA: Final = range(0xC8000, 0xE0000)
"""Physical addresses of option ROMs."""
_LENGTH_AT: Final = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A ROM that a guest can use, at a physical address."""

    address: int
    rom: Rom


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An option ROM that is not taken; `reason` is one sentence."""

    address: int
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found and what was passed over, each by ascending address."""

    found: tuple[Found, ...]
    passed: tuple[PassedOver, ...]


def scan(memory: bytes, base: int = 0, area: range = AREA, step: int = layout.ALIGNMENT) -> Scan:
    """Looks for ROMs in `memory`, whose first byte is at physical address `base`.

    Every multiple of `step` in `area` that `memory` covers is looked at, inside other ROMs too. Places without 55 AA
    hold no ROM and are in neither list. Raises ValueError for a step below 1.
    """
    if step < 1:
        raise ValueError(f"a scan's step must be positive, not {step}")
    start = max(area.start, base)
    stop = min(area.stop, base + len(memory))
    signature = layout.ROM_SIGNATURE.to_bytes(2, "little")
    found: list[Found] = []
    passed: list[PassedOver] = []
    for address in range(-(-start // step) * step, stop, step):
        offset = address - base
        if not memory.startswith(signature, offset):
            continue
        match _judge(memory[offset : stop - base]):
            case Rom() as rom:
                found.append(Found(address, rom))
            case reason:
                passed.append(PassedOver(address, reason))
    return Scan(tuple(found), tuple(passed))


def _judge(image: bytes) -> Rom | str:
    """The ROM at the start of `image`, or why there is none to take."""
    try:
        rom = parse(image[: layout.CHUNK * max(image[_LENGTH_AT], 1)] if len(image) > _LENGTH_AT else image)
    except RomError as error:
        return str(error)
    return str(rom.errors[0]) if rom.errors else rom
