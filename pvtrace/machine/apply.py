"""The one place where effects happen."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from pvtrace.machine import device_memory, waiting
from pvtrace.machine.pc import ISA_CYCLE_NS, SLOW_PORTS
from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.vmi.effects import ReadApic, SetVmi, VmiEffects, WriteApic
from pvtrace.vmi.page_types import root_loaded
from pvtrace.x86 import eflags
from pvtrace.x86.effects import (
    Effect,
    Effects,
    End,
    FlushTlb,
    HaltCpu,
    Native,
    Note,
    Raise,
    ReadPort,
    SetCr,
    SetEip,
    SetFlags,
    SetGdtr,
    SetGpr,
    SetIdtr,
    SetLdtr,
    SetSegment,
    SetSystem,
    SetTr,
    WriteMemory,
    WritePort,
)
from pvtrace.x86.machine_specific import EFER, EFER_NXE, apic_base
from pvtrace.x86.results import Returned
from pvtrace.x86.state import System

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

_VIRTUAL: Final = eflags.IF | eflags.IOPL


def apply(machine: "Machine", effects: Effects | VmiEffects) -> tuple[Effect, ...]:
    """Apply effects in order. Returns those that are not the state's to hold: Raise, HaltCpu, Native and End.

    A store that the guest's page tables refuse raises PageFault; by the handlers' rule stores come first, so that
    nothing else has happened then.
    """
    cpu = machine.cpu
    left: list[Effect] = []
    for effect in effects:  # the frequent ones first
        match effect:
            case SetGpr(register, value):
                cpu.set_gpr(register, value)
            case SetEip(value):
                cpu.eip = value
            case SetFlags(image, mask):
                _set_flags(machine, image, mask)
            case WriteMemory(address, data, user):
                cpu.write(address, data, user)
            case ReadPort():
                _read_port(machine, effect)
            case WritePort(port, width, value):
                _write_port(machine, port, width, value)
            case SetSegment(register, segment):
                cpu.set_segment(register, segment)
            case SetSystem(system):
                set_system(machine, system)
            case SetVmi(vmi):
                machine.vmi = vmi
                machine.set_horizon()
            case SetCr(number, value):
                _set_cr(machine, number, value)
            case SetLdtr(segment):
                cpu.ldtr = segment
            case SetTr(segment):
                cpu.tr = segment
            case SetGdtr(table):
                cpu.gdtr = table
            case SetIdtr(table):
                cpu.idtr = table
            case FlushTlb():
                cpu.flush_tlb()
            case ReadApic(register):
                cpu.set_gpr(Gpr.EAX, device_memory.read_apic(machine, register))
            case WriteApic(register, value):
                device_memory.write_apic(machine, register, value)
            case Note(text):
                machine.journal.saw(Kind.NOTE, machine.system, cpu.eip, text)
            case Raise() | HaltCpu() | Native() | End():
                left.append(effect)
            case Returned():
                pass  # facts
            case _:
                assert_never(effect)
    return tuple(left)


def _set_flags(machine: "Machine", image: int, mask: int) -> None:
    system, cpu = machine.system, machine.cpu
    if mask & _VIRTUAL:
        guest = (eflags.guest_flags(cpu.eflags, system) & ~mask) | (image & mask)
        vif, viopl = bool(guest & eflags.IF), eflags.iopl(guest)
        if viopl != system.viopl:
            machine.system = replace(system, vif=vif, viopl=viopl)
        elif vif is not system.vif:
            machine.system = machine.answers.flipped(system)
    if system.paravirtual:
        mask &= ~_VIRTUAL
    if mask:
        cpu.eflags = (cpu.eflags & ~mask) | (image & mask)


def set_system(machine: "Machine", system: System) -> None:
    """Replace System, and what of it the CPU must know: where the hypervisor begins, and EFER.NXE."""
    before, machine.system = machine.system, system
    if system.hole != before.hole:
        machine.cpu.hole = system.hole
    if system.msrs != before.msrs:
        machine.cpu.nxe = bool(system.msr(EFER) & EFER_NXE)
        machine.platform.locate_apic(apic_base(system))
    if system.paravirtual != before.paravirtual:
        _mode_event(machine, mode(machine) ^ PARAVIRTUAL)


PARAVIRTUAL: Final = 1 << 4


def mode(machine: "Machine") -> int:
    """The mode bits of the event MODE: protected, paging, PAE, write protect, paravirtual."""
    cr0, cr4 = machine.cpu.cr(0), machine.cpu.cr(4)
    return (
        (cr0 & 1)
        | (cr0 >> 31 & 1) << 1
        | (cr4 >> 5 & 1) << 2
        | (cr0 >> 16 & 1) << 3
        | (PARAVIRTUAL if machine.system.paravirtual else 0)
    )


def _mode_event(machine: "Machine", before: int) -> None:
    machine.journal.saw(Kind.MODE, machine.system, machine.cpu.eip, before, mode(machine))


def _set_cr(machine: "Machine", number: int, value: int) -> None:
    before = mode(machine)
    machine.cpu.set_cr(number, value)
    if number == 3 and machine.system.paravirtual:
        apply(machine, root_loaded(machine.vmi, value))
    if mode(machine) != before:
        _mode_event(machine, before)


def _unknown(machine: "Machine", first: bool, port: int, width: int, write: bool) -> None:
    if first:
        machine.journal.saw(Kind.UNKNOWN_PORT, machine.system, machine.cpu.eip, port, width, int(write))


def _read_port(machine: "Machine", effect: ReadPort) -> None:
    cpu, port, width = machine.cpu, effect.port, effect.width
    if effect.address is not None:  # what a device has given cannot be put back: the store must succeed
        for byte in (effect.address, effect.address + width - 1):
            cpu.physical(byte & 0xFFFFFFFF, write=True, user=effect.user)
    if machine.cpu.steps >= machine.horizon:
        waiting.advance(machine)
    answer = machine.platform.bus.read(port, width, machine.ticks)
    if port in SLOW_PORTS:
        waiting.spend(machine, ISA_CYCLE_NS)
    machine.set_horizon()
    _unknown(machine, answer.first_unknown, port, width, write=False)
    machine.journal.saw(Kind.PORT_READ, machine.system, cpu.eip, port, width, answer.value)
    if effect.address is not None:
        cpu.write(effect.address, answer.value.to_bytes(width, "little"), effect.user)
        return
    low = (1 << 8 * width) - 1
    kept = 0 if effect.zero_extend else cpu.gpr(effect.register) & ~low
    cpu.set_gpr(effect.register, kept | answer.value)


def _write_port(machine: "Machine", port: int, width: int, value: int) -> None:
    if machine.cpu.steps >= machine.horizon:
        waiting.advance(machine)
    machine.journal.saw(Kind.PORT_WRITE, machine.system, machine.cpu.eip, port, width, value)
    first = machine.platform.bus.write(port, width, value, machine.ticks)
    _unknown(machine, first, port, width, write=True)
    if port in SLOW_PORTS:
        waiting.spend(machine, ISA_CYCLE_NS)
    machine.set_horizon()
