"""How the shadow follows the guest: what each moment does to the virtual-native state. Pure functions.

`opened` is the index of the finding of this moment, if there is one, since which native IF is another.
"""

from dataclasses import replace
from typing import Final

from pvtrace.divergence import following_state
from pvtrace.divergence.scenes import Called, Executed, Happened
from pvtrace.divergence.shadow import Back, Shadow, Way
from pvtrace.model.events import Event, Kind
from pvtrace.model.registers import Gpr, Seg
from pvtrace.vmi.call import Call
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import USER_RING
from pvtrace.x86.effects import WriteMemory
from pvtrace.x86.operands import MASK32
from pvtrace.x86.results import Returned
from pvtrace.x86.view import PageFault, View
from rom.abi import call_numbers

FLAG_INSTRUCTIONS: Final = frozenset({"CLI", "STI", "POPF", "IRET", "SYSENTER", "SYSEXIT"})
"""Those after which native IF and IOPL are what the native handler says."""

IF_CALLS: Final = {"EnableInterrupts": True, "DisableInterrupts": False, "Halt": True, "SYSEXIT": True}
"""Calls that leave IF so, whatever it was."""

_IF_BEHIND: Final = {number: vif for name, vif in IF_CALLS.items() for number in call_numbers(name)}
_SETS_IF: Final = call_numbers("SetInterruptMask")
_NAMES: Final = {number: name for name in ("WRMSR", "SetIOPLMask") for number in call_numbers(name)}
"""Calls that change the shadow, by number."""

_FRAME_EFLAGS: Final = 8
"""Offset of EFLAGS in the frame EIP, CS, EFLAGS."""

_FRAME_CS: Final = -4
"""Offset of CS in that frame, from EFLAGS."""

_TRAP_GATES: Final = (7, 15)


def born(event_flags: int) -> Shadow:
    """At Init the native state and the machine's are one."""
    return Shadow(vif=bool(event_flags >> 32 & 1), iopl=event_flags >> 33 & 3)


def instruction(scene: Executed, opened: int | None) -> Shadow:
    """The shadow after a privileged or sensitive instruction."""
    shadow, name = scene.shadow, scene.instruction.mnemonic
    if name == "PUSHF":
        return _stored(scene)
    if name in following_state.INSTRUCTIONS:
        return following_state.instruction(scene)
    if name not in FLAG_INSTRUCTIONS:
        return shadow
    if name == "SYSENTER" and scene.natively.raised is None:
        shadow = shadow.leaving((scene.view.cr(3), scene.view.gpr(Gpr.ESP)), Kind.SYSENTER)
    taken, known = image_taken(scene), None
    if taken is not None:
        _, known = shadow.native_image(taken, int.from_bytes(scene.view.read(taken, 4), "little"))
        shadow = shadow.forgetting(taken).returning((0, taken))
    if scene.natively.raised is not None:
        return shadow
    return _with_flags(shadow, scene.natively.flags, _section(name, shadow.section, known, opened))


def _section(name: str, current: int | None, known: int | None, opened: int | None) -> int | None:
    """A section goes on until native IF is on, whatever else asks for it to be off; IRET goes back to its image's."""
    order = (known, opened, current) if name == "IRET" else (current, opened, known)
    return next((section for section in order if section is not None), None)


def _with_flags(shadow: Shadow, flags: int, section: int | None) -> Shadow:
    return replace(shadow, vif=bool(flags & eflags.IF), iopl=eflags.iopl(flags), section=section)


def image_taken(scene: Executed) -> int | None:
    """Linear address of the EFLAGS image that POPF or IRET takes; None if it cannot be read."""
    offset = {"POPF": 0, "IRET": _FRAME_EFLAGS}.get(scene.instruction.mnemonic)
    if offset is None or scene.instruction.operand_size != 4:
        return None
    address = _stack(scene.view) + offset & MASK32
    try:
        scene.view.read(address, 4)
    except PageFault:
        return None
    return address


def _stack(view: View) -> int:
    return view.segment(Seg.SS).base + view.gpr(Gpr.ESP) & MASK32


def _stored(scene: Executed) -> Shadow:
    """PUSHF has put an image on the stack, and natively another one."""
    here, native = (
        next((effect for effect in outcome.effects if isinstance(effect, WriteMemory)), None)
        for outcome in (scene.here, scene.natively)
    )
    if here is None or native is None or len(here.data) != 4:
        return scene.shadow
    image, other = (int.from_bytes(effect.data, "little") for effect in (here, native))
    return scene.shadow.remembering(here.address, image, other, scene.shadow.section).saving(here.address, image)


def call(scene: Called, opened: int | None) -> Shadow:
    """The shadow after a VMI call that rules are shown before; what the event tells is `event`'s."""
    if scene.call.info.name != "IRET":
        return following_state.call(scene)
    returned = next((effect for effect in scene.here if isinstance(effect, Returned)), None)
    if returned is None:
        return scene.shadow
    shadow, slot = following_state.returned_by_call(scene, returned.image), iret_slot(scene.call)
    native, section = shadow.native_image(slot, returned.image)
    shadow = shadow.forgetting(slot).returning((0, slot))
    return _with_flags(shadow, native, section if opened is None else opened)


def iret_slot(made: Call) -> int:
    """Linear address of the EFLAGS image that VMI IRET takes: above the return address, EIP and CS."""
    return made.esp + 4 + _FRAME_EFLAGS & MASK32


def event(scene: Happened) -> Shadow:
    """The shadow behind any other event."""
    happened = scene.event
    match happened.kind:
        case Kind.EXCEPTION | Kind.INTERRUPT | Kind.SOFTWARE_INTERRUPT:
            return _entered(scene)
        case Kind.RETURN:
            return _returned(scene)
        case _:
            return scene.shadow


def call_number(happened: Event) -> int:
    """The unified number of a VMI call (rom.abi) by its event."""
    number = happened.args[0]
    assert isinstance(number, int)
    return number


def if_behind(call: int, happened: Event) -> bool | None:
    """Native IF behind the VMI call with this unified number, by its event; None if the call leaves it alone."""
    if call in _SETS_IF:
        return bool(_eax(happened) & eflags.IF)
    return _IF_BEHIND.get(call)


def called(shadow: Shadow, call: int, happened: Event) -> Shadow:
    """The shadow behind any other VMI call, by its event."""
    match _NAMES.get(call, ""):
        case "WRMSR":
            index = happened.args[3]
            assert isinstance(index, int)
            return following_state.wrote_msr(shadow, index)
        case "SetIOPLMask":
            return replace(shadow, iopl=happened.flags >> 33 & 3)
        case _:
            return shadow


def _eax(happened: Event) -> int:
    eax = happened.args[1]
    assert isinstance(eax, int)
    return eax


def image_slot(happened: Event) -> int:
    """Linear address of the EFLAGS image that an entry has pushed. A kernel's stack is flat."""
    esp, error = happened.args[5], happened.args[1]
    assert isinstance(esp, int)
    pushed = happened.kind is Kind.EXCEPTION and error is not None
    return esp + _FRAME_EFLAGS + (4 if pushed else 0) & MASK32


def _entered(scene: Happened) -> Shadow:
    """A handler was entered: the image on its stack has the native flags natively, and an interrupt gate clears IF."""
    shadow, happened = scene.shadow, scene.event
    image = happened.args[3]
    assert isinstance(image, int)
    slot = image_slot(happened)
    shadow = shadow.leaving((0, slot), happened.kind)
    shadow = shadow.remembering(slot, image, shadow.flags(image), shadow.section, _back(scene.view, slot))
    return shadow if _by_trap_gate(scene, image) else replace(shadow, vif=False)


def from_user(scene: Happened) -> bool:
    """Whether an entry came from user code, by the frame that it has pushed."""
    image = scene.event.args[3]
    assert isinstance(image, int)
    if image & eflags.VM:
        return True
    try:
        pushed = scene.view.read(image_slot(scene.event) + _FRAME_CS & MASK32, 2)
    except PageFault:
        return False
    return pushed[0] & 3 == USER_RING


def _back(view: View, slot: int) -> Back | None:
    """Where the frame around an EFLAGS image returns to; None if it cannot be read."""
    try:
        eip, cs, esp = (
            int.from_bytes(view.read(slot + offset & MASK32, 4), "little") for offset in (-_FRAME_EFLAGS, _FRAME_CS, 4)
        )
    except PageFault:
        return None
    return Back(eip, cs & 0xFFFF, esp if cs & 3 == USER_RING else 0)


def without_stale_frame(shadow: Shadow, view: View, frame: int) -> Shadow:
    """IRET is about to take the frame at this linear address. If a kernel has put a new one where an old one was, what
    is known of the old one is void, and nobody returns to that."""
    slot = frame + _FRAME_EFLAGS & MASK32
    known = shadow.images.get(slot)
    if known is None or known.back is None:
        return shadow
    now = _back(view, slot)
    return shadow if now is None or known.back.is_still(now) else shadow.forgetting(slot).returning((0, slot))


def _by_trap_gate(scene: Happened, image: int) -> bool:
    if bool(image & eflags.IF):
        return bool(scene.event.flags >> 32 & 1)  # IF was on: it still is behind a trap gate
    vector = scene.event.args[0]
    assert isinstance(vector, int)
    gate = scene.view.gate(vector)
    return gate is not None and gate.type in _TRAP_GATES


def user_way(scene: Happened) -> Way | None:
    """To whom a RETURN goes, as SYSENTER would have noted it; None if not to user code."""
    _, _, cs, _, esp = scene.event.args[:5]
    assert isinstance(cs, int)
    assert isinstance(esp, int)
    return (scene.view.cr(3), esp) if cs & 3 == USER_RING else None


def _returned(scene: Happened) -> Shadow:
    """Frames were forgotten when IRET took them; here a system call by SYSENTER ends, and others run on."""
    shadow, way = scene.shadow, user_way(scene)
    if way is None:
        return shadow
    if way in shadow.left:
        section = shadow.left[way].section
        shadow = shadow.returning(way)
        shadow = shadow if shadow.vif else replace(shadow, section=section)
    return shadow.running_elsewhere()
