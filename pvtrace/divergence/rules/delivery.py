"""Entering a handler: the live flags, the trap stack, the 32 free bytes below the frame.

Findings name the handler, not what it interrupted: there the guest is wrong, and interrupts come anywhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple

from pvtrace.divergence.following import from_user
from pvtrace.divergence.native_view import native_selector
from pvtrace.divergence.rules.rule import EventRule
from pvtrace.divergence.scenes import Happened
from pvtrace.model.events import Kind
from pvtrace.model.findings import Finding, Standing
from pvtrace.model.registers import Seg, Segment
from pvtrace.x86 import descriptors, eflags
from pvtrace.x86.delivery import NO_ROOM, RESERVE
from pvtrace.x86.descriptors import USER_RING
from pvtrace.x86.disasm import LONGEST, decode, flag_use
from pvtrace.x86.exceptions import mnemonic
from pvtrace.x86.guest_tables import is_flat
from pvtrace.x86.operands import MASK32, code_bits, within
from pvtrace.x86.view import PageFault, View

WINDOW: Final = 64
"""Bytes of a handler that are looked at together."""

MOST_WINDOWS: Final = 8
FRAME: Final = 12
"""Bytes of EIP, CS and EFLAGS."""


def _number(scene: Happened, column: int) -> int:
    value = scene.event.args[column]
    assert isinstance(value, int)
    return value


def _vector(scene: Happened) -> str:
    return mnemonic(_number(scene, 0))


def _handler(scene: Happened) -> int:
    """Linear address of the handler."""
    return scene.view.segment(Seg.CS).base + _number(scene, 4) & MASK32


def _at(scene: Happened, finding: Finding, address: int) -> Finding:
    """A finding about the instruction at a linear address of the handler."""
    return replace(finding, pc=address, code=_instruction(scene.view, address))


def _instruction(view: View, address: int) -> bytes:
    code = _code(view, address, LONGEST)
    return code[: decode(code, code_bits(view)).length]


def _code(view: View, address: int, size: int) -> bytes:
    """As many bytes as are there."""
    for count in (size, 4096 - address % 4096):
        try:
            return view.read(address, min(count, size))
        except PageFault:
            continue
    return b""


# ---------------------------------------------------------------------- flags


class _Reader(NamedTuple):
    """An instruction that reads arithmetic flags, as they were at the handler's entry."""

    address: int
    bits: int


class _Stretch(NamedTuple):
    """Instructions that follow each other. `readers` by offset; `left`: the flags that are not written yet; `onward`:
    the offset at which control certainly goes on, None if that depends."""

    readers: tuple[tuple[int, int], ...]
    left: int
    onward: int | None


@lru_cache(maxsize=4096)
def _stretch(code: bytes, left: int, bits: int) -> _Stretch:
    at, readers = 0, []
    while left and at + LONGEST <= len(code):
        use = flag_use(code[at : at + LONGEST], bits)
        if use.reads & left:
            readers.append((at, use.reads & left))
        left &= ~use.writes
        if use.onward is None:
            return _Stretch(tuple(readers), left, None)
        at, length = at + use.onward, decode(code[at : at + LONGEST], bits).length
        if use.onward != length:
            break
    return _Stretch(tuple(readers), left, at)


def _readers(scene: Happened) -> Iterator[_Reader]:
    """Those that the handler certainly comes to: up to its first branch that depends on anything."""
    address, left, bits = _handler(scene), eflags.ARITHMETIC, code_bits(scene.view)
    for _ in range(MOST_WINDOWS):
        stretch = _stretch(_code(scene.view, address, WINDOW), left, bits)
        for offset, read in stretch.readers:
            yield _Reader(address + offset & MASK32, read)
        if stretch.onward in (None, 0) or not stretch.left:
            return
        address, left = address + (stretch.onward or 0) & MASK32, stretch.left


def _names(mask: int) -> str:
    return " ".join(name for bit, name in eflags.NAMES if bit & mask)


def _values(flags: int, mask: int) -> str:
    return " ".join(f"{name}={int(bool(flags & bit))}" for bit, name in eflags.NAMES if bit & mask)


def fault_flags(scene: Happened) -> Iterator[Finding]:
    """The image is right; the live flags need not be (differences, 1). IF is PUSHF's."""
    image, live = _number(scene, 3), scene.event.flags & MASK32
    differ = (image ^ live) & eflags.ARITHMETIC
    readers = tuple(_readers(scene))
    wrong = next((reader for reader in readers if reader.bits & differ), None)
    reader = wrong or next(iter(readers), None)
    if reader is None:
        return
    bits = reader.bits & differ if wrong is not None else reader.bits
    found = scene.finding(
        "fault-flags",
        "+".join(f"eflags.{name}" for name in _names(bits).split()),
        native=_values(image, bits),
        paravirtual=_values(live, bits),
        text=f"the handler of {_vector(scene)} reads {_names(bits)} before it sets it: natively {_values(image, bits)} "
        f"as in the pushed image, here {_values(live, bits)}",
        standing=Standing.PROVEN if wrong is not None else Standing.POTENTIAL,
        setting="flags=harsh" if wrong is not None and scene.view.latitude.flags else "",
    )
    yield _at(scene, found, reader.address)


# ---------------------------------------------------------------------- stack


def flat_trap_stack(scene: Happened) -> Iterator[Finding]:
    """The kernel's trap stack counts as flat, whatever its descriptor says (differences, 2)."""
    if scene.event.flags >> 35 & 3 == USER_RING:
        return
    stack = _native_stack(scene)
    if stack is None or (stack.big and is_flat(stack, scene.view.system.hole)):
        return
    esp = _number(scene, 5)
    native = stack.base + (esp if stack.big else esp & 0xFFFF) & MASK32
    fits = within(stack, esp if stack.big else esp & 0xFFFF, FRAME)
    same = fits and native == esp
    yield _at(
        scene,
        scene.finding(
            "flat-trap-stack",
            "frame",
            native=native if fits else "#SS",
            paravirtual=esp,
            text=f"{_vector(scene)} pushes its frame to {esp:08x}; natively, by the descriptor of SS "
            f"({stack.selector:#06x}, base {stack.base:08x}, limit {stack.limit:08x}), "
            + (f"to {native:08x}" if fits else "it does not fit"),
            standing=Standing.POTENTIAL if same else Standing.PROVEN,
        ),
        _handler(scene),
    )


def _native_stack(scene: Happened) -> Segment | None:
    """SS as natively loaded at the entry: anew if it comes from user mode, else the one that was in use."""
    if not from_user(scene):
        return scene.native.segment(Seg.SS)
    selector = native_selector(scene.view.segment(Seg.SS).selector)
    try:
        image = descriptors.fetch(scene.native, selector)
    except PageFault:
        return None
    return None if image is None else descriptors.segment_from_descriptor(selector, *image)


def stack_32(scene: Happened) -> Iterator[Finding]:
    """Less than 32 free bytes at the handler's entry, and it runs all the same."""
    if scene.view.latitude.stack32 or scene.event.flags >> 35 & 3 == USER_RING:
        return
    esp = _number(scene, 5)
    if scene.view.writable(esp - RESERVE & MASK32, RESERVE):
        return
    found = scene.finding(
        "stack-32",
        "handler",
        native="runs",
        paravirtual="runs",
        text=f"{_vector(scene)} leaves less than {RESERVE} writable bytes of stack below {esp:08x}: a hypervisor may "
        "end the guest for it",
        standing=Standing.POTENTIAL,
    )
    yield _at(scene, found, _handler(scene))


def stack_32_ended(scene: Happened) -> Iterator[Finding]:
    """The same, and the hypervisor ends the guest."""
    why = scene.event.args[2]
    if isinstance(why, str) and NO_ROOM in why:
        yield scene.finding(
            "stack-32",
            "handler",
            native="runs",
            paravirtual="the guest is terminated",
            text=f"{why}; natively the handler runs",
            setting="stack32=harsh",
        )


ENTRY_RULES: Final[tuple[EventRule, ...]] = (fault_flags, flat_trap_stack, stack_32)
EVENTS: Final[Mapping[Kind, tuple[EventRule, ...]]] = {
    Kind.EXCEPTION: ENTRY_RULES,
    Kind.INTERRUPT: ENTRY_RULES,
    Kind.SOFTWARE_INTERRUPT: ENTRY_RULES,
    Kind.STOP: (stack_32_ended,),
}
