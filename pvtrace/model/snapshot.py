"""A place in time that a machine can be put back to."""

from typing import Final, NamedTuple

from pvtrace.model.step import Step

PAGE: Final = 4096
"""Bytes of a page and of a page frame."""


class Snapshot(NamedTuple):
    """`state` is the machine without its memory (CPU, devices, VMI state), canonical: equal states, equal bytes.

    `pages` maps a page frame number to its PAGE bytes, for the frames that changed since the snapshot before (all
    frames that are not zero, in the first one). `ram_digest` is the digest of all of memory, 16 bytes.
    Breakpoints are never part of it.
    """

    step: Step
    state: bytes
    pages: dict[int, bytes]
    ram_digest: bytes
