"""What a handler may look at: the CPU, its memory and our own part of the state, read-only."""

from typing import Protocol

from pvtrace.model.registers import Segment, TableRegister
from pvtrace.model.step import Step
from pvtrace.x86.latitude import Latitude
from pvtrace.x86.state import System


class PageFault(Exception):
    """A guest access that the guest's page tables refuse. `error`: page-fault error code (SDM volume 3, 5.7)."""

    def __init__(self, address: int, error: int) -> None:
        super().__init__(f"page fault at {address:08x}, error code {error:#x}")
        self.address = address
        self.error = error


class View(Protocol):
    """Read-only. Memory addresses are linear; `read` walks the guest's page tables with supervisor rights (`user`: with
    user rights), raises PageFault, and sets accessed bits as the hardware would."""

    @property
    def step(self) -> Step: ...
    @property
    def eip(self) -> int: ...
    @property
    def eflags(self) -> int:
        """The real flags. The guest's own are `eflags.guest_flags(view.eflags, view.system)`."""
        ...

    @property
    def cpl(self) -> int: ...
    @property
    def gdtr(self) -> TableRegister: ...
    @property
    def idtr(self) -> TableRegister: ...
    @property
    def ldtr(self) -> Segment: ...
    @property
    def tr(self) -> Segment: ...
    @property
    def system(self) -> System: ...
    @property
    def latitude(self) -> Latitude: ...
    @property
    def user_if(self) -> bool:
        """Whether CLI and STI of a paravirtual guest's user code at virtual IOPL 3 change the virtual IF."""
        ...

    @property
    def ticks(self) -> int:
        """Virtual time in cycles (see machine.clock)."""
        ...

    @property
    def hz(self) -> int:
        """Cycles per second of virtual time."""
        ...

    def wallclock(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        ...

    def gpr(self, register: int) -> int: ...
    def segment(self, register: int) -> Segment: ...
    def cr(self, number: int) -> int: ...
    def read(self, address: int, size: int, user: bool = False) -> bytes: ...
    def physical(self, address: int) -> int:
        """Physical address of a linear one, supervisor read; raises PageFault."""
        ...

    def writable(self, address: int, size: int) -> bool:
        """Whether a supervisor store to these linear addresses would succeed."""
        ...
