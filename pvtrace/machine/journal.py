"""Writes down what the machine does: makes events, numbers them, links them to their causes.

It decides nothing. What it keeps (counts, open entries, the unfinished console line) is part of the machine's state,
because the events that follow depend on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pvtrace.machine.cpu import Cpu
from pvtrace.machine.landmarks import landmark
from pvtrace.model.events import Event, Kind, pack_flags, without_trailing_none
from pvtrace.model.inputs import Tape
from pvtrace.model.packed import Packed
from pvtrace.x86 import eflags
from pvtrace.x86.state import System

WATCHED: Final = (
    (eflags.TF, 8),
    (eflags.IF, 9),
    (eflags.IOPL, 12),
    (eflags.NT, 14),
    (eflags.VM, 17),
    (eflags.AC, 18),
)
"""The flags whose every transition is an event: mask, and the number that stands for the flag in events."""

WATCHED_MASK: Final = sum(mask for mask, _ in WATCHED)
LINE: Final = 120
"""Console bytes are gathered into one event up to a line feed, or this many."""

OPEN: Final = 64
"""How many nested entries are remembered, to link a return to its entry."""


class Flags(NamedTuple):
    """The real flags at one moment, and what the guest's own are taken from."""

    real: int
    system: System

    @property
    def virtual(self) -> int:
        """The guest's flags."""
        return eflags.guest_flags(self.real, self.system)


@dataclass(slots=True)
class Journal:
    """`count`: events so far, which is the number of the next one."""

    cpu: Cpu
    tape: Tape
    count: int = 0
    entries: tuple[int, ...] = ()  # events whose handlers have not returned, the newest last
    line: bytearray = field(default_factory=bytearray)
    alarm: int | None = None  # the event of the last alarm whose interrupt has not been taken
    heard: Callable[[int], None] | None = None  # told of each console byte at once; no part of the state

    def saw(
        self,
        kind: Kind,
        system: System,
        pc: int,
        *args: int | bytes | str | None,
        cause: int | None = None,
    ) -> int:
        """Log an event; returns its number."""
        cpu = self.cpu
        packed = pack_flags(cpu.eflags, system.vif, system.viopl, cpu.cpl)
        if args[-1] is None:
            args = without_trailing_none(args)
        self.tape.saw(Event(cpu.steps, kind, pc, packed, args, cause))
        number = self.count
        self.count += 1
        return number

    def saw_many(self, events: Packed) -> None:
        """Log events that were made elsewhere."""
        self.tape.saw_many(events)
        self.count += events.total

    def flags(self, system: System) -> Flags:
        return Flags(self.cpu.eflags, system)

    def transitions(self, before: Flags, system: System, pc: int, how: int, cause: int | None) -> None:
        """Log what became of the watched flags since `before`."""
        real = self.cpu.eflags
        if real == before.real and system is before.system:
            return
        old, new = before.virtual, eflags.guest_flags(real, system)
        changed = ((old ^ new) | (before.real ^ real)) & WATCHED_MASK
        if not changed:
            return
        for mask, number in WATCHED:
            if changed & mask:
                values = [(flags & mask) >> number for flags in (old, new, before.real, real)]
                self.saw(Kind.FLAG_TRANSITION, system, pc, number, *values, how, cause=cause)

    def entered(self, number: int) -> None:
        """Event `number` entered a handler; the next return belongs to it."""
        self.entries = (*self.entries, number)[-OPEN:]

    def left(self) -> int | None:
        """The entry that a return now ends; None if it is none that was seen."""
        if not self.entries:
            return None
        *rest, last = self.entries
        self.entries = tuple(rest)
        return last

    def transmitted(self, byte: int, system: System) -> None:
        """The guest wrote a byte to the console."""
        if self.heard is not None:
            self.heard(byte)
        self.line.append(byte)
        if byte == 0x0A or len(self.line) >= LINE:
            self.flush(system)

    def flush(self, system: System) -> None:
        """Log the unfinished console line."""
        if self.line:
            data = bytes(self.line)
            self.line.clear()
            number = self.saw(Kind.CONSOLE_OUT, system, self.cpu.eip, data)
            said = landmark(data)
            if said is not None:
                self.saw(Kind.NOTE, system, self.cpu.eip, f"the guest says: {said}", cause=number)

    def save(self) -> dict[str, Any]:
        return {"count": self.count, "entries": list(self.entries), "line": self.line.hex(), "alarm": self.alarm}

    def load(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        self.entries = tuple(state["entries"])
        self.line = bytearray.fromhex(state["line"])
        self.alarm = state["alarm"]
