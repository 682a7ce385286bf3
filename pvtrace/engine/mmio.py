"""What an instruction wants of device memory: the address, the width, and whether it loads, stores or both.

Pure. The access is then performed by the CPU itself on a scratch page (unicorn_cpu.py).
"""

from typing import Final, NamedTuple

from pvtrace.x86.disasm import memory_access

WIDEST: Final = 8
"""Wider accesses (FXSAVE and its like) are not what devices are made for: this much of them reaches one."""


class Access(NamedTuple):
    """`address` is physical; `width` in bytes."""

    address: int
    width: int
    loads: bool
    stores: bool


def access(code: bytes, bits: int, address: int, refused_store: bool) -> Access:
    """The access of the instruction `code` that was refused at a physical `address`; `refused_store`: as a store.

    A string move from or to a device does one of the two there; INC and its like do both. An instruction whose operand
    is not known to the decoder (an implicit one: PUSH, CALL) is taken to be of one doubleword.
    """
    what = memory_access(code, bits)
    both = what is not None and what.both
    width = min(what.width if what is not None else 4, WIDEST, 4096 - address % 4096)
    return Access(address, width, loads=both or not refused_store, stores=both or refused_store)
