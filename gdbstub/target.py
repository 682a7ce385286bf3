"""What a program must provide to be debugged: Protocols, and nothing else.

`Target` is all that is required. Each further ability is a property that gives an object, or None where it is not
offered; what is told to gdb (qSupported) is computed from them, so it cannot promise what is not there.

Addresses are linear, 32 or 64 bits. Whatever cannot be done raises errors.ProtocolError; its text is shown to the
person. `interrupted` is to be asked often during anything long; when it says True, stop where you are and report
Signalled(SIGINT).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gdbstub.agent import Expression
from gdbstub.features import Description
from gdbstub.stops import Access, Halted

Interrupted = Callable[[], bool]


class MemoryKind(Enum):
    """The value is gdb's word. With "rom", gdb uses hardware breakpoints by itself and writes nothing."""

    RAM = "ram"
    ROM = "rom"


@dataclass(frozen=True, slots=True)
class Region:
    """Of the memory map; gdb itself refuses accesses outside all regions."""

    kind: MemoryKind
    start: int
    size: int


class Breakpoints(Protocol):
    """Z0 or Z1. Inserting one that is there changes its conditions; removing one that is not there does nothing."""

    def insert(self, address: int, conditions: Sequence[Expression]) -> None:
        """Without conditions: always. With some: if one of them is not zero."""
        ...

    def remove(self, address: int) -> None: ...


class Watchpoints(Protocol):
    """Z2, Z3, Z4."""

    def insert(self, address: int, size: int, access: Access) -> None: ...
    def remove(self, address: int, size: int, access: Access) -> None: ...


class Reverse(Protocol):
    """bs and bc. Going back from a breakpoint ignores that one: move first, then look."""

    def step_back(self, interrupted: Interrupted) -> Halted: ...
    def continue_back(self, interrupted: Interrupted) -> Halted: ...


class RangeStep(Protocol):
    """vCont;r"""

    def step_in(self, start: int, end: int, interrupted: Interrupted) -> Halted:
        """Step until the program counter is outside start..end (end not included), or a breakpoint is reached."""
        ...


class Monitor(Protocol):
    """The command `monitor`."""

    def command(self, line: str, interrupted: Interrupted) -> str:
        """Text for the person; lines end in a line feed. It may move the target."""
        ...


class Restart(Protocol):
    """R and vRun."""

    def restart(self) -> Halted:
        """Go to the very start."""
        ...


class Files(Protocol):
    """Host I/O, for reading."""

    def content(self, name: str) -> bytes | None:
        """The bytes of a file, None if there is none of this name."""
        ...


class Target(Protocol):
    """A machine with one thread, stopped whenever it is not in `step` or `resume` or the like."""

    @property
    def description(self) -> Description:
        """Its registers."""
        ...

    def read_registers(self) -> Sequence[int | None]:
        """All of them, in the order of the description; None for one whose value is not known."""
        ...

    def write_register(self, number: int, value: int) -> None: ...
    def read_memory(self, address: int, size: int) -> bytes:
        """As much as there is, from the address on; may be short or empty."""
        ...

    def write_memory(self, address: int, data: bytes) -> None: ...
    def halted(self) -> Halted:
        """Why it stands where it stands."""
        ...

    def step(self, interrupted: Interrupted) -> Halted:
        """One instruction."""
        ...

    def resume(self, interrupted: Interrupted) -> Halted:
        """Go on to the next breakpoint or watchpoint, or the end; one that is exactly here does not count."""
        ...

    @property
    def thread_name(self) -> str: ...
    @property
    def breakpoints(self) -> Breakpoints | None: ...
    @property
    def hardware_breakpoints(self) -> Breakpoints | None: ...
    @property
    def watchpoints(self) -> Watchpoints | None: ...
    @property
    def reverse(self) -> Reverse | None: ...
    @property
    def range_step(self) -> RangeStep | None: ...
    @property
    def monitor(self) -> Monitor | None: ...
    @property
    def restart(self) -> Restart | None: ...
    @property
    def files(self) -> Files | None: ...
    @property
    def executable(self) -> str | None:
        """The name of the program's file; gdb reads its symbols, through `files` if that is there."""
        ...

    @property
    def memory_map(self) -> Sequence[Region] | None: ...
    @property
    def progress(self) -> Callable[[], str] | None:
        """Asked now and then, while the target runs and gdb waits: how far it has come, for the person. Lines end in a
        line feed; an empty text is not shown."""
        ...
