"""What the machine is at one step, as far as the screen shows it: frozen, and made by the worker alone.

It depends on the step and on nothing else, so that the same step always looks the same, however one came there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pvtrace.model.registers import Gpr, Registers, Seg
from pvtrace.model.step import Step

TOP = 1 << 32


class Stretch(NamedTuple):
    """Linear memory; shorter than asked for where nothing is mapped."""

    address: int
    data: bytes


class Frame(NamedTuple):
    """One entry of a backtrace: where it is, and the address of its frame on the stack (0: not known)."""

    address: int
    pointer: int


class Belief(NamedTuple):
    """The guest's own flags: EFLAGS as it believes them (the real ones but for IF and IOPL), and what speaks VMI."""

    eflags: int
    generation: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """`before`, `believed_before`: one step earlier, None at the first step. `ticks`: virtual time, `hz` of them in a
    second. `screen`: the VGA's text memory. `wanted`: what its memory was taken for. `branched`: the step at which the
    recording was left, to see what would have been; None in the recording."""

    step: Step
    ticks: int
    hz: int
    registers: Registers
    belief: Belief
    before: Registers | None
    belief_before: Belief | None
    frames: tuple[Frame, ...]
    memory: tuple[Stretch, ...]
    screen: bytes
    wanted: "Wanted"
    branched: Step | None = None

    @property
    def eip(self) -> int:
        """Linear address of the instruction that is dispatched next."""
        return (self.registers.eip + self.registers.segments[Seg.CS].base) % TOP

    @property
    def esp(self) -> int:
        """Linear address of the top of the stack."""
        return (self.registers.gprs[Gpr.ESP] + self.registers.segments[Seg.SS].base) % TOP

    @property
    def bits(self) -> int:
        """32 or 16: how code is decoded."""
        return 32 if self.registers.segments[Seg.CS].big else 16

    def peek(self, address: int, size: int) -> bytes:
        """As much of this memory as the picture holds, from `address` on; may be short or empty."""
        return next((found for found in self._found(address, size) if found), b"")

    def _found(self, address: int, size: int) -> Iterator[bytes]:
        held = [item for item in self.memory if item.address <= address < item.address + len(item.data)]
        for item in sorted(held, key=lambda item: item.address + len(item.data), reverse=True):
            yield item.data[address - item.address :][:size]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which memory a picture is to hold besides code at EIP and the stack. Linear addresses; None: nothing more."""

    code: int | None = None
    memory: int | None = None
