"""Loads from a descriptor that the machine has rewritten: the guest reads another than it supplied.

That it is written otherwise is found where it is written (rules.descriptors).
"""

from collections.abc import Iterator
from struct import pack, unpack
from typing import Final

from pvtrace.divergence.rules.rule import LoadRule
from pvtrace.divergence.scenes import Loaded
from pvtrace.model.findings import Finding, Shown
from pvtrace.x86.guest_tables import ENTRY
from pvtrace.x86.view import PageFault

_WIDEST: Final = 8
"""Bytes that are shown as one number."""


def read_back(scene: Loaded) -> Iterator[Finding]:
    try:
        here = scene.view.read(scene.address, scene.width)
    except PageFault:
        return
    native = _natively(scene, here)
    if native != here:
        yield scene.finding(
            "descriptor-image",
            f"mem:{scene.address:08x}",
            native=_shown(native),
            paravirtual=_shown(here),
            text=f"{scene.instruction.mnemonic} reads {_words(here)} from a descriptor table at {scene.address:08x}; "
            f"natively {_words(native)}",
        )


def _natively(scene: Loaded, here: bytes) -> bytes:
    """The bytes with each rewritten descriptor as it was supplied."""
    native = bytearray(here)
    for entry in scene.shadow.tables:
        start = entry - scene.address
        if not -ENTRY < start < scene.width:
            continue
        low, high = unpack("<II", scene.view.read(entry, ENTRY))
        supplied = pack("<II", *scene.shadow.supplied(entry, (low, high)))
        for at in range(max(start, 0), min(start + ENTRY, scene.width)):
            native[at] = supplied[at - start]
    return bytes(native)


def _shown(data: bytes) -> Shown:
    return int.from_bytes(data, "little") if len(data) <= _WIDEST else data.hex(" ")


def _words(data: bytes) -> str:
    return f"{int.from_bytes(data, 'little'):#x}" if len(data) <= _WIDEST else data.hex(" ")


LOADS: Final[tuple[LoadRule, ...]] = (read_back,)
