"""What gdb may change of a machine that has left its recording: each change as a function that is done to it."""

from collections.abc import Callable
from typing import Final

from gdbstub.arch.i386 import EFLAGS, EIP
from gdbstub.errors import FAULT, ProtocolError
from pvtrace.gdb.registers import DESCRIPTION, GENERAL
from pvtrace.machine.machine import Machine
from pvtrace.model.snapshot import PAGE
from pvtrace.x86.eflags import UNPRIVILEGED, replace
from pvtrace.x86.view import PageFault

Change = Callable[[Machine], None]

_MASK: Final = 0xFFFFFFFF
_CONTROL: Final = {"cr0": 0, "cr2": 2, "cr3": 3, "cr4": 4}


def register(number: int, value: int) -> Change:
    """Give a register of DESCRIPTION a value. Raises ProtocolError for one that cannot be given one."""
    name = DESCRIPTION.registers[number].name
    value &= _MASK
    if number < GENERAL:
        return lambda machine: machine.cpu.set_gpr(number, value)
    if number == EIP:
        return lambda machine: setattr(machine.cpu, "eip", value)
    if number == EFLAGS:
        return lambda machine: setattr(machine.cpu, "eflags", replace(machine.cpu.eflags, value, UNPRIVILEGED))
    if name == "vif":
        return lambda machine: machine.replace_system(vif=bool(value))
    if name == "viopl":
        return lambda machine: machine.replace_system(viopl=value & 3)
    if name == "step":  # gdb puts every register back when it has called a function, and time has passed in it
        return lambda _: None
    if name in _CONTROL:
        return lambda machine: machine.cpu.set_cr(_CONTROL[name], value)
    raise ProtocolError(text=f"{name} cannot be changed from here")


def memory(machine: Machine, address: int, data: bytes) -> Change:
    """Store bytes at a linear address, whatever the page tables say of writing. Raises ProtocolError, before anything
    is stored, if not all of it is there."""
    pieces = []
    at = 0
    while at < len(data):
        size = min(len(data) - at, PAGE - (address + at) % PAGE)
        try:
            pieces.append((machine.cpu.look((address + at) & _MASK), data[at : at + size]))
        except PageFault:
            raise ProtocolError(FAULT, f"there is no memory at {address + at:#x}") from None
        at += size

    def store(changed: Machine) -> None:
        for physical, piece in pieces:
            changed.cpu.write_physical(physical, piece)

    return store
