"""A page walk written from the manual (SDM volume 3, chapter 4), for tests: plain, slow, on any memory of bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

P, RW, US, A, D, PS = 1, 2, 4, 0x20, 0x40, 0x80
NX: Final = 1 << 63
PRESENT, WRITE, USER, RESERVED, FETCH = 1, 2, 4, 8, 16
"""Bits of the page-fault error code."""

ABOVE_40_BITS: Final = 0x7FFFFF0000000000
"""Reserved in PAE entries: Unicorn's processors have 40 bits of physical address."""


class Access(Enum):
    READ = 0
    WRITE = 1
    FETCH = 2


@dataclass(frozen=True, slots=True)
class Paging:
    """The registers that decide how linear addresses are translated."""

    cr0: int
    cr3: int
    cr4: int
    nxe: bool

    @property
    def on(self) -> bool:
        return bool(self.cr0 >> 31)

    @property
    def protects(self) -> bool:
        return bool(self.cr0 >> 16 & 1)

    @property
    def pse(self) -> bool:
        return bool(self.cr4 >> 4 & 1)

    @property
    def pae(self) -> bool:
        return bool(self.cr4 >> 5 & 1)


@dataclass(frozen=True, slots=True)
class Translation:
    """Where an address leads, and which entries the access marks: (physical address, size, value)."""

    physical: int
    marks: tuple[tuple[int, int, int], ...]


Read = Callable[[int, int], int]
"""read(physical, size) -> little-endian value; 0 where there is no memory"""


def walk(read: Read, paging: Paging, linear: int, access: Access, user: bool) -> Translation | int:
    """The translation, or the error code of the page fault."""
    if not paging.on:
        return Translation(linear, ())
    nx = paging.pae and paging.nxe
    error = (WRITE if access is Access.WRITE else 0) | (USER if user else 0)
    error |= FETCH if access is Access.FETCH and nx else 0
    size, index_bits = (8, 9) if paging.pae else (4, 10)
    table = paging.cr3 & 0xFFFFF000
    reserved = False
    if paging.pae:
        pdpte = read((paging.cr3 & 0xFFFFFFE0) + 8 * (linear >> 30), 8)
        if not pdpte & P:
            return error
        if pdpte & (ABOVE_40_BITS | NX | 0x1E6):
            return error | PRESENT | RESERVED
        table = pdpte & 0x000FFFFFFFFFF000
    entries: list[tuple[int, int]] = []
    shift = 12 + index_bits
    while True:
        at = table + size * (linear >> shift & ((1 << index_bits) - 1))
        entry = read(at, size)
        if not entry & P:
            return error
        entries.append((at, entry))
        if paging.pae:
            reserved |= bool(entry & ABOVE_40_BITS) or (bool(entry & NX) and not nx)
        large = shift > 12 and bool(entry & PS) and (paging.pae or paging.pse)
        if large or reserved or shift == 12:
            break
        table = entry & (0x000FFFFFFFFFF000 if paging.pae else 0xFFFFF000)
        shift = 12
    if large:
        reserved |= bool(entry & (0x1FE000 if paging.pae else 0x200000))
    if reserved:
        return error | PRESENT | RESERVED
    rights = RW | US
    executable = True
    for _, entry in entries:
        rights &= entry
        executable &= not entry & NX
    may_write = bool(rights & RW) or (not user and not paging.protects)
    refused = (
        (user and not rights & US)
        or (access is Access.WRITE and not may_write)
        or (access is Access.FETCH and nx and not executable)
    )
    if refused:
        return error | PRESENT
    marks = [(at, size, entry | A) for at, entry in entries]
    if access is Access.WRITE:
        at, last = entries[-1]
        marks[-1] = (at, size, last | A | D)
    offset = linear & ((1 << shift) - 1)
    at, last = entries[-1]
    base = last & 0x000FFFFFFFFFF000 if paging.pae else last & 0xFFFFF000
    base &= ~((1 << shift) - 1)
    if large and not paging.pae:
        base |= (last & 0x1FE000) << 19  # PSE-36
    return Translation(base | offset, tuple(marks))
