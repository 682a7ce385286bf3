"""What a handler wants done: small frozen values that one function of the machine applies, in order.

Handlers are pure: they read a View and return Effects. Nothing here does anything.
"""

from dataclasses import dataclass

from pvtrace.model.registers import Segment, TableRegister
from pvtrace.model.stops import Why
from pvtrace.x86.state import System


@dataclass(frozen=True, slots=True)
class SetGpr:
    """`register` by Gpr; all 32 bits of `value`."""

    register: int
    value: int


@dataclass(frozen=True, slots=True)
class SetEip:
    value: int


@dataclass(frozen=True, slots=True)
class SetFlags:
    """Replace the bits of `mask` in the guest's EFLAGS by those of `image`.

    IF and IOPL bits go to System.vif and System.viopl, and to the real EFLAGS only while the guest runs natively.
    """

    image: int
    mask: int


@dataclass(frozen=True, slots=True)
class SetSegment:
    """Load a segment register and its hidden part; SS sets CPL := its DPL (in virtual-8086 mode 3)."""

    register: int
    segment: Segment


@dataclass(frozen=True, slots=True)
class SetLdtr:
    segment: Segment


@dataclass(frozen=True, slots=True)
class SetTr:
    segment: Segment


@dataclass(frozen=True, slots=True)
class SetGdtr:
    table: TableRegister


@dataclass(frozen=True, slots=True)
class SetIdtr:
    table: TableRegister


@dataclass(frozen=True, slots=True)
class SetCr:
    """CR0, CR2, CR3 or CR4, with the TLB flush that goes with it."""

    number: int
    value: int


@dataclass(frozen=True, slots=True)
class SetSystem:
    system: System


@dataclass(frozen=True, slots=True)
class WriteMemory:
    """Store at a linear address with supervisor rights (`user`: with user rights); may fault."""

    address: int
    data: bytes
    user: bool = False


@dataclass(frozen=True, slots=True)
class ReadPort:
    """Read a port into the low `width` bytes of a general register, or to memory at `address` if that is given."""

    port: int
    width: int
    register: int = 0
    address: int | None = None
    zero_extend: bool = False
    user: bool = False  # rights of the store to `address`


@dataclass(frozen=True, slots=True)
class WritePort:
    port: int
    width: int
    value: int


@dataclass(frozen=True, slots=True)
class FlushTlb:
    pass


@dataclass(frozen=True, slots=True)
class Raise:
    """Deliver an exception to the guest. Last effect of a list: the instruction has no other effect."""

    vector: int
    error: int | None = None
    address: int | None = None


@dataclass(frozen=True, slots=True)
class HaltCpu:
    """Wait for an interrupt."""


@dataclass(frozen=True, slots=True)
class Native:
    """Let the CPU itself run this one instruction: it behaves on the deprivileged hardware as it should here."""


@dataclass(frozen=True, slots=True)
class End:
    """The guest's run ends here."""

    why: Why
    code: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Log an event NOTE: something that people should know of this moment."""

    text: str


Effect = (
    SetGpr
    | SetEip
    | SetFlags
    | SetSegment
    | SetLdtr
    | SetTr
    | SetGdtr
    | SetIdtr
    | SetCr
    | SetSystem
    | WriteMemory
    | ReadPort
    | WritePort
    | FlushTlb
    | Raise
    | HaltCpu
    | Native
    | End
    | Note
)
Effects = tuple[Effect, ...]
