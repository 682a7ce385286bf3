"""VMI IRET against the instruction: IF and IOPL of user code, virtual-8086 mode, 16-bit stacks, a return that faults.

What each machine does is asked of the same handlers that the machine itself uses (x86.returns natively, vmi.transitions
by call).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.following import iret_slot
from pvtrace.divergence.outcomes import exception_words, instruction_outcome
from pvtrace.divergence.rules.rule import CallRule
from pvtrace.divergence.scenes import Called
from pvtrace.model.findings import Finding, Standing
from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.vmi.effects import VmiEffects
from pvtrace.vmi.table import unusable_segment
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import USER_RING
from pvtrace.x86.effects import End, Raise, SetGpr, SetSegment
from pvtrace.x86.fast_calls import SYSENTER_CS
from pvtrace.x86.operands import with_sp
from pvtrace.x86.results import Returned

_IRET: Final = b"\xcf"


def iret(scene: Called) -> Iterator[Finding]:
    """All rules about one VMI IRET, by what becomes of it. One that may not be made at all is rules.calls'."""
    view = scene.view
    if view.cpl == USER_RING or unusable_segment(scene.call.info, view.segment, view.system.hole) is not None:
        return
    returned = next((effect for effect in scene.here if isinstance(effect, Returned)), None)
    if returned is None:
        yield from _fault(scene)
        return
    yield from _iopl(scene, returned)
    if returned.image & eflags.VM:
        yield from _user_if(scene, returned)
        yield from _sysenter(scene)
    elif returned.cs & 3 == USER_RING:
        yield from _user_if(scene, returned)
        yield from _stack16(scene, returned)


def _native_image(scene: Called, image: int) -> int:
    return scene.shadow.native_image(iret_slot(scene.call), image)[0]


def _user_if(scene: Called, returned: Returned) -> Iterator[Finding]:
    """User code runs with interrupts on, whatever the image says (differences, 6)."""
    view = scene.view
    honoured = view.user_if and view.system.viopl == USER_RING
    if returned.image & eflags.IF or honoured or _native_image(scene, returned.image) & eflags.IF:
        return
    yield scene.finding(
        "user-if-on",
        "eflags.IF",
        before=int(bool(scene.native.eflags & eflags.IF)),
        native=0,
        paravirtual=1,
        text=f"VMI IRET to user code with image {returned.image:#x}: natively IF becomes 0, here it is 1",
    )


def _iopl(scene: Called, returned: Returned) -> Iterator[Finding]:
    """IOPL is SetIOPLMask's alone; natively IRET of the kernel loads it."""
    kept, native = scene.view.system.viopl, eflags.iopl(_native_image(scene, returned.image))
    if eflags.iopl(returned.image) == kept or native == kept:
        return
    yield scene.finding(
        "iret-iopl",
        "eflags.IOPL",
        before=scene.shadow.iopl,
        native=native,
        paravirtual=kept,
        text=f"VMI IRET with image {returned.image:#x}: natively IOPL becomes {native}, here it stays {kept}",
    )


def _sysenter(scene: Called) -> Iterator[Finding]:
    """Entering virtual-8086 mode clears SYSENTER_CS (differences, 9)."""
    value = scene.native.system.msr(SYSENTER_CS)
    yield scene.finding(
        "v8086-sysenter",
        f"msr:{SYSENTER_CS:x}",
        before=value,
        native=value,
        paravirtual=0,
        text=f"VMI IRET to virtual-8086 mode clears SYSENTER_CS, which natively stays {value:#x}",
        standing=Standing.PROVEN if value else Standing.POTENTIAL,
    )


def _stack16(scene: Called, returned: Returned) -> Iterator[Finding]:
    """A 16-bit stack of user mode (differences, 10). Natively SP alone is loaded."""
    stack = _loaded_stack(scene.here)
    if stack is None or stack.big:
        return
    here = next((effect.value for effect in scene.here if isinstance(effect, SetGpr) and effect.register == Gpr.ESP), 0)
    native = with_sp(scene.native, stack, returned.esp)
    yield scene.finding(
        "stack-16",
        "esp",
        before=scene.native.gpr(Gpr.ESP),
        native=native,
        paravirtual=here,
        text=f"VMI IRET to the 16-bit stack {returned.ss:#06x}, which VMI does not support: natively ESP becomes "
        f"{native:08x}, here {here:08x}",
        standing=Standing.POTENTIAL if native == here else Standing.PROVEN,
        setting=f"stack16={'harsh' if scene.view.latitude.stack16 else 'kind'}",
    )


def _loaded_stack(effects: VmiEffects) -> Segment | None:
    for effect in effects:
        match effect:
            case SetSegment(Seg.SS, segment):
                return segment
            case _:
                pass
    return None


def _fault(scene: Called) -> Iterator[Finding]:
    """A return that faults: the exception, and where it shows itself (differences, 10)."""
    last = scene.here[-1]
    natively = instruction_outcome(scene.native, _IRET)
    native = natively.raised_words or "returns"
    match last:
        case Raise(vector, error):
            here = exception_words(vector, error)
            same = natively.raised is not None and (natively.raised.vector, natively.raised.error) == (vector, error)
            text = f"VMI IRET raises {here} at its site, natively " + ("as well" if same else f"it {_says(native)}")
        case End():
            here, same = "the guest is terminated", False
            text = f"VMI IRET cannot return and ends the guest, natively it {_says(native)}"
        case _:
            return
    yield scene.finding(
        "iret-fault",
        "exception",
        native=native,
        paravirtual=here,
        text=text,
        standing=Standing.POTENTIAL if same else Standing.PROVEN,
        setting="iret-fault=harsh" if scene.view.latitude.iret_fault and isinstance(last, End) else "",
    )


def _says(native: str) -> str:
    return native if native == "returns" else f"raises {native}"


CALLS: Final[Mapping[str, tuple[CallRule, ...]]] = {"IRET": (iret,)}
