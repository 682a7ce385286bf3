"""What a walk may stop for. Frozen values; how they are found is in search.py.

Conditions compare by identity: the same one twice is two.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pvtrace.machine.machine import Machine
from pvtrace.model.events import Event, Kind

Test = Callable[[Machine], bool]


@dataclass(frozen=True, eq=False, slots=True)
class Breakpoint:
    """The instruction at this linear address is about to be dispatched, and `test`, if there is one, holds."""

    address: int
    test: Test | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Watchpoint:
    """Bytes are accessed: forwards the stop is behind the access, backwards in front of it.

    `changes`: stores that change a byte; `stores`: those that change nothing; `loads`. `physical`: the address is
    physical, else linear.
    """

    address: int
    size: int
    changes: bool = True
    stores: bool = False
    loads: bool = False
    physical: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Happens:
    """An event of one of these kinds, for which `test` holds, has just happened."""

    kinds: frozenset[Kind]
    test: Callable[[Event], bool] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Holds:
    """Anything about registers and memory. It is looked at after every step, and so it is slow."""

    test: Test


Condition = Breakpoint | Watchpoint | Happens | Holds
