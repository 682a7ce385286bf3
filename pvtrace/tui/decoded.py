"""An event taken apart: its columns by name, its images of EFLAGS, an error code bit by bit. Pure.

The sentence about it is the caller's (record.Voice); here is what stands under it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from pvtrace.model.events import KINDS, Event, Kind
from pvtrace.x86 import eflags, exceptions
from pvtrace.x86.operands import MASK32
from rom.abi import CallInfo, Place, by_number, from_unified

IMAGED: Final = frozenset({Kind.EXCEPTION, Kind.INTERRUPT, Kind.SOFTWARE_INTERRUPT, Kind.SYSENTER})
"""Kinds that enter a handler, with an image of EFLAGS on its stack."""


class Field(NamedTuple):
    """`value` in figures, `meaning` in words, if that says more."""

    name: str
    value: str
    meaning: str = ""


class Image(NamedTuple):
    """EFLAGS as somebody sees them."""

    whose: str
    eflags: int


@dataclass(frozen=True, slots=True)
class Decoded:
    fields: tuple[Field, ...] = ()
    images: tuple[Image, ...] = ()
    about: str = ""
    """What such a thing is, in a sentence."""


def decoded(event: Event) -> Decoded:
    match event.kind:
        case Kind.HYPERCALL:
            info = _call(_int(event, 0))
            return Decoded(tuple(_operands(event, info)), _flags(event), info.doc if info else "")
        case Kind.EXCEPTION:
            vector = _int(event, 0)
            return Decoded(tuple(_exception(event)), _images(event), _name(vector))
        case Kind.FLAG_ATTEMPT:
            return Decoded((), tuple(_attempt(event)))
        case Kind.FLAG_TRANSITION:  # the sentence says it all
            return Decoded((), _flags(event))
        case kind if kind in IMAGED or kind is Kind.RETURN:
            return Decoded(tuple(field for field in _plain(event) if field.name != "image"), _images(event))
        case _:
            return Decoded(tuple(_plain(event)), _flags(event))


def _argument(event: Event, number: int) -> int | bytes | str | None:
    return event.args[number] if number < len(event.args) else None


def _int(event: Event, number: int) -> int:
    value = _argument(event, number)
    return value if isinstance(value, int) else 0


def _plain(event: Event) -> Iterator[Field]:
    for name, value in zip(KINDS[event.kind].columns, event.args, strict=False):
        if value is None or name.startswith("unused"):
            continue
        shown = f"{value:#x}" if isinstance(value, int) else value.hex(" ") if isinstance(value, bytes) else value
        yield Field(name.replace("_", " "), shown[:200], f"{value:,}" if isinstance(value, int) and value > 9 else "")


# ---------------------------------------------------------------------------- calls


def _call(number: int) -> CallInfo | None:
    try:
        return by_number(*from_unified(number))
    except ValueError:
        return None


def _operands(event: Event, info: CallInfo | None) -> Iterator[Field]:
    stack, result = _int(event, 4), _argument(event, 5)
    given = {
        Place.EAX: _int(event, 1),
        Place.EDX: _int(event, 2),
        Place.ECX: _int(event, 3),
        Place.STACK1: stack & MASK32,
        Place.STACK2: stack >> 32,
    }
    for operand in info.arguments if info else ():
        if operand.place in given:
            yield Field(operand.place.value, f"{given[operand.place]:08x}", operand.name)
    if not isinstance(result, int):
        return
    got = {Place.EAX: result & MASK32, Place.EDX: result >> 32}
    for operand in info.results if info else ():
        if operand.place in got:
            yield Field(f"= {operand.place.value}", f"{got[operand.place]:08x}", operand.name)


# ---------------------------------------------------------------------------- exceptions


def _name(vector: int) -> str:
    if vector >= len(exceptions.EXCEPTIONS):
        return ""
    info = exceptions.EXCEPTIONS[vector]
    return f"{info.mnemonic} {info.name}, a {info.type.value}"


def _exception(event: Event) -> Iterator[Field]:
    vector, error, address = _int(event, 0), _argument(event, 1), _argument(event, 2)
    yield Field("vector", f"{vector}", exceptions.mnemonic(vector))
    if isinstance(error, int):
        yield Field("error", f"{error:#x}", error_words(vector, error))
    if isinstance(address, int):
        yield Field("cr2", f"{address:08x}")
    yield Field("handler", f"{_int(event, 4):08x}")
    yield Field("esp", f"{_int(event, 5):08x}", "in the handler")


PAGE_FAULT: Final = (
    (1, "protection violation", "page not present"),
    (2, "write", "read"),
    (4, "at user level", "at supervisor level"),
    (8, "reserved bit set", ""),
    (16, "instruction fetch", ""),
)
"""Bits of a page fault's error code, set and clear (SDM volume 3, 4.7)."""

TABLES: Final = ("GDT", "IDT", "LDT", "IDT")
"""By bits 2 and 1 of a selector error code: TI, IDT (SDM volume 3, 6.13)."""


def error_words(vector: int, error: int) -> str:
    """An error code, bit by bit: 'write, page not present, at user level'."""
    if vector == exceptions.PF:
        return ", ".join(word for bit, on, off in PAGE_FAULT if (word := on if error & bit else off))
    if vector == exceptions.AC or not error:
        return "no selector" if vector != exceptions.AC else ""
    external = ", while delivering an event" if error & 1 else ""
    table = TABLES[error >> 1 & 3]
    entry = f"vector {error >> 3:02X}h" if table == "IDT" else f"selector {error & 0xFFFC:04x}"
    return f"{entry} of the {table}{external}"


# ---------------------------------------------------------------------------- flags


def guest_image(event: Event) -> int:
    """EFLAGS as the guest believes them, after the event."""
    real = event.flags & MASK32
    virtual = (event.flags >> 32 & 1) * eflags.IF | (event.flags >> 33 & 3) << eflags.IOPL_SHIFT
    return real & ~(eflags.IF | eflags.IOPL) | virtual


def _flags(event: Event) -> tuple[Image, ...]:
    live, guest = event.flags & MASK32, guest_image(event)
    return (Image("real", live), Image("guest", guest)) if live != guest else (Image("live", live),)


def _images(event: Event) -> tuple[Image, ...]:
    return (Image("on stack", _int(event, 3)), *_flags(event))


def _attempt(event: Event) -> Iterator[Image]:
    yield Image("asked", _int(event, 1))
    yield Image("guest was", _int(event, 2))
    yield Image("guest is", _int(event, 3))
    yield Image("real was", _int(event, 4))
    yield Image("real is", event.flags & MASK32)
