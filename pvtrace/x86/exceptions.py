"""The table of exceptions, vectors 0 to 31, and the rule that turns two of them into a double fault.

Facts only (SDM volume 3, tables 6-1, 6-4 and 6-5).
"""

from enum import Enum
from typing import Final, NamedTuple


class Group(Enum):
    """What a second exception during delivery of the first makes of it."""

    BENIGN = "benign"
    CONTRIBUTORY = "contributory"
    PAGE_FAULT = "page fault"
    DOUBLE_FAULT = "double fault"


class Type(Enum):
    """Where the pushed EIP points: at the instruction (FAULT), behind it (TRAP), or nowhere useful (ABORT)."""

    FAULT = "fault"
    TRAP = "trap"
    ABORT = "abort"
    INTERRUPT = "interrupt"


class ExceptionInfo(NamedTuple):
    vector: int
    mnemonic: str
    name: str
    group: Group
    type: Type
    has_error: bool = False


DE: Final = 0
DB: Final = 1
NMI: Final = 2
BP: Final = 3
OF: Final = 4
UD: Final = 6
NM: Final = 7
DF: Final = 8
TS: Final = 10
NP: Final = 11
SS: Final = 12
GP: Final = 13
PF: Final = 14
MF: Final = 16
AC: Final = 17

_TABLE: Final = (
    ExceptionInfo(0, "#DE", "Divide Error", Group.CONTRIBUTORY, Type.FAULT),
    ExceptionInfo(
        1, "#DB", "Debug", Group.BENIGN, Type.TRAP
    ),  # a fault for instruction breakpoints, of which none here
    ExceptionInfo(2, "NMI", "Nonmaskable Interrupt", Group.BENIGN, Type.INTERRUPT),
    ExceptionInfo(3, "#BP", "Breakpoint", Group.BENIGN, Type.TRAP),
    ExceptionInfo(4, "#OF", "Overflow", Group.BENIGN, Type.TRAP),
    ExceptionInfo(5, "#BR", "BOUND Range Exceeded", Group.BENIGN, Type.FAULT),
    ExceptionInfo(6, "#UD", "Invalid Opcode", Group.BENIGN, Type.FAULT),
    ExceptionInfo(7, "#NM", "Device Not Available", Group.BENIGN, Type.FAULT),
    ExceptionInfo(8, "#DF", "Double Fault", Group.DOUBLE_FAULT, Type.ABORT, True),
    ExceptionInfo(9, "#MP", "Coprocessor Segment Overrun", Group.BENIGN, Type.FAULT),
    ExceptionInfo(10, "#TS", "Invalid TSS", Group.CONTRIBUTORY, Type.FAULT, True),
    ExceptionInfo(11, "#NP", "Segment Not Present", Group.CONTRIBUTORY, Type.FAULT, True),
    ExceptionInfo(12, "#SS", "Stack-Segment Fault", Group.CONTRIBUTORY, Type.FAULT, True),
    ExceptionInfo(13, "#GP", "General Protection", Group.CONTRIBUTORY, Type.FAULT, True),
    ExceptionInfo(14, "#PF", "Page Fault", Group.PAGE_FAULT, Type.FAULT, True),
    ExceptionInfo(16, "#MF", "x87 Floating-Point Error", Group.BENIGN, Type.FAULT),
    ExceptionInfo(17, "#AC", "Alignment Check", Group.BENIGN, Type.FAULT, True),
    ExceptionInfo(18, "#MC", "Machine Check", Group.BENIGN, Type.ABORT),
    ExceptionInfo(19, "#XM", "SIMD Floating-Point", Group.BENIGN, Type.FAULT),
    ExceptionInfo(20, "#VE", "Virtualization Exception", Group.PAGE_FAULT, Type.FAULT),
    ExceptionInfo(21, "#CP", "Control Protection", Group.CONTRIBUTORY, Type.FAULT, True),
)


def _reserved(vector: int) -> ExceptionInfo:
    return ExceptionInfo(vector, f"#{vector}", "Reserved", Group.BENIGN, Type.FAULT)


_KNOWN: Final = {info.vector: info for info in _TABLE}

EXCEPTIONS: Final[tuple[ExceptionInfo, ...]] = tuple(_KNOWN.get(vector) or _reserved(vector) for vector in range(32))
"""Indexed by vector."""


def mnemonic(vector: int) -> str:
    """'#PF' for an exception, 'INT 80h' for any other vector."""
    return EXCEPTIONS[vector].mnemonic if vector < 32 else f"INT {vector:02X}h"


def _group(vector: int) -> Group:
    return EXCEPTIONS[vector].group if vector < 32 else Group.BENIGN


def combine(first: int | None, second: int) -> int | None:
    """What to deliver when exception `second` arises while `first` is delivered (SDM volume 3, table 6-5).

    `first` is None for an interrupt, external or by INT n: those are benign. The answer is `second` (the two are
    handled one after the other), DF (error code 0), or None: the processor shuts down, a triple fault.
    """
    if first is None:
        return second
    late = _group(second)
    match _group(first):
        case Group.DOUBLE_FAULT:
            return None if late in (Group.CONTRIBUTORY, Group.PAGE_FAULT) else second
        case Group.PAGE_FAULT:
            return DF if late in (Group.CONTRIBUTORY, Group.PAGE_FAULT) else second
        case Group.CONTRIBUTORY:
            return DF if late is Group.CONTRIBUTORY else second
        case Group.BENIGN:
            return second
