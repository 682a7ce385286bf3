"""Loads and stores at physical addresses where devices answer, by instruction and by VMI call."""

from typing import TYPE_CHECKING, Final

from pvtrace.machine import waiting
from pvtrace.model.events import Kind
from pvtrace.model.exits import MmioRead, MmioWrite
from pvtrace.model.step import NEVER

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

ALL_ONES: Final = 0xFFFFFFFF


def load(machine: "Machine", exit_: MmioRead) -> None:
    """Give the CPU the value and let the instruction complete: nothing may come between the two."""
    waiting.advance(machine)
    answer = machine.platform.memory.read(exit_.address, exit_.width, machine.ticks)
    machine.set_horizon()
    if answer.first_unknown:
        _unknown(machine, exit_, write=False)
    machine.cpu.supply(answer.value)
    machine.react(machine.cpu.run(NEVER))


def store(machine: "Machine", exit_: MmioWrite) -> None:
    """A store to ROM is dropped, too; that is nothing to tell."""
    if exit_.address < machine.settings.ram:
        return
    waiting.advance(machine)
    if machine.platform.memory.write(exit_.address, exit_.width, exit_.value, machine.ticks):
        _unknown(machine, exit_, write=True)
    machine.set_horizon()


def read_apic(machine: "Machine", register: int) -> int:
    """A register of the local APIC; all ones while it is switched off."""
    apic = machine.platform.interrupts.apic
    waiting.advance(machine)
    value = apic.read(register, 4, machine.ticks) if apic.present else ALL_ONES
    machine.set_horizon()
    return value


def write_apic(machine: "Machine", register: int, value: int) -> None:
    """The same side effects as a store to the APIC's page."""
    apic = machine.platform.interrupts.apic
    waiting.advance(machine)
    if apic.present:
        apic.write(register, 4, value, machine.ticks)
    machine.set_horizon()


def _unknown(machine: "Machine", exit_: MmioRead | MmioWrite, write: bool) -> None:
    arguments = (exit_.address, exit_.width, int(write))
    machine.journal.saw(Kind.UNKNOWN_MEMORY, machine.system, machine.cpu.eip, *arguments)
