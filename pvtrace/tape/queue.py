"""Recorded inputs, handed out again at their steps. What the replaying and the scripted tape have in common."""

from collections.abc import Iterable, Sequence
from typing import Final

from pvtrace.model.errors import Diverged
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import NEVER, Step

UNASKED: Final = frozenset({InputKind.CONSOLE, InputKind.CLOCK, InputKind.KEYS})
"""The kinds that arrive by themselves: `take` hands them out."""


class InputQueue:
    """Inputs in order of their steps. An input that the machine passes by without taking it raises Diverged."""

    def __init__(self, inputs: Iterable[Input]) -> None:
        self._rest = iter(inputs)
        self._next = next(self._rest, None)
        self.handed_out = 0
        self._halted: Step | None = None
        self._unanswered = 0

    def due(self, step: Step) -> Step:
        item = self._current(step)
        if item is None:
            return NEVER
        # one that waits here is asked for at this step still; what comes after it is not known yet
        return item.step if item.step > step else Step(step + 1)

    def take(self, step: Step) -> Sequence[Input]:
        items = []
        while (item := self._current(step)) is not None and item.step == step and item.kind in UNASKED:
            items.append(self._pop(item))
        return items

    def idle(self, step: Step) -> Input | None:
        """What ends the halt, if it is this question that was answered (see tape.recording)."""
        if step != self._halted:
            self._halted, self._unanswered = step, 0
        item = self._current(step)
        if item is None or item.step != step or item.kind is not InputKind.WAKE:
            return None
        if self._unanswered < (int(item.data) if item.data.isdigit() else 0):
            self._unanswered += 1
            return None
        self._halted = None
        return self._pop(item)

    def read(self, step: Step, kind: InputKind) -> Input:
        item = self._current(step)
        if item is None or item.step != step or item.kind is not kind:
            wanted = "no further input" if self._next is None else input_words(self._next)
            raise Diverged(step, wanted, f"ask for {kind.name.lower()}")
        return self._pop(item)

    def assert_exhausted(self, step: Step) -> None:
        """Raises Diverged if an input at or before `step` was not taken."""
        item = self._current(step)
        if item is not None and item.step <= step:
            raise Diverged(item.step, input_words(item), "not ask for it")

    def _current(self, step: Step) -> Input | None:
        item = self._next
        if item is not None and item.step < step:
            raise Diverged(item.step, input_words(item), "not ask for it")
        return item

    def _pop(self, item: Input) -> Input:
        self.handed_out += 1
        self._next = next(self._rest, None)
        return item


def input_words(item: Input) -> str:
    """An input for people."""
    match item.kind:
        case InputKind.CONSOLE:
            return f"{len(item.data)} bytes from the console at step {item.step}"
        case InputKind.KEYS:
            return f"{len(item.data)} scan codes from the keyboard at step {item.step}"
        case InputKind.WALLCLOCK | InputKind.CLOCK | InputKind.WAKE:
            return f"the input {item.kind.name.lower()} {item.value} at step {item.step}"
