"""What follows from a window in which native hardware would have interrupts off, and what is just the same natively.

Each finding here is linked to the one that opened the window (Finding.opened_by); none of them opens one.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence import following
from pvtrace.divergence.outcomes import exception_words
from pvtrace.divergence.rules.rule import EventRule, InstructionRule
from pvtrace.divergence.scenes import Executed, Happened
from pvtrace.divergence.sections import FAULT, INTERRUPTED, NOT_RESTORED, RESCHEDULED
from pvtrace.model.events import Kind
from pvtrace.model.findings import Finding, Standing
from pvtrace.x86 import eflags

_LEFT_BY: Final[Mapping[Kind, str]] = {
    Kind.EXCEPTION: "a fault",
    Kind.SOFTWARE_INTERRUPT: "a system call",
    Kind.SYSENTER: "a system call",
    Kind.INTERRUPT: "an interrupt",
}


def interrupted(scene: Happened) -> Iterator[Finding]:
    """An interrupt is delivered although natively IF is off: there it would wait (SDM volume 3, 6.8.1)."""
    section = scene.shadow.masked
    if section is None:
        return
    vector, irq = scene.event.args[:2]
    assert isinstance(vector, int)
    source = f"interrupt {vector:#x}" + (f" (IRQ {irq})" if isinstance(irq, int) else "")
    yield scene.finding(
        INTERRUPTED,
        "interrupt",
        native="waits",
        paravirtual="is delivered",
        text=f"{source} is delivered; natively IF is off and it waits",
        opened_by=section,
    )


def fault_in_section(scene: Happened) -> Iterator[Finding]:
    """User code faults with IF off: the handler runs, and may let interrupts in or run another task, natively too."""
    section = scene.shadow.masked
    if section is None or not following.from_user(scene):
        return
    vector, error, address = scene.event.args[:3]
    assert isinstance(vector, int)
    assert error is None or isinstance(error, int)
    words = exception_words(vector, error) + (f" at {address:#x}" if isinstance(address, int) else "")
    yield scene.finding(
        FAULT,
        "exception",
        standing=Standing.HAZARD,
        native=words,
        paravirtual=words,
        text=f"{words} inside a section without interrupts: its handler runs, natively as well",
        opened_by=section,
    )


def rescheduled(scene: Happened) -> Iterator[Finding]:
    """The kernel returns to other user code than that which it had entered from inside a section."""
    way, left = following.user_way(scene), scene.shadow.left
    if way is None:
        return
    back = left[way].section if way in left else None
    for section in dict.fromkeys(each.section for each in left.values() if each.section != back):
        entries = [each for each in left.values() if each.section == section]
        if all(each.elsewhere for each in entries):
            continue
        proven = any(each.by is Kind.INTERRUPT for each in entries)
        by = Kind.INTERRUPT if proven else entries[0].by
        yield scene.finding(
            RESCHEDULED,
            "task",
            standing=Standing.PROVEN if proven else Standing.HAZARD,
            native="goes on" if proven else "waits",
            paravirtual="waits",
            text=f"another task runs while a section without interrupts, left by {_LEFT_BY[by]}, waits"
            + ("; natively that interrupt waits" if proven else ", natively as well"),
            opened_by=section,
        )


def sysenter_if(scene: Happened) -> Iterator[Finding]:
    """SYSENTER saves no EFLAGS, so the way back cannot restore an IF that was off (SDM volume 2, SYSENTER)."""
    way = following.user_way(scene)
    entry = scene.shadow.left.get(way) if way is not None else None
    if entry is None or not scene.shadow.vif:
        return
    yield scene.finding(
        "sysenter-if",
        "eflags.IF",
        standing=Standing.HAZARD,
        before=0,
        native=1,
        paravirtual=1,
        text="a system call by SYSENTER was made with IF=0 and returns with IF=1, natively as well",
        opened_by=entry.section,
    )


def not_restored(scene: Executed) -> Iterator[Finding]:
    """POPF takes what PUSHF has stored, to have IF as it was; natively it is, here it is not."""
    native, paravirtual = scene.natively, scene.here
    at = following.image_taken(scene)
    saved = None if at is None else scene.shadow.saves.get(at)
    if at is None or saved is None or native.raised is not None or paravirtual.raised is not None:
        return
    image = int.from_bytes(scene.view.read(at, 4), "little")
    restored, left = (int(bool(flags & eflags.IF)) for flags in (native.flags, paravirtual.flags))
    if restored == left or (image ^ saved) & eflags.IF:
        return
    yield scene.finding(
        NOT_RESTORED,
        "saved.IF",
        before=int(bool(scene.native.eflags & eflags.IF)),
        native=restored,
        paravirtual=left,
        text=f"POPF is to bring back what PUSHF has stored: natively IF becomes {restored}, as it was then; "
        f"here it stays {left}",
        opened_by=scene.shadow.section,
    )


INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {"POPF": (not_restored,)}
EVENTS: Final[Mapping[Kind, tuple[EventRule, ...]]] = {
    Kind.INTERRUPT: (interrupted,),
    Kind.EXCEPTION: (fault_in_section,),
    Kind.RETURN: (rescheduled, sysenter_if),
}
