"""The waist between the machine and the CPU: below it Unicorn, above it none."""

from collections.abc import Sequence
from typing import Protocol

from pvtrace.model.answers import Answerable, Facts, Ports, Taken
from pvtrace.model.exits import Exit
from pvtrace.model.registers import Registers, Segment, TableRegister
from pvtrace.model.step import Step


class Cpu(Protocol):
    """A CPU with its physical memory. Registers hold the *real* values; the guest's own IF and IOPL are System's.

    The TLB is coherent: a change of a page-table entry, by the guest or by `write`, is seen by the next access.
    """

    @property
    def steps(self) -> Step: ...

    def run(self, until: Step) -> Exit:
        """Run to exactly `until` steps, or to an earlier exit. `until` <= steps gives Arrived at once."""
        ...

    def run_native(self) -> Exit | None:
        """Run the one instruction at EIP by itself, without intercepting it; its dispatch has been counted already.

        None: it completed. A Fault: it raised one. Behind Seen also MmioRead and MmioWrite; else an access to device
        memory is refused, which is Sensitive.
        """
        ...

    # ------------------------------------------------------------------ answers: see model.answers

    def answer_calls(self, calls: Sequence[Answerable], /) -> None:
        """VMI calls that `run` may answer by itself, without an exit, as their handlers would. `tell` says when."""
        ...

    def answer_leaves(self, leaves: Sequence[tuple[int, int, int, int, int]], /) -> None:
        """The leaves of CPUID that it may answer: leaf, EAX, EBX, ECX, EDX."""
        ...

    def tell_ports(self, ports: Ports) -> None:
        """What it may do with ports; ends what the last call said."""
        ...

    def answer_pages(self, announced: tuple[tuple[int, int], ...], told: tuple[int, ...], /) -> None:
        """The page frames that are announced as page tables, with their types, and those that it was told of."""
        ...

    def answer_entries(self, entries: tuple[int, ...], /) -> None:
        """The numbers of the events whose handlers have not returned, the newest last: see Journal.entries."""
        ...

    def tell(self, facts: Facts) -> None:
        """What its answers depend on, until it is told anew; at first it answers nothing. Not part of the state."""
        ...

    next_event: int
    """The number that the next event will have."""

    @property
    def answered(self) -> bool:
        """Whether `run` has answered something; it then may also end, as Arrived, behind what lets an interrupt in."""
        ...

    vif: bool
    """The guest's virtual IF: of the Facts, and as the last answer left it."""

    def taken(self) -> Taken:
        """What was answered since this was last asked."""
        ...

    def supply(self, value: int) -> None:
        """The answer to a MmioRead; the load completes with the next `run`."""
        ...

    eip: int
    """Setting it completes an instruction: the shadow of a MOV SS has passed."""
    eflags: int
    nxe: bool
    """EFER.NXE: execute-disable bits count."""
    hole: int
    """First linear address that faults with #GP(0) whatever the page tables say; 2^32: none."""

    @property
    def cpl(self) -> int: ...
    @property
    def shadowed(self) -> bool:
        """Whether the CPU itself is in the shadow of a MOV SS or POP SS: no interrupt may be taken here."""
        ...

    def gpr(self, register: int) -> int: ...
    def set_gpr(self, register: int, value: int) -> None: ...
    def segment(self, register: int) -> Segment: ...
    def set_segment(self, register: int, segment: Segment) -> None:
        """Also sets CPL := DPL for SS, and the operand, stack and address size that follow from CS and SS."""
        ...

    gdtr: TableRegister
    idtr: TableRegister
    ldtr: Segment
    tr: Segment

    def cr(self, number: int) -> int: ...
    def set_cr(self, number: int, value: int) -> None: ...
    def registers(self) -> Registers: ...

    def physical(self, address: int, write: bool = False, user: bool = False) -> int:
        """Walk the guest's page tables, setting accessed and dirty bits; raises x86.view.PageFault."""
        ...

    def read(self, address: int, size: int, user: bool = False) -> bytes: ...
    def write(self, address: int, data: bytes, user: bool = False) -> None:
        """All or nothing: both pages of an access that crosses are checked before a byte is stored."""
        ...

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes beyond memory read as FFh."""
        ...

    def write_physical(self, address: int, data: bytes) -> None:
        """Stores beyond memory are dropped; ROM is written (this is how it is loaded)."""
        ...

    def peek(self, address: int, size: int) -> bytes:
        """For people: linear memory as far as it is mapped (may be short), without touching accessed bits."""
        ...

    def set_breakpoints(self, addresses: Sequence[int]) -> None:
        """Linear addresses at which `run` returns Breakpoint, once: the next `run` goes past it. Not part of the
        state."""
        ...

    def look(self, address: int, write: bool = False, user: bool = False) -> int:
        """The physical address as `physical` gives it, without setting accessed or dirty bits; raises
        x86.view.PageFault."""
        ...

    def set_watches(self, watches: Sequence[tuple[int, int, bool, bool, bool]]) -> None:
        """Bytes from start to end (not included): `run` returns Watchpoint behind an instruction that accessed them.

        physical: the addresses are physical, else linear. Stores that change a byte always count; loads: loads as well;
        stores: also stores of what is already there. At most 64. Not part of the state.
        """
        ...

    @property
    def touched(self) -> bool:
        """Whether something that is watched was accessed since `take_touch`, by the guest or by `read` and `write`."""
        ...

    def take_touch(self) -> tuple[int, bool, int, int, int] | None:
        """The first such access: linear address of its first byte in the page; whether it was a store; the linear
        address of its instruction; bit i: it may have been to watch i; bit i: it changed a byte of watch i. One that
        changed nothing may have missed by up to 512 bytes: whoever cares decodes the instruction."""
        ...

    def float_registers(self) -> tuple[bytes, bytes, tuple[int, ...]]:
        """ST0..ST7 and XMM0..XMM7, 16 bytes each (of an ST register 10 count); FCW, FSW, FTW, FCS, FIP, FDS, FDP, FOP,
        MXCSR."""
        ...

    def flush_tlb(self) -> None: ...

    def protect(self, start: int, size: int) -> None:
        """Make physical pages read-only memory: a guest's store to them becomes MmioWrite."""
        ...

    def take_dirty(self) -> Sequence[int]:
        """Frames written since the last call, ascending."""
        ...

    def save(self) -> bytes:
        """CPU state without memory, canonical; with `load`, changes nothing observable."""
        ...

    def load(self, state: bytes, pages: dict[int, bytes]) -> None:
        """Put back a state and these page frames (all that differ from now); drops translations and the TLB."""
        ...
