"""Cycle counters, alarms and the wallclock (vmi: timer interface of the proposal).

Counters run in cycles of `View.hz`. The real counter is zero at Init and always runs; available stands still while the
guest is ready but something else runs (see vmi.steal), which is what stolen counts: real = available + stolen.
The machine's clock asks `due` how far it may go and lets `fire` say what fired; both are pure.
"""

from dataclasses import replace
from enum import IntEnum
from typing import Final, NamedTuple

from pvtrace.vmi.call import Call, Handler, in_eax, in_edx_eax, wide
from pvtrace.vmi.effects import SetVmi, VmiEffects
from pvtrace.vmi.state import Alarm, VmiState
from pvtrace.x86.view import View

COUNTER_MASK: Final = 0xFF
PERIODIC: Final = 0x100
BY_APIC: Final = 0x10000
"""Bits of the flags of SetAlarm: the counter, periodic, and delivery by the local APIC's timer entry, not IRQ 0."""

WALLCLOCK_STEP_NS: Final = 100_000_000
"""How far wallclock and real counter must move apart to count as an update: more than the grain of a host's clock
that is steered smoothly, less than any step that a person or a resumed host makes."""

_NS: Final = 1_000_000_000


class Counter(IntEnum):
    REAL = 0
    AVAILABLE = 1
    STOLEN = 2


ALARM_COUNTERS: Final = (Counter.REAL, Counter.AVAILABLE)


class Wiring(IntEnum):
    """What an alarm raises: a pulse on IRQ 0, or the interrupt of the local APIC's timer entry (its vector and mask
    count; its mode and the APIC's own counts have no part in it)."""

    IRQ0 = 0
    APIC = 1


class Fired(NamedTuple):
    """The alarm of `counter`, set for `expiry`, fired."""

    counter: Counter
    expiry: int
    wiring: Wiring


def counter(state: VmiState, index: int, ticks: int) -> int:
    """The counter's value at virtual time `ticks`; an undefined counter reads 0."""
    real = ticks - state.start
    match index:
        case Counter.REAL:
            return real
        case Counter.AVAILABLE:
            return real - state.stolen
        case Counter.STOLEN:
            return state.stolen
        case _:
            return 0


def wiring(alarm: Alarm) -> Wiring:
    return Wiring.APIC if alarm.flags & BY_APIC else Wiring.IRQ0


def due(state: VmiState, ticks: int, wired: Wiring | None = None) -> int | None:
    """The virtual time at which the next alarm (`wired`: of that wiring) fires, not before `ticks`; None if none is
    armed."""
    if state.alarms == (None, None):
        return None
    lost = {Counter.REAL: 0, Counter.AVAILABLE: state.stolen}
    armed = ((index, state.alarms[index]) for index in ALARM_COUNTERS)
    expiries = [
        alarm.expiry + state.start + lost[index]
        for index, alarm in armed
        if alarm is not None and wired in (None, wiring(alarm))
    ]
    return max(ticks, min(expiries)) if expiries else None


def fire(state: VmiState, ticks: int) -> tuple[VmiState, tuple[Fired, ...]]:
    """What fires at virtual time `ticks`, and the state after it.

    A periodic alarm moves on to the first of its expiries that lies after now: what was missed is not made up for.
    """
    fired: list[Fired] = []
    for index in ALARM_COUNTERS:
        alarm = state.alarms[index]
        now = counter(state, index, ticks)
        if alarm is None or alarm.expiry > now:
            continue
        fired.append(Fired(index, alarm.expiry, wiring(alarm)))
        state = replace(state, alarms=state.with_alarm(index, _following(alarm, now)))
    return state, tuple(fired)


def _following(alarm: Alarm, now: int) -> Alarm | None:
    if alarm.period == 0:
        return None
    periods = (now - alarm.expiry) // alarm.period + 1
    return replace(alarm, expiry=alarm.expiry + periods * alarm.period)


def get_cycle_frequency(_call: Call, view: View, _state: VmiState) -> VmiEffects:
    return in_edx_eax(view.hz)


def get_cycle_counter(call: Call, view: View, state: VmiState) -> VmiEffects:
    return in_edx_eax(counter(state, call.eax, view.ticks))


def set_alarm(call: Call, _view: View, state: VmiState) -> VmiEffects:
    """Arms, or arms anew. A counter without an alarm: no effect. Periodic with a period of 0 is one shot."""
    index = call.eax & COUNTER_MASK
    if index not in ALARM_COUNTERS:
        return ()
    period = wide(*call.stack) if call.eax & PERIODIC else 0
    alarm = Alarm(wide(call.edx, call.ecx), period, call.eax)
    return (SetVmi(replace(state, alarms=state.with_alarm(index, alarm))),)


def cancel_alarm(call: Call, _view: View, state: VmiState) -> VmiEffects:
    """EAX may be a whole word of alarm flags, as Linux passes it; the counter in it is what counts."""
    index = call.eax & COUNTER_MASK
    if index not in ALARM_COUNTERS or state.alarms[index] is None:
        return in_eax(0)
    return (SetVmi(replace(state, alarms=state.with_alarm(index, None))), *in_eax(1))


def _wallclock_origin(now_ns: int, view: View, state: VmiState) -> int:
    """The wallclock at which the real counter was zero, if both ran evenly since."""
    return now_ns - (view.ticks - state.start) * _NS // view.hz


def get_wallclock_time(_call: Call, view: View, state: VmiState) -> VmiEffects:
    now = view.wallclock()
    if state.wallclock_origin is not None:
        return in_edx_eax(now)
    return (SetVmi(replace(state, wallclock_origin=_wallclock_origin(now, view, state))), *in_edx_eax(now))


def wallclock_updated(_call: Call, view: View, state: VmiState) -> VmiEffects:
    """1 if the wallclock moved against the real counter since the last look; asking clears it."""
    origin = _wallclock_origin(view.wallclock(), view, state)
    known = origin if state.wallclock_origin is None else state.wallclock_origin
    moved = abs(origin - known) > WALLCLOCK_STEP_NS
    return (SetVmi(replace(state, wallclock_origin=origin if moved else known)), *in_eax(int(moved)))


HANDLERS: Final[dict[str, Handler]] = {
    "GetCycleFrequency": get_cycle_frequency,
    "GetCycleCounter": get_cycle_counter,
    "SetAlarm": set_alarm,
    "CancelAlarm": cancel_alarm,
    "GetWallclockTime": get_wallclock_time,
    "WallclockUpdated": wallclock_updated,
}
