"""The machine as rules may look at it: a View that leaves no trace, not even an accessed bit."""

from struct import unpack
from typing import TYPE_CHECKING, Final

from pvtrace.machine.view import MachineView
from pvtrace.model.snapshot import PAGE
from pvtrace.x86.descriptors import Gate, gate_from_descriptor
from pvtrace.x86.operands import MASK32, is_user
from pvtrace.x86.view import PageFault

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

GATE: Final = 8
"""Bytes of a gate."""


class QuietView(MachineView):
    """See x86.view.View. Reads are made with supervisor rights: what user code may not read faults on both machines,
    and no rule is asked about that."""

    __slots__ = ()

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        self.read = self._peek

    def _peek(self, address: int, size: int, user: bool = False) -> bytes:
        del user
        data = self._machine.cpu.peek(address, size)
        if len(data) < size:
            raise PageFault(address + len(data) & MASK32, 0)
        return data

    def physical(self, address: int) -> int:
        return self._machine.cpu.look(address)

    def writable(self, address: int, size: int) -> bool:
        try:
            for page in range(address & ~(PAGE - 1), address + size, PAGE):
                self._machine.cpu.look(page & MASK32, write=True)
        except PageFault:
            return False
        return True

    def refusal(self, address: int, *, write: bool) -> PageFault | None:
        """The page fault that an access to this byte is by the guest's page tables, with the rights of the code that
        runs; the hypervisor's own refusal is not asked."""
        try:
            self._machine.cpu.look(address, write, is_user(self))
        except PageFault as refused:
            return refused
        return None

    def gate(self, vector: int) -> Gate | None:
        """Of the guest's IDT; None if it cannot be read."""
        try:
            low, high = unpack("<II", self.read(self.idtr.base + GATE * vector & MASK32, GATE))
        except PageFault:
            return None
        return gate_from_descriptor(low, high)

    def wallclock(self) -> int:
        """By virtual time alone: asking the outside would be heard."""
        machine = self._machine
        return machine.clock.wallclock_ns(machine.cpu.steps)
