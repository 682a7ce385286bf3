"""Interrupt messages: what an IO-APIC, or a write to the interrupt command register, sends to local APICs.

Values alone. Sources: SDM volume 3, 10.6 and 10.11; 82093AA data sheet (290566), "I/O redirection table registers",
whose low words have the same form.
"""

from enum import IntEnum
from typing import Final, NamedTuple

MASKED: Final = 1 << 16
"""The mask bit of an entry of the local vector table and of a redirection entry."""

LEVEL: Final = 1 << 15
LOGICAL: Final = 1 << 11

FIRST_LEGAL: Final = 16
"""Vectors below are reserved for exceptions: an APIC refuses them."""


class Delivery(IntEnum):
    """Delivery modes, bits 8-10 of every entry."""

    FIXED = 0
    LOWEST_PRIORITY = 1
    SMI = 2
    RESERVED = 3
    NMI = 4
    INIT = 5
    STARTUP = 6
    EXTERNAL = 7  # the vector is the 8259's


class Message(NamedTuple):
    """`destination`: an APIC id, or with `logical` a set of them in the form that DFR and LDR define."""

    delivery: Delivery
    vector: int
    destination: int
    logical: bool = False
    level: bool = False


def message(low: int, destination: int) -> Message:
    """From the low word of a redirection entry or of the interrupt command register."""
    return Message(Delivery(low >> 8 & 7), low & 0xFF, destination, bool(low & LOGICAL), bool(low & LEVEL))
