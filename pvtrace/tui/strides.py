"""Moves by instructions that are more than one: over a call, out of a function, on to a breakpoint. Both ways.

Each is a breakpoint for this once, with what the stack must be like: so the same code, run deeper or by somebody else,
does not count. The user's own breakpoints stop any of them.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from pvtrace.machine.machine import Machine
from pvtrace.model.registers import Gpr, Seg
from pvtrace.session.stepping import Stepping
from pvtrace.timeline.conditions import Breakpoint
from pvtrace.timeline.search import counter
from pvtrace.timeline.stops import Cause, Stopped, Way
from pvtrace.timeline.timeline import Timeline
from pvtrace.x86.disasm import LONGEST, decode

Interrupted = Callable[[], bool]

CALLS: Final = frozenset({"CALL", "CALL FAR", "INT", "INT3", "SYSENTER"})
"""Instructions that come back behind themselves."""

RETURNS: Final = frozenset({"RET", "RETF", "IRET"})

SIZES: Final = range(2, 8)
"""Bytes that a call may have."""

CLEANED: Final = 256
"""Bytes of arguments that a function may take off the stack when it returns."""

DEEPEST: Final = 512
"""Bytes of the stack in which a return address is looked for."""

MASK: Final = 0xFFFFFFFF


class Strides:
    """`stepping`: what one instruction is."""

    def __init__(self, timeline: Timeline, stepping: Stepping) -> None:
        self._timeline = timeline
        self._stepping = stepping
        self._breaks: dict[int, Callable[[], None]] = {}

    def stop_at(self, addresses: frozenset[int]) -> None:
        """The user's breakpoints are these, by linear address."""
        for address in self._breaks.keys() - addresses:
            self._breaks.pop(address)()
        for address in addresses - self._breaks.keys():
            self._breaks[address] = self._timeline.watch(Breakpoint(address))

    def on(self, way: Way, address: int | None, interrupted: Interrupted) -> Stopped:
        """To the next breakpoint; `address`: that counts as one."""
        return self._until(way, [] if address is None else [Breakpoint(address)], interrupted)

    def over(self, way: Way, interrupted: Interrupted) -> Stopped:
        """One instruction, a call or a repeated one as a whole."""
        return self._over(interrupted) if way is Way.FORWARD else self._back_over(interrupted)

    def out(self, way: Way, interrupted: Interrupted) -> Stopped:
        """To behind the call of the function: its return address is the first word on the stack that is behind one."""
        machine = self._timeline.machine
        stack, code = machine.cpu.segment(Seg.SS).base, machine.cpu.segment(Seg.CS).base
        for esp in range(self._esp, self._esp + DEEPEST, 4):
            back = (int.from_bytes(self._peek(stack + esp & MASK, 4), "little") + code) & MASK
            if self._calls_in_front_of(back):
                return self._until(way, [_above(back, esp)], interrupted)
        return Stopped(machine.step, Cause.ARRIVED, message="no return address is found on the stack")

    # ------------------------------------------------------------------ how

    def _over(self, interrupted: Interrupted) -> Stopped:
        here = counter(self._timeline.machine)
        instruction = decode(self._peek(here, LONGEST))
        if instruction.mnemonic not in CALLS and not instruction.rep:
            return self._stepping.forward(interrupted)
        return self._until(Way.FORWARD, [_above(here + instruction.length, self._esp - 1)], interrupted)

    def _back_over(self, interrupted: Interrupted) -> Stopped:
        """If the instruction before was a return, back to the call that it belongs to: one that ends here, with the
        stack as it is now."""
        timeline = self._timeline
        start, here, esp = timeline.here, counter(timeline.machine), self._esp
        stopped = self._stepping.backward(interrupted)
        last = decode(self._peek(counter(timeline.machine), LONGEST)).mnemonic
        calls = self._calls_in_front_of(here)
        if stopped.cause is not Cause.ARRIVED or last not in RETURNS or not calls:
            return stopped

        def level(machine: Machine) -> bool:
            return 0 <= esp - machine.cpu.gpr(Gpr.ESP) < CLEANED

        reached = self._until(Way.BACKWARD, [Breakpoint(address, level) for address in calls], interrupted)
        return timeline.seek(start - 1, interrupted) if reached.cause is Cause.BEGIN else reached

    def _until(self, way: Way, breakpoints: list[Breakpoint], interrupted: Interrupted) -> Stopped:
        with ExitStack() as undone:
            for item in breakpoints:
                undone.callback(self._timeline.watch(item))
            stopped = self._timeline.go(way, interrupted)
        return Stopped(stopped.step, Cause.ARRIVED) if stopped.condition in breakpoints else stopped

    def _calls_in_front_of(self, address: int) -> list[int]:
        """Where calls may stand that end here."""
        return [address - size for size in SIZES if self._is_call(address - size, size)]

    def _is_call(self, address: int, size: int) -> bool:
        instruction = decode(self._peek(address, size)) if address >= 0 else None
        return instruction is not None and instruction.mnemonic in CALLS and instruction.length == size

    def _peek(self, address: int, size: int) -> bytes:
        return self._timeline.machine.cpu.peek(address, size)

    @property
    def _esp(self) -> int:
        return self._timeline.machine.cpu.gpr(Gpr.ESP)


def _above(address: int, stack: int) -> Breakpoint:
    """There, with ESP above this: not in a call of the same code that lies deeper."""
    return Breakpoint(address, lambda machine: machine.cpu.gpr(Gpr.ESP) > stack)
