"""Machine code as rows for people: decoded one after the other, backwards as well as that can be done. Pure.

x86 code cannot be read backwards. A start is looked for from which decoding comes out exactly where one is: the
function's own beginning if it is near, else the farthest of a few places that does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pvtrace.x86.disasm import BAD, LONGEST, decode, text

Peek = Callable[[int, int], bytes]
"""Memory at a linear address; may be short."""

REACH: Final = 512
"""Bytes in front of an address that are looked at for its predecessors."""

JUMPS: Final = ("J", "LOOP")
"""Beginnings of mnemonics that go somewhere without coming back."""

MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Code:
    """One instruction. `target`: where a jump or a call with an address in it goes; `jumps`: it is no call."""

    address: int
    bytes: bytes
    text: str
    target: int | None = None
    jumps: bool = False


def forward(peek: Peek, address: int, count: int, bits: int = 32) -> list[Code]:
    """So many instructions from here on; fewer where memory ends."""
    found: list[Code] = []
    while len(found) < count:
        code = peek(address, LONGEST)
        if not code:
            break
        found.append(one(code, address, bits))
        address = (address + len(found[-1].bytes)) & MASK
    return found


def one(code: bytes, address: int, bits: int = 32) -> Code:
    """The instruction at the beginning of `code`."""
    decoded = decode(code, bits)
    name = decoded.mnemonic
    goes = decoded.immediate is not None and (name.startswith(JUMPS) or name == "CALL") and not decoded.registers
    target = (address + (decoded.immediate or 0)) & MASK if goes and " " not in name else None
    return Code(
        address,
        code[: max(1, decoded.length)],
        text(code, address, bits),
        target,
        target is not None and name != "CALL",
    )


def backward(peek: Peek, address: int, count: int, start: int | None = None, bits: int = 32) -> list[Code]:
    """So many instructions in front of here. `start`: where its function begins, if that is known."""
    for first in _starts(address, start):
        found = _sweep(peek, first, address, bits)
        if found is not None:
            return found[-count:] if count else []
    return []


def _starts(address: int, start: int | None) -> Iterator[int]:
    if start is not None and address - REACH <= start < address:
        yield start
    yield from range(max(0, address - 64), address)


def _sweep(peek: Peek, first: int, address: int, bits: int) -> list[Code] | None:
    """From `first` exactly to `address`; None if it does not come out there, or meets what is no instruction."""
    found: list[Code] = []
    at = first
    while at < address:
        code = peek(at, LONGEST)
        if not code:
            return None
        made = one(code, at, bits)
        if made.text == BAD.lower():
            return None
        found.append(made)
        at += len(made.bytes)
    return found if at == address else None
