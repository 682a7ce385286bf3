"""Time and waiting: which timer is next, what fires, and what a halted CPU waits for."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pvtrace.machine.clock import NS_PER_SECOND
from pvtrace.machine.interrupt_controller import TIMER_IRQ
from pvtrace.model.events import Kind
from pvtrace.model.inputs import InputKind
from pvtrace.model.stops import Why
from pvtrace.vmi import time
from pvtrace.vmi.steal import NOTHING, window
from pvtrace.vmi.time import Wiring

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

FRUITLESS: Final = 1000
"""Timers that may fire in one halt without an interrupt to the CPU, before it counts as idle for ever."""


def _earliest(*times: int | None) -> int | None:
    return min((at for at in times if at is not None), default=None)


def next_timer(machine: "Machine") -> int | None:
    """When the next timer does something, in ticks; None for never."""
    now = machine.ticks
    device, alarm = machine.platform.bus.next_event(now), time.due(machine.vmi, now)
    if alarm is None and machine.steal == NOTHING:  # as a rule; this is asked at every port access
        return device
    soon = _window(machine)
    stolen = None if soon is None else machine.vmi.start + soon[0]
    return _earliest(device, alarm, stolen)


def _window(machine: "Machine") -> tuple[int, int] | None:
    """The next window of stolen time, in ticks of the real counter; None if there is none, or no counter yet."""
    if machine.steal == NOTHING or not machine.system.paravirtual:
        return None
    return window(machine.steal, machine.ticks - machine.vmi.start, machine.clock.hz)


def preempt(machine: "Machine") -> bool:
    """The CPU is ready to run. If something else has it now, time passes until it comes back; whether it did."""
    began = machine.ticks
    while (found := _window(machine)) is not None and found[0] <= machine.ticks - machine.vmi.start:
        until = machine.vmi.start + found[1]
        stolen = machine.vmi.stolen + until - machine.ticks
        machine.clock = machine.clock.jumped_to(until, machine.cpu.steps)
        machine.vmi = replace(machine.vmi, stolen=stolen)
    passed = machine.ticks - began
    if passed:
        machine.journal.saw(Kind.STOLEN, machine.system, machine.cpu.eip, began, passed)
    return bool(passed)


def spend(machine: "Machine", ns: int) -> None:
    """Time passes for the CPU without a step, but under a host clock, which alone says how late it is."""
    if not machine.host_clock:
        clock = machine.clock
        machine.clock = clock.jumped_to(machine.ticks + ns * clock.hz // NS_PER_SECOND, machine.cpu.steps)


def _next_wake(machine: "Machine") -> int | None:
    """When a timer will interrupt a CPU that halts now, in ticks; None if none will."""
    now = machine.ticks
    if not machine.system.vif:
        return None
    interrupts = machine.platform.interrupts
    by_irq = time.due(machine.vmi, now, Wiring.IRQ0) if interrupts.admits(TIMER_IRQ) else None
    by_apic = time.due(machine.vmi, now, Wiring.APIC) if interrupts.apic.admits_timer else None
    return _earliest(machine.platform.next_wake(now), by_irq, by_apic)


def advance(machine: "Machine") -> None:
    """Let the timers do all that is due now."""
    now = machine.ticks
    machine.platform.bus.advance(now)
    machine.vmi, fired = time.fire(machine.vmi, now)
    for alarm in fired:
        arguments = (int(alarm.counter), alarm.expiry, now)
        machine.journal.alarm = machine.journal.saw(Kind.ALARM, machine.system, machine.cpu.eip, *arguments)
        if alarm.wiring is Wiring.APIC:
            machine.platform.interrupts.apic.fire_timer()
        else:
            line = machine.platform.interrupts.line(TIMER_IRQ)
            line(True)
            line(False)


def halt(machine: "Machine") -> None:
    """HLT, or VMI Halt: nothing is executed until an interrupt can be delivered; time jumps to it."""
    journal = machine.journal
    journal.flush(machine.system)
    since = machine.ticks
    journal.saw(Kind.HALT, machine.system, machine.cpu.eip, since)
    for _ in range(FRUITLESS):
        if machine.platform.interrupts.pending() and machine.system.vif:
            break
        step = machine.cpu.steps
        alarm = _next_wake(machine)
        possible = alarm is not None or machine.platform.input_wakes()
        item = machine.tape.idle(step, machine.ticks, alarm) if possible and machine.system.vif else None
        if item is not None:
            assert item.kind is InputKind.WAKE
            machine.clock = machine.clock.jumped_to(item.value or 0, step)
        elif alarm is not None:
            machine.clock = machine.clock.jumped_to(alarm, step)
        else:
            why = "nothing can wake it" if machine.system.vif else "halted with interrupts off"
            machine.end(Why.IDLE, detail=why)
            return
        if time.due(machine.vmi, machine.ticks) == machine.ticks:
            preempt(machine)  # the alarm makes the CPU ready, and fires when it runs
        machine.service()
    else:
        machine.end(Why.IDLE, detail="its timers run, but no interrupt reaches it")
        return
    if preempt(machine):
        machine.service()
    now = machine.ticks
    journal.saw(Kind.WAKE, machine.system, machine.cpu.eip, now, now - since)
