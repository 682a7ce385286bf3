"""What the CPU may answer by itself when an entry point of a VMI ROM is reached, and what it must be told for that."""

from enum import IntEnum
from typing import NamedTuple


class Answer(IntEnum):
    """How; the numbers of engine/core.h. The calls of each are in machine.answers."""

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


class Answerable(NamedTuple):
    """`call`: its unified number; `segments`: how many must be flat, 2 or 4; `results`: 0 none, 1 EAX, 2 EDX:EAX."""

    call: int
    how: Answer
    segments: int
    results: int


class Facts(NamedTuple):
    """All that answers depend on beside the CPU.

    `on`: whether it may answer at all; `vif`, `viopl`: the guest's; `pending`: an interrupt waits for the guest's IF;
    `hole`: first linear address of the hypervisor; `ticks`: virtual time at step 0, modulo 2^64; `tsc`: the time-stamp
    counter minus virtual time; `start`, `stolen`: of the cycle counters, in ticks.
    """

    on: bool
    vif: bool
    pending: bool
    viopl: int
    hole: int
    ticks: int
    tsc: int
    start: int
    stolen: int
