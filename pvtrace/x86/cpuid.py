"""CPUID: the processor that guests find, a P6-class one with what the machine really has and nothing else.

A pure table (SDM volume 2, CPUID). A feature is listed only if its instructions run; there are no MTRRs and
no machine-check architecture. The local APIC is listed while IA32_APIC_BASE has it switched on.
"""

from typing import Final

VENDOR: Final = b"GenuineIntel"
BRAND: Final = b"pvtrace virtual CPU".ljust(48, b"\0")
SIGNATURE: Final = 0x00000663  # family 6, model 6, stepping 3

FPU: Final = 1 << 0
DE: Final = 1 << 2
PSE: Final = 1 << 3
TSC: Final = 1 << 4
MSR: Final = 1 << 5
PAE: Final = 1 << 6
CX8: Final = 1 << 8
APIC: Final = 1 << 9
SEP: Final = 1 << 11
PGE: Final = 1 << 13
CMOV: Final = 1 << 15
PAT: Final = 1 << 16
MMX: Final = 1 << 23
FXSR: Final = 1 << 24
SSE: Final = 1 << 25
SSE2: Final = 1 << 26
FEATURES: Final = FPU | DE | PSE | TSC | MSR | PAE | CX8 | SEP | PGE | CMOV | PAT | MMX | FXSR | SSE | SSE2

SSE3: Final = 1 << 0
FEATURES_ECX: Final = SSE3

NX: Final = 1 << 20
EXTENDED_FEATURES: Final = NX

HIGHEST: Final = 2
HIGHEST_EXTENDED: Final = 0x80000004


def _words(text: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(text[index : index + 4], "little") for index in range(0, len(text), 4))


_VENDOR_WORDS: Final = _words(VENDOR)
_BRAND_WORDS: Final = _words(BRAND)

Leaf = tuple[int, int, int, int]
_LEAVES: Final[dict[int, Leaf]] = {
    0: (HIGHEST, _VENDOR_WORDS[0], _VENDOR_WORDS[2], _VENDOR_WORDS[1]),
    1: (SIGNATURE, 0, FEATURES_ECX, FEATURES),
    2: (1, 0, 0, 0),  # one round of cache descriptors, all null
    0x80000000: (HIGHEST_EXTENDED, 0, 0, 0),
    0x80000001: (0, 0, 0, EXTENDED_FEATURES),
    0x80000002: (_BRAND_WORDS[0], _BRAND_WORDS[1], _BRAND_WORDS[2], _BRAND_WORDS[3]),
    0x80000003: (_BRAND_WORDS[4], _BRAND_WORDS[5], _BRAND_WORDS[6], _BRAND_WORDS[7]),
    0x80000004: (_BRAND_WORDS[8], _BRAND_WORDS[9], _BRAND_WORDS[10], _BRAND_WORDS[11]),
}


def cpuid(leaf: int, *, apic: bool = True) -> Leaf:
    """(EAX, EBX, ECX, EDX). A leaf that does not exist answers as the highest basic one, as Intel's do.

    No leaf here has subleaves, so ECX does not matter. `apic`: the local APIC is switched on.
    """
    eax, ebx, ecx, edx = _LEAVES.get(leaf, _LEAVES[HIGHEST])
    return (eax, ebx, ecx, edx | APIC) if leaf == 1 and apic else (eax, ebx, ecx, edx)


def leaves(*, apic: bool) -> dict[int, Leaf]:
    """All leaves that exist."""
    return {leaf: cpuid(leaf, apic=apic) for leaf in _LEAVES}
