"""Why the CPU stopped: one small frozen value for each reason.

Every exit but Arrived, Breakpoint, Watchpoint and MmioRead counts the dispatch that caused it (see `step`). EIP stands
*at* the instruction that caused the exit and nothing of that instruction has happened; `length` is its size in bytes,
for whoever completes it. Behind its instruction it stands for Watchpoint and, as on the hardware, for Fault with vector
1 (a trap) and for MmioWrite.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrived:
    """The budget is spent: exactly the step that was asked for."""


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A breakpoint is at EIP. Nothing was dispatched, nothing is counted."""


@dataclass(frozen=True, slots=True)
class Watchpoint:
    """The instruction that has just completed accessed something that is watched."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception of the CPU itself. `address` is the full linear address (CR2) of a page fault, else None."""

    vector: int
    error: int | None
    address: int | None


@dataclass(frozen=True, slots=True)
class SoftInt:
    """INT n, INT3 or INTO (the latter only with OF set)."""

    vector: int
    length: int


@dataclass(frozen=True, slots=True)
class PortRead:
    """IN or INS. `string` marks INS; `rep` its REP form, of which the machine performs one iteration per exit."""

    port: int
    width: int
    length: int
    string: bool = False
    rep: bool = False


@dataclass(frozen=True, slots=True)
class PortWrite:
    """OUT or OUTS. `value` is 0 for OUTS: the machine reads it from DS:ESI (or the overridden segment)."""

    port: int
    width: int
    value: int
    length: int
    string: bool = False
    rep: bool = False


@dataclass(frozen=True, slots=True)
class Hypercall:
    """VMCALL, the trap instruction of our ROM's entry points. Elsewhere it is an undefined opcode."""

    length: int


@dataclass(frozen=True, slots=True)
class Sensitive:
    """Any other privileged or sensitive instruction, stopped before it runs. `code` starts at EIP, at most 15 bytes."""

    code: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """An instruction that the CPU runs by itself, and shows first because it is watched (engine.intercepts). Answer by
    `Cpu.run_native()`. `code` as in Sensitive."""

    code: bytes


@dataclass(frozen=True, slots=True)
class MmioRead:
    """A load from a physical address that is not memory. Answer by `Cpu.supply(value)`; the next `run` goes on."""

    address: int
    width: int


@dataclass(frozen=True, slots=True)
class MmioWrite:
    """A store to a physical address that is not memory, or to ROM. The instruction is complete but for the store.

    `trapped`: it was single-stepped, and the Fault with vector 1 behind it is still to be raised.
    """

    address: int
    width: int
    value: int
    trapped: bool = False


@dataclass(frozen=True, slots=True)
class Halt:
    """HLT at a privilege level that may execute it."""

    length: int


Exit = (
    Arrived
    | Breakpoint
    | Watchpoint
    | Fault
    | SoftInt
    | PortRead
    | PortWrite
    | Hypercall
    | Sensitive
    | Seen
    | MmioRead
    | MmioWrite
    | Halt
)
