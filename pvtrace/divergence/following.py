"""How the shadow follows the guest: what each moment does to the virtual-native state. Pure functions.

`opened` is the index of the finding of this moment, if there is one, since which native IF is another.
"""

from dataclasses import replace
from typing import Final

from pvtrace.divergence.scenes import Called, Executed, Happened
from pvtrace.divergence.shadow import Shadow
from pvtrace.model.events import Event, Kind
from pvtrace.model.registers import Gpr, Seg
from pvtrace.vmi.call import Call
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import gate_from_descriptor
from pvtrace.x86.effects import WriteMemory
from pvtrace.x86.operands import MASK32
from pvtrace.x86.view import PageFault, View
from rom.abi import by_number, from_unified

FLAG_INSTRUCTIONS: Final = frozenset({"CLI", "STI", "POPF", "IRET", "SYSENTER", "SYSEXIT"})
"""Those after which native IF and IOPL are what the native handler says."""

IF_CALLS: Final = {"EnableInterrupts": True, "DisableInterrupts": False, "Halt": True, "SYSEXIT": True}
"""Calls that leave IF so, whatever it was."""

_FRAME_EFLAGS: Final = 8
"""Offset of EFLAGS in the frame EIP, CS, EFLAGS."""

_TRAP_GATES: Final = (7, 15)


def born(event_flags: int) -> Shadow:
    """At Init the native state and the machine's are one."""
    return Shadow(vif=bool(event_flags >> 32 & 1), iopl=event_flags >> 33 & 3)


def instruction(scene: Executed, opened: int | None) -> Shadow:
    """The shadow after a privileged or sensitive instruction."""
    shadow, name = scene.shadow, scene.instruction.mnemonic
    if name == "PUSHF":
        return _stored(scene)
    if name not in FLAG_INSTRUCTIONS:
        return shadow
    taken = _slot(scene)
    section = shadow.section
    if taken is not None:
        _, known = shadow.native_image(taken, int.from_bytes(scene.view.read(taken, 4), "little"))
        section = known if known is not None else section
        shadow = shadow.forgetting(taken)
    if scene.natively.raised is not None:
        return shadow
    return _with_flags(shadow, scene.natively.flags, section if opened is None else opened)


def _with_flags(shadow: Shadow, flags: int, section: int | None) -> Shadow:
    return replace(shadow, vif=bool(flags & eflags.IF), iopl=eflags.iopl(flags), section=section)


def _slot(scene: Executed) -> int | None:
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
    return scene.shadow.remembering(here.address, image, other, scene.shadow.section)


def call(scene: Called, opened: int | None) -> Shadow:
    """The shadow after a VMI call that rules are shown before; what the event tells is `event`'s."""
    shadow = scene.shadow
    if scene.call.info.name != "IRET":
        return shadow
    slot = iret_slot(scene.call)
    try:
        image = int.from_bytes(scene.view.read(slot, 4), "little")
    except PageFault:
        return shadow
    native, section = shadow.native_image(slot, image)
    return _with_flags(shadow.forgetting(slot), native, section if opened is None else opened)


def iret_slot(made: Call) -> int:
    """Linear address of the EFLAGS image that VMI IRET takes: above the return address, EIP and CS."""
    return made.esp + 4 + _FRAME_EFLAGS & MASK32


def event(scene: Happened) -> Shadow:
    """The shadow behind an event."""
    happened = scene.event
    match happened.kind:
        case Kind.HYPERCALL:
            return _called(scene)
        case Kind.EXCEPTION | Kind.INTERRUPT | Kind.SOFTWARE_INTERRUPT:
            return _entered(scene)
        case _:
            return scene.shadow


def _called(scene: Happened) -> Shadow:
    shadow, happened = scene.shadow, scene.event
    number, eax = happened.args[:2]
    assert isinstance(number, int)
    assert isinstance(eax, int)
    info = by_number(*from_unified(number))
    name = "" if info is None else info.name
    if name in IF_CALLS:
        return replace(shadow, vif=IF_CALLS[name])
    match name:
        case "SetInterruptMask":
            return replace(shadow, vif=bool(eax & eflags.IF))
        case "SetIOPLMask":
            return replace(shadow, iopl=happened.flags >> 33 & 3)
        case _:
            return shadow


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
    shadow = shadow.remembering(image_slot(happened), image, shadow.flags(image), shadow.section)
    return shadow if _by_trap_gate(scene, image) else replace(shadow, vif=False)


def _by_trap_gate(scene: Happened, image: int) -> bool:
    if bool(image & eflags.IF):
        return bool(scene.event.flags >> 32 & 1)  # IF was on: it still is behind a trap gate
    vector = scene.event.args[0]
    assert isinstance(vector, int)
    try:
        raw = scene.view.read(scene.view.idtr.base + 8 * vector & MASK32, 8)
    except PageFault:
        return False
    gate = gate_from_descriptor(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little"))
    return gate.type in _TRAP_GATES
