"""Events as bytes: the canonical form, in which they go from the CPU to the file, are compared, and are digested.

An event is, without padding and in little endian: step (8 bytes), kind (2), pc (8), flags (8), cause (8, signed, -1 for
none), the number of its arguments (1); then each argument: a letter, `n` for None, or `i` and an integer (8), or `s`
and the length (8) of the UTF-8 that follows, or `b` and the length (8) of the bytes that follow. Arguments that are
missing at the end and None are the same, and none of them is there. Equal events have equal bytes.

The functions are in _packed.c. All raise ValueError for what is none of this.
"""

from typing import NamedTuple

from pvtrace.model._packed import pack, pack_rows, rows, skip, unpack, until
from pvtrace.model.step import Step

__all__ = ["Packed", "pack", "pack_rows", "rows", "skip", "unpack", "until"]


class Packed(NamedTuple):
    """Events that follow each other: their bytes, how many they are, the steps of the first and of the last of them."""

    data: bytes
    total: int
    first: Step
    last: Step


def parted(events: Packed, step: Step) -> tuple[Packed, Packed]:
    """Those up to and with a step, and those behind it; neither is empty if they begin no later, and end later."""
    count, size = until(events.data, step)
    before, after = events.data[:size], events.data[size:]
    return (
        Packed(before, count, events.first, unpack(before)[-1].step),
        Packed(after, events.total - count, unpack(after)[0].step, events.last),
    )
