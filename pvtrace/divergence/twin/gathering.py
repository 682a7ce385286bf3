"""Where the facts of a recording go: to the main course, or apart with the interrupt that they came in.

Pure. Which fact an event is, is decided in course.py.

A fact is held back until the next one, because what comes at once behind it may belong to it: the HLT behind STI, the
exception that a call raises, the end that an OUT brings.
"""

from array import array
from dataclasses import dataclass, field
from typing import Final

from pvtrace.divergence.twin.facts import Course, Fact, Facts, Value, Vocabulary

MOST_APART: Final = 4096
"""Facts behind an interrupt that never returns, from which on it counts as a jump: what follows is the main course."""


@dataclass(slots=True)
class _Apart:
    """An external interrupt that has not returned: its event, and what happened since then."""

    fact: Fact
    step: int
    event: int
    inside: Facts = field(default_factory=Facts)


class Gathering:
    """Of one recording. It is told of facts in order; `step` is the step count behind one, `event` the number of the
    event that shows it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._main = Facts()
        self._apart = Facts()
        self._returns = array("Q")
        self._open: list[_Apart] = []
        self._held: tuple[Fact, int, int] | None = None

    def put(self, fact: Fact, step: int, event: int) -> None:
        self._flush()
        self._held = fact, step, event

    def put_apart(self, fact: Fact, step: int, event: int) -> None:
        """One whose place is a matter of time, and that is over at once."""
        self._set_apart(fact, step, event, step)

    def drop(self, name: str, step: int) -> None:
        """A fact of this name at once before this step is part of what comes now: STI, or the OUT that ends it all."""
        if self._held is not None and self._held[0].name == name and step - self._held[1] <= 1:
            self._held = None

    def answer(self, event: int | None, answered: tuple[str, Value]) -> bool:
        """What the fact of this event was answered turns out to be this; False if it is not the last one."""
        if event is None or self._held is None or self._held[2] != event:
            return False
        fact, step, _ = self._held
        self._held = fact._replace(answered=(answered,)), step, event
        return True

    def enter(self, fact: Fact, step: int, event: int) -> None:
        """An external interrupt: what is put until its return is inside it."""
        self._flush()
        self._open.append(_Apart(fact, step, event))

    def leave(self, event: int | None, step: int) -> bool:
        """The interrupt with this event returns, and with it those that came in it and never returned; False if there
        is none."""
        if not any(each.event == event for each in self._open):
            return False
        self._flush()
        while self._open:
            done = self._open.pop()
            fact = done.fact._replace(inside=tuple(done.inside.numbers))
            self._set_apart(fact, done.step, done.event, step)
            if done.event == event:
                break
        return True

    def finish(self, complete: bool) -> Course:
        """An interrupt that was cut off is left out: nothing can be said of it."""
        if complete:
            self._spill()
        self._flush()
        return Course(self._main, self._apart, self._returns, complete)

    def _flush(self) -> None:
        if self._held is None:
            return
        fact, step, event = self._held
        self._held = None
        if not self._open:
            self._main.add(self._vocabulary.number(fact), step, event)
            return
        inside = self._open[-1].inside
        inside.add(self._vocabulary.number(fact), step, event)
        if len(inside.numbers) > MOST_APART:
            self._spill()

    def _spill(self) -> None:
        """The open interrupts have become the main course."""
        for each in self._open:
            self._set_apart(each.fact, each.step, each.event, each.step)
            for place, known in enumerate(each.inside.numbers):
                self._main.add(known, each.inside.steps[place], each.inside.events[place])
        self._open.clear()

    def _set_apart(self, fact: Fact, step: int, event: int, returned: int) -> None:
        self._apart.add(self._vocabulary.number(fact), step, event)
        self._returns.append(returned)
