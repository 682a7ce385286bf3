"""Time and waiting: which timer is next, what fires, and what a halted CPU waits for."""

from typing import TYPE_CHECKING, Final

from pvtrace.machine.bus import TIMER_IRQ
from pvtrace.model.events import Kind
from pvtrace.model.inputs import InputKind
from pvtrace.model.stops import Why
from pvtrace.vmi import time

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

FRUITLESS: Final = 1000
"""Timers that may fire in one halt without an interrupt to the CPU, before it counts as idle for ever."""


def _earliest(*times: int | None) -> int | None:
    return min((at for at in times if at is not None), default=None)


def next_timer(machine: "Machine") -> int | None:
    """When the next timer does something, in ticks; None for never."""
    now = machine.ticks
    return _earliest(machine.platform.bus.next_event(now), time.due(machine.vmi, now))


def _next_wake(machine: "Machine") -> int | None:
    """When a timer will interrupt a CPU that halts now, in ticks; None if none will."""
    now = machine.ticks
    if not machine.system.vif:
        return None
    alarm = time.due(machine.vmi, now) if machine.platform.pic.admits(TIMER_IRQ) else None
    return _earliest(machine.platform.next_wake(now), alarm)


def advance(machine: "Machine") -> None:
    """Let the timers do all that is due now."""
    now = machine.ticks
    machine.platform.bus.advance(now)
    machine.vmi, fired = time.fire(machine.vmi, now)
    for alarm in fired:
        arguments = (int(alarm.counter), alarm.expiry, now)
        machine.journal.alarm = machine.journal.saw(Kind.ALARM, machine.system, machine.cpu.eip, *arguments)
        line = machine.platform.pic.line(TIMER_IRQ)
        line(True)
        line(False)


def halt(machine: "Machine") -> None:
    """HLT, or VMI Halt: nothing is executed until an interrupt can be delivered; time jumps to it."""
    journal = machine.journal
    journal.flush(machine.system)
    since = machine.ticks
    journal.saw(Kind.HALT, machine.system, machine.cpu.eip, since)
    for _ in range(FRUITLESS):
        if machine.platform.pic.pending() and machine.system.vif:
            break
        step = machine.cpu.steps
        alarm = _next_wake(machine)
        item = machine.tape.idle(step, machine.ticks, alarm) if machine.system.vif else None
        if item is not None:
            assert item.kind is InputKind.WAKE
            machine.clock = machine.clock.jumped_to(item.value or 0, step)
        elif alarm is not None:
            machine.clock = machine.clock.jumped_to(alarm, step)
        else:
            why = "nothing can wake it" if machine.system.vif else "halted with interrupts off"
            machine.end(Why.IDLE, detail=why)
            return
        machine.service()
    else:
        machine.end(Why.IDLE, detail="its timers run, but no interrupt reaches it")
        return
    now = machine.ticks
    journal.saw(Kind.WAKE, machine.system, machine.cpu.eip, now, now - since)
