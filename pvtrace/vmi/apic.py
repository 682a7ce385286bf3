"""The calls that need hardware or knowledge that is not there, and what becomes of them.

A local APIC and a second CPU do not exist here, and no text says what SetCallbacks does. Such a call ends the run and
names itself. The relocation query of 3.0 answers that they are absent, so that a kernel keeps its native routine; that
of 13.x has to name an entry point for every call.
"""

from typing import Final

from pvtrace.model.stops import Why
from pvtrace.vmi.call import Call, Handler
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.state import VmiState
from pvtrace.x86.effects import End
from pvtrace.x86.view import View

UNSUPPORTED: Final = {
    "APICRead": "a local APIC",
    "APICWrite": "a local APIC",
    "SetInitialAPState": "a second CPU",
    "SetCallbacks": "a call that no text defines",
}
"""What each of these calls would need."""


def unsupported(call: Call, _view: View, _state: VmiState) -> VmiEffects:
    name = call.info.name
    need = UNSUPPORTED[name]
    return (
        End(
            Why.UNSUPPORTED,
            detail=f"the guest called VMI {name} (number {call.number} of {call.generation}.x) at {call.site:08x}, "
            f"which needs {need}: pvtrace has none",
        ),
    )


HANDLERS: Final[dict[str, Handler]] = dict.fromkeys(UNSUPPORTED, unsupported)
