"""Random instruction streams: valid and not, in a paged address space where everything that can go wrong does.

Linear memory (physical is the same, but for the aliases), 4 KiB pages:

    03      descriptor table, for segment loads
    10, 11  the code
    20, 21  data            22  absent at first     23  read-only
    24      alias of 10     25  alias of the page table
    26      alias of 20     30  stack
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.oracle.guest import PG, Guest

DIRECTORY, TABLE, PAE_DIRECTORIES = 0x1000, 0x2000, 0x4000
CODE: Final = 0x10000
PAGES: Final = {
    0x03: 0x3007,
    0x10: 0x10007,
    0x11: 0x11007,
    0x20: 0x20007,
    0x21: 0x21007,
    0x22: 0x22006,
    0x23: 0x23005,
    0x24: 0x10007,
    0x25: 0x2007,
    0x26: 0x20007,
    0x30: 0x30007,
}
_DATA = (0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x21, 0x21, 0x26, 0x26, 0x22, 0x23, 0x24, 0x24, 0x10, 0x25)
_SELECTORS = (0x0, 0x3, 0x10, 0x23, 0x1B, 0x31, 0x30, 0x08, 0x7FF8, 0x4)


def address(r: Random) -> int:
    """Where a memory operand points."""
    page = r.choice(_DATA) << 12
    if page in (0x24000, 0x10000):
        return page + r.randrange(0, 0x180)
    if page == 0x25000:
        return page + 4 * r.choice(sorted(PAGES))
    return page + r.choice((0, 4, 8, 0x100, 0x7FF, 0xFF8, 0xFFC, 0xFFD, 0xFFE, 0xFFF, r.randrange(4096)))


def operand(r: Random, reg: int) -> bytes:
    """ModRM, SIB, displacement."""
    kind = r.randrange(8)
    if kind < 3:
        return bytes((0xC0 | reg << 3 | r.randrange(8),))
    if kind < 6:
        return bytes((reg << 3 | 5,)) + address(r).to_bytes(4, "little")
    base = r.choice((3, 5, 6, 7))
    if kind == 6:
        return bytes((0x40 | reg << 3 | base, r.randrange(256)))
    return bytes((0x44 | reg << 3, r.choice((0, 1, 2)) << 6 | r.choice((4, 1)) << 3 | base, r.randrange(256)))


def immediate(r: Random, size: int) -> bytes:
    value = r.choice((0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, r.getrandbits(32)))
    return value.to_bytes(4, "little")[:size]


def _alu(r: Random) -> bytes:
    operation, reg = r.randrange(8), r.randrange(8)
    form = r.randrange(6)
    if form < 4:
        return bytes((operation << 3 | form,)) + operand(r, reg)
    if form == 4:
        return b"\x81" + operand(r, operation) + immediate(r, 4)
    return b"\x83" + operand(r, operation) + immediate(r, 1)


def _one_operand(r: Random) -> bytes:
    match r.randrange(6):
        case 0:
            return bytes((r.choice((0xFE, 0xFF)),)) + operand(r, r.randrange(2))
        case 1:
            return bytes((r.choice((0xF6, 0xF7)),)) + operand(r, r.randrange(2, 8))
        case 2:
            return bytes((r.choice((0xD0, 0xD1, 0xD2, 0xD3)),)) + operand(r, r.randrange(8))
        case 3:
            return bytes((r.choice((0xC0, 0xC1)),)) + operand(r, r.randrange(8)) + immediate(r, 1)
        case 4:
            return bytes((r.choice((0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B)),)) + operand(r, r.randrange(8))
        case _:
            return bytes((r.choice((0x40, 0x48, 0x90, 0x98, 0x99, 0x27, 0x2F, 0x37, 0x3F, 0xF5, 0xF8, 0xF9, 0xFC)),))


def _two_byte(r: Random) -> bytes:
    code = r.choice(
        (
            64,
            79,
            144,
            149,
            163,
            171,
            179,
            187,
            175,
            176,
            177,
            192,
            193,
            188,
            189,
            182,
            191,
            165,
            173,
            40,
            41,
            16,
            17,
            88,
            111,
            127,
            239,
            254,
            212,
            110,
            126,
            199,
            174,
            119,
            24,
            2,
        )
    )
    prefix = r.choice((b"", b"", b"", b"\x66", b"\xf2", b"\xf3"))
    return prefix + bytes((0x0F, code)) + operand(r, 1 if code == 0xC7 else r.randrange(8))


def _stack(r: Random) -> bytes:
    match r.randrange(8):
        case 0:
            return bytes((0x50 + r.randrange(8),))
        case 1:
            return bytes((0x58 + r.choice((0, 1, 2, 3, 5, 6, 7)),))
        case 2:
            return b"\x68" + immediate(r, 4)
        case 3:
            return r.choice((b"\x60", b"\x61", b"\xc9", b"\x9f", b"\x9e"))
        case 4:
            return b"\xff" + operand(r, 6)
        case 5:
            return b"\x8f" + operand(r, 0)
        case 6:
            return bytes((0xC8, r.randrange(32), 0, r.randrange(4)))
        case _:
            return b"\xbc" + (0x30800 + r.choice((0, 4, 0x7FE, -0x7FE, 2))).to_bytes(4, "little")


def _string(r: Random) -> bytes:
    pointers = b"\xbe" + address(r).to_bytes(4, "little") + b"\xbf" + address(r).to_bytes(4, "little")
    count = b"\xb9" + r.choice((0, 1, 2, 3, 9, 30)).to_bytes(4, "little")
    one = bytes((r.choice((0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF)),))
    return (
        r.choice((pointers, b"")) + count + r.choice((b"", b"\xfd", b"\xfc")) + r.choice((b"\xf3", b"\xf2", b"")) + one
    )


def _pointer(r: Random) -> bytes:
    return bytes((0xB8 + r.choice((0, 3, 5, 6, 7)),)) + address(r).to_bytes(4, "little")


def _system(r: Random) -> bytes:
    match r.randrange(8):
        case 0:
            return r.choice((b"\xcd\x80", b"\xcc", b"\xce", b"\x9c", b"\x9d", b"\xfa", b"\xf4", b"\xec", b"\x0f\xa2"))
        case 1:
            selector = r.choice(_SELECTORS).to_bytes(2, "little")
            return b"\x66\xb8" + selector + bytes((0x8E, 0xC0 | r.choice((0, 2, 3, 4, 5)) << 3))
        case 2:
            return b"\x6a" + bytes((r.choice(_SELECTORS) & 0x7F,)) + r.choice((b"\x07", b"\x17", b"\x1f", b"\x0f\xa1"))
        case 3:
            return r.choice((b"\x0f\x0b", b"\x0f\xff", b"\xf0", b"\x66", b"\x2e", b"\x64", b"\x67", b"\xf3"))
        case 4:
            return b"\x0f" + bytes((r.choice((0x02, 0x03)),)) + operand(r, r.randrange(8))
        case 5:
            return bytes((r.choice((0xC4, 0xC5, 0x63)),)) + operand(r, r.randrange(8))
        case 6:
            return bytes((r.choice((0x8C, 0x8E)),)) + operand(r, r.randrange(8))
        case _:
            return r.choice((b"\x16\x17", b"\x0e", b"\x1e\x1f", b"\xd7", b"\xd4\x0a", b"\xd5\x0a", b"\x62\x05"))


def _float(r: Random) -> bytes:
    return bytes((r.randrange(0xD8, 0xE0),)) + operand(r, r.randrange(8))


def _noise(r: Random) -> bytes:
    return r.randbytes(r.randrange(1, 6))


def _jump(r: Random) -> bytes:
    """Its displacement, the last byte, is filled in by `stream`."""
    return r.choice((bytes((0x70 + r.randrange(16),)), b"\xeb", b"\xe2", b"\xe3", b"\xe0")) + b"\x00"


KINDS: Final = (
    (_alu,) * 6
    + (_one_operand,) * 4
    + (_two_byte,) * 3
    + (_stack,) * 3
    + (_string,) * 2
    + (_pointer,) * 3
    + (_jump,) * 4
    + (_system, _float, _noise)
)


def stream(r: Random) -> tuple[bytes, ...]:
    """Instructions (a piece may hold more than one, or less)."""
    return stream_of([(r.choice(KINDS), r) for _ in range(r.randrange(3, 40))], r)


def stream_of(kinds: Sequence[tuple[Callable[[Random], bytes], Random]], r: Random) -> tuple[bytes, ...]:
    """One piece of each of these kinds; the jumps lead to pieces."""
    pieces = [kind(source) for kind, source in kinds]
    starts = [sum(map(len, pieces[:n])) for n in range(len(pieces) + 1)]
    for n, (kind, _) in enumerate(kinds):
        if kind is _jump:
            to = max(-128, min(127, r.choice(starts) - starts[n + 1]))
            pieces[n] = pieces[n][:-1] + (to & 0xFF).to_bytes(1, "little")
    return tuple(pieces)


def boundaries(pieces: tuple[bytes, ...], start: int) -> tuple[int, ...]:
    return tuple(start + sum(map(len, pieces[:n])) for n in range(len(pieces) + 1))


def page_tables(pages: dict[int, int], pae: bool) -> tuple[tuple[int, bytes], ...]:
    """Tables that map the low linear memory; user rights above, the leaves decide. (PAE: the same bits, wider.)"""
    size = 8 if pae else 4
    table = bytearray(512 * size)
    for page, entry in pages.items():
        table[page * size : page * size + size] = entry.to_bytes(size, "little")
    if not pae:
        return (DIRECTORY, (TABLE | 7).to_bytes(4, "little")), (TABLE, bytes(table))
    directories = (PAE_DIRECTORIES | 1).to_bytes(8, "little")
    return (DIRECTORY, directories), (PAE_DIRECTORIES, (TABLE | 7).to_bytes(8, "little")), (TABLE, bytes(table))


def guest(r: Random, pieces: tuple[bytes, ...]) -> Guest:
    """A guest that runs them in one of many settings: near a page's end or not, rings, WP, paging, NX."""
    pae = r.random() < 0.25
    start = CODE + r.choice((0, 0, 0x10, 0xF80, 0xFF0, 0xFFB))
    code = b"".join(pieces) + b"\xf4"
    return Guest(
        images=(*page_tables(PAGES, pae), (start, code), (0x20000, r.randbytes(0x2000))),
        eip=start,
        esp=0x30800,
        ram=1 << 18,
        cpl=r.choice((0, 1, 3, 3)),
        cr0=0x11 | r.choice((0, 1 << 16)) | (PG if r.random() < 0.85 else 0),
        cr3=DIRECTORY,
        cr4=0x20 if pae else 0,
        nxe=pae and r.random() < 0.5,
        gprs={3: 0x20010, 5: 0x20020, 6: 0x20FF8, 7: 0x21000, 0: 5, 1: 3},
    )
