"""Breakpoints and watchpoints of gdb as conditions of a timeline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from gdbstub.agent import Expression
from gdbstub.errors import INVALID, ProtocolError
from gdbstub.stops import Access
from pvtrace.gdb.registers import value_of
from pvtrace.machine.machine import Machine
from pvtrace.timeline.conditions import Breakpoint, Condition, Watchpoint
from pvtrace.timeline.timeline import Timeline

MOST_WATCHPOINTS = 64
LIMIT = 1 << 32


@dataclass(slots=True)
class BreakpointSet:
    """Satisfies gdbstub.target.Breakpoints."""

    timeline: Timeline
    _there: dict[int, tuple[Condition, Callable[[], None]]] = field(default_factory=dict)

    def insert(self, address: int, conditions: Sequence[Expression]) -> None:
        self.remove(address)
        condition = Breakpoint(address, _any_of(conditions) if conditions else None)
        self._there[address] = condition, self.timeline.watch(condition)

    def remove(self, address: int) -> None:
        if address in self._there:
            _, undo = self._there.pop(address)
            undo()

    def __contains__(self, what: object) -> bool:
        """Whether there is a breakpoint at an address, or whether a condition is one of these."""
        return what in self._there or any(condition is what for condition, _ in self._there.values())


def _any_of(conditions: Sequence[Expression]) -> Callable[[Machine], bool]:
    if len(conditions) == 1:
        return partial(_holds, conditions[0])
    return lambda machine: any(_holds(condition, machine) for condition in conditions)


def _holds(condition: Expression, machine: Machine) -> bool:
    """One that cannot be computed counts as true: gdb then looks itself, and says what is wrong."""
    try:
        return bool(condition.value(partial(value_of, machine), machine.cpu.peek))
    except (ProtocolError, OverflowError):
        return True


@dataclass(slots=True)
class WatchpointSet:
    """Satisfies gdbstub.target.Watchpoints. As the hardware would, but of any size: stores count that change a byte."""

    timeline: Timeline
    access: dict[Condition, Access] = field(default_factory=dict)
    _undo: dict[tuple[int, int, Access], Callable[[], None]] = field(default_factory=dict)

    def insert(self, address: int, size: int, access: Access) -> None:
        self.remove(address, size, access)
        if address + size > LIMIT:
            raise ProtocolError(INVALID)
        if len(self._undo) >= MOST_WATCHPOINTS:
            raise ProtocolError(INVALID, f"there are at most {MOST_WATCHPOINTS} watchpoints")
        condition = Watchpoint(
            address,
            size,
            changes=access is not Access.READ,
            stores=access is Access.ANY,
            loads=access is not Access.WRITE,
        )
        undo = self.timeline.watch(condition)
        self.access[condition] = access

        def forget() -> None:
            undo()
            del self.access[condition]

        self._undo[address, size, access] = forget

    def remove(self, address: int, size: int, access: Access) -> None:
        self._undo.pop((address, size, access), lambda: None)()
