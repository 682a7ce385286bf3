"""What the CPU may answer by itself instead of coming up with an exit: what it must be told for that, and what it has
done then."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from pvtrace.model.packed import Packed
from pvtrace.model.step import Step


class Answer(IntEnum):
    """How a VMI call is answered; the numbers of engine/core.h. The calls of each are in machine.answers."""

    NOTHING = 1
    ENABLE = 2
    DISABLE = 3
    GET_MASK = 4
    SET_MASK = 5
    TSC = 6
    COUNTER = 7
    CR2 = 8
    CR3 = 9
    FLUSH = 10
    CR0 = 11
    CR4 = 12
    SET_CR3 = 13
    RELOCATION = 14
    LAZY = 15
    SET_PXE = 16
    SET_PXE_0 = 17
    SET_PXE_LONG = 18
    UPDATE_PXE = 19
    WRITE_IDT = 20
    WRITE_GDT = 21
    WRITE_LDT = 22
    KERNEL_STACK_3 = 23
    KERNEL_STACK_13 = 24
    IRET = 25
    SYSEXIT = 26


NOT: int = 0
"""A call that is not answered; the relocation query may be, which tells of it."""


class Answerable(NamedTuple):
    """`call`: its unified number; `segments`: how many must be flat, 2 or 4; `results`: 0 none, 1 EAX, 2 EDX:EAX;
    `words`: arguments on the stack; `entry`: offset of its entry point in the ROM; `told`: whether the relocation
    query tells of it."""

    call: int
    how: int
    segments: int
    results: int
    words: int
    entry: int
    told: bool


class Facts(NamedTuple):
    """All that answers depend on beside the CPU.

    `on`: whether it may answer at all; `all`: not only what a witness of exits need not see; `at_once`: no call is held
    back; `inverts`, `reserves`: the latitude of flags and of stack32 is harsh; `vif`, `viopl`: the guest's; `pending`:
    an interrupt waits for its IF; `lazy`: the mode of SetLazyMode; `shadow`: no interrupt is taken before this step;
    `hole`: first linear address of the hypervisor; `ticks`: virtual time at step 0, modulo 2^64; `tsc`: the time-stamp
    counter minus virtual time; `start`, `stolen`: of the cycle counters, in ticks; `kernel_stack`: SS and ESP for
    entries from user mode; `sysenter`: selector without RPL, ESP and EIP of the MSRs for SYSENTER.
    """

    on: bool
    all: bool
    paravirtual: bool
    at_once: bool
    inverts: bool
    reserves: bool
    vif: bool
    pending: bool
    viopl: int
    lazy: int
    shadow: Step
    hole: int
    ticks: int
    tsc: int
    start: int
    stolen: int
    kernel_stack: tuple[int, int] | None
    sysenter: tuple[int, int, int]


class Held(NamedTuple):
    """A port that reads the byte which was written to it last: now `value`. Writing one that has all bits of `keeps`
    has no other effect."""

    port: int
    value: int
    keeps: int


class Quiet(NamedTuple):
    """A port, and what can be written to it, `width` bytes at once, without any effect but on its device: all of which
    `mask` leaves `match`."""

    port: int
    width: int
    mask: int
    match: int


class Ports(NamedTuple):
    """What the CPU may do with ports.

    `steady`: ports, and the byte that each reads without any effect; `settled`: ports, and the byte that is written to
    each without any; `posting`: the port where a byte that is written is only told, as Taken.posted, -1 for none;
    `room`: how many of those there may be; `held`, `quiet`: those where what is written is told, as Taken.written.
    """

    steady: Sequence[tuple[int, int]]
    settled: Sequence[tuple[int, int]]
    posting: int
    room: int
    held: Sequence[Held]
    quiet: Sequence[Quiet]


class Taken(NamedTuple):
    """What the CPU has done. `events`: of all of it, in order; `entries`: of Cpu.answer_entries, None if they have not
    changed; `posted`: the bytes that were written to the posting port; `written`: port, width and value of what was
    written to ports held or quiet, for their devices; the others are Facts as they are now."""

    events: Packed
    vif: bool
    viopl: int
    lazy: int
    shadow: Step
    kernel_stack: tuple[int, int] | None
    entries: tuple[int, ...] | None
    posted: bytes
    written: Sequence[tuple[int, int, int]]
