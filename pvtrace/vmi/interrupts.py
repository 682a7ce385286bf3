"""The guest's interrupt flag, and the ways to wait or to end (vmi: interrupt and processor-state calls).

Only virtual IF changes here. Delivering what is pending is the machine's: right after the call, with the instruction
behind the call site as return address and without the shadow that the instruction STI has.
"""

from typing import Final

from pvtrace.model.stops import Why
from pvtrace.vmi.call import Call, Handler, in_eax
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import End, HaltCpu, SetFlags
from pvtrace.x86.eflags import IF
from pvtrace.x86.view import View


def enable(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    return (SetFlags(IF, IF),)


def disable(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    return (SetFlags(0, IF),)


def get_mask(_call: Call, view: View, _state: VmiState) -> VmiEffects:
    return in_eax(IF if view.system.vif else 0)


def set_mask(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    return (SetFlags(call.eax & IF, IF),)


def pause(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """A hint: one CPU spins for nobody but itself."""
    return ()


def halt(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """STI and HLT in one: there is no halt with interrupts off but Shutdown."""
    return (SetFlags(IF, IF), HaltCpu())


def reboot(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """EAX 0 is soft, as an INIT message; 1, and any undefined value, is a reset of the system."""
    return (End(Why.REBOOT, detail="soft reboot (VMI Reboot)" if call.eax == 0 else "hard reboot (VMI Reboot)"),)


def shutdown(_call: Call, _view: View, _state: VmiState) -> VmiEffects:
    """Powers off this CPU; it is the only one."""
    return (End(Why.SHUTDOWN, detail="the guest shut down (VMI Shutdown)"),)


HANDLERS: Final[dict[str, Handler]] = {
    "EnableInterrupts": enable,
    "DisableInterrupts": disable,
    "GetInterruptMask": get_mask,
    "SetInterruptMask": set_mask,
    "Pause": pause,
    "Halt": halt,
    "Reboot": reboot,
    "Shutdown": shutdown,
}
