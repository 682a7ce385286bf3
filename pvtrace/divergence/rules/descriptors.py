"""Descriptors and the segment registers that follow them: at Init, as an entry is written, as a table is loaded."""

from collections.abc import Iterator, Mapping
from typing import Final

from pvtrace.divergence.rules.rule import CallRule, InstructionRule
from pvtrace.divergence.scenes import Called, Executed
from pvtrace.divergence.tables import (
    ENTRY_CALLS,
    TABLE_CALLS,
    TABLE_INSTRUCTIONS,
    Stored,
    rewritten,
    stored_by_call,
)
from pvtrace.model.findings import Finding
from pvtrace.model.registers import Seg, Segment
from pvtrace.vmi.describe import descriptor_text
from pvtrace.vmi.effects import VmiEffects
from pvtrace.x86.descriptors import ACCESSED, is_null
from pvtrace.x86.effects import End, SetSegment


def init_selectors(scene: Called) -> Iterator[Finding]:
    """Live selectors get the RPL of the kernel's ring."""
    changed = [
        (effect.register, scene.view.segment(effect.register).selector, effect.segment.selector)
        for effect in scene.here
        if isinstance(effect, SetSegment)
    ]
    differ = [each for each in changed if each[1] != each[2]]
    if not differ:
        return
    before = " ".join(f"{Seg(register).name.lower()}={old:#x}" for register, old, _ in differ)
    after = " ".join(f"{Seg(register).name.lower()}={new:#x}" for register, _, new in differ)
    yield scene.finding(
        "init-selectors",
        "+".join(f"{Seg(register).name.lower()}.RPL" for register, _, _ in differ),
        before=before,
        native=before,
        paravirtual=after,
        text=f"Init changes live selectors: {before} become {after}",
    )


def by_call(scene: Called) -> Iterator[Finding]:
    """A call that writes an entry or loads a table."""
    if not scene.view.system.paravirtual and scene.call.info.name != "Init":
        return
    stored = stored_by_call(scene.call, scene.shadow, scene.view, scene.here)
    yield from _images(scene, scene.call.info.name, stored)
    if scene.call.info.name != "Init":
        yield from _segments(scene, scene.call.info.name, scene.here)


def by_instruction(scene: Executed) -> Iterator[Finding]:
    """LGDT and LLDT trap, and do what SetGDT and SetLDT do."""
    effects = scene.here.effects
    yield from _images(scene, scene.instruction.mnemonic, rewritten(scene.shadow, scene.view, effects))
    yield from _segments(scene, scene.instruction.mnemonic, effects)


def _images(scene: Called | Executed, name: str, stored: tuple[Stored, ...]) -> Iterator[Finding]:
    """One finding for all entries; none for what memory held otherwise before, in the same way."""
    news = [
        each
        for each in stored
        if each.image != each.written and scene.shadow.tables.get(each.address) != (each.image, each.native)
    ]
    if not news:
        return
    first = news[0]
    others = f", and {len(news) - 1} more" if len(news) > 1 else ""
    yield scene.finding(
        "descriptor-image",
        f"mem:{first.address:08x}",
        native=_wide(first.native),
        paravirtual=_wide(first.image),
        text=f"{name} stores {descriptor_text(*first.image)} at {first.address:08x} for the guest's "
        f"{descriptor_text(*first.native)}{others}",
    )


def _wide(image: tuple[int, int]) -> int:
    return image[1] << 32 | image[0]


def _segments(scene: Called | Executed, name: str, effects: VmiEffects) -> Iterator[Finding]:
    """Natively a segment register keeps what it was loaded with."""
    for effect in effects:
        match effect:
            case SetSegment(register, segment):
                yield from _segment(scene, name, Seg(register), segment)
            case End():
                yield scene.finding(
                    "segment-null",
                    "cs or ss",
                    native="stays as it is",
                    paravirtual="the guest is terminated",
                    text=f"{name} takes the kernel's code or stack segment away, which ends the guest; natively the "
                    "loaded one stays in use",
                )
            case _:
                pass


def _segment(scene: Called | Executed, name: str, register: Seg, new: Segment) -> Iterator[Finding]:
    old = scene.view.segment(register)
    shown = register.name.lower()
    if is_null(new.selector):
        yield scene.finding(
            "segment-null",
            shown,
            before=old.selector,
            native=scene.native.segment(register).selector,
            paravirtual=0,
            text=f"{name} takes away the descriptor that {register.name} was loaded from: it becomes null, natively it "
            f"stays {scene.native.segment(register).selector:#x} and can be used",
        )
    elif _hidden(old) != _hidden(new):
        native = _words(scene.native.segment(register))
        yield scene.finding(
            "segment-reload",
            shown,
            before=native,
            native=native,
            paravirtual=_words(new),
            text=f"{name} changes the descriptor that {register.name} ({old.selector:#x}) was loaded from: it becomes "
            f"{_words(new)}, natively it stays {native}",
        )


def _hidden(segment: Segment) -> tuple[int, int, int]:
    return segment.base, segment.limit, segment.attributes & ~ACCESSED


def _words(segment: Segment) -> str:
    return f"base={segment.base:08x} limit={segment.limit:08x} access={segment.attributes >> 8 & 0xFF:02x}"


CALLS: Final[Mapping[str, tuple[CallRule, ...]]] = {
    **dict.fromkeys(ENTRY_CALLS | TABLE_CALLS, (by_call,)),
    "Init": (init_selectors, by_call),
}
INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = dict.fromkeys(TABLE_INSTRUCTIONS, (by_instruction,))
