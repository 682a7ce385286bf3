"""Inputs and events on their way into a trace: what has come since the last transaction, in order."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from pvtrace.model.inputs import Input
from pvtrace.model.packed import Packed, parted
from pvtrace.model.step import Step


class Gathered(NamedTuple):
    """Inputs and events that follow each other, and the numbers of the first of them."""

    first_input: int
    inputs: Sequence[Input]
    first_event: int
    events: Sequence[Packed]

    @property
    def total(self) -> int:
        """How many events."""
        return sum(run.total for run in self.events)


class Gathering:
    """What grows into a Gathered. Ctrl-C may come between any two lines: what is here is whole at any of them."""

    def __init__(
        self, first_input: int = 0, first_event: int = 0, inputs: Iterable[Input] = (), events: Iterable[Packed] = ()
    ) -> None:
        self.first_input, self.first_event = first_input, first_event
        self.inputs, self.events = list(inputs), list(events)

    @classmethod
    def of(cls, gathered: Gathered) -> Self:
        """To gather on behind it."""
        return cls(gathered.first_input, gathered.first_event, gathered.inputs, gathered.events)

    def until(self, step: Step) -> Gathered:
        """What belongs to steps up to and with this one."""
        inputs, events = len(self.inputs), len(self.events)
        while inputs and self.inputs[inputs - 1].step > step:
            inputs -= 1
        while events and self.events[events - 1].first > step:
            events -= 1
        taken = self.events[:events]
        if taken and taken[-1].last > step:
            taken[-1], _ = parted(taken[-1], step)
        return Gathered(self.first_input, self.inputs[:inputs], self.first_event, taken)

    def behind(self, taken: Gathered) -> "Gathering":
        """What is left of it then."""
        inputs, events = len(taken.inputs), len(taken.events)
        rest = self.events[events:]
        if events and (cut := taken.events[-1].last) < self.events[events - 1].last:
            rest.insert(0, parted(self.events[events - 1], cut)[1])
        return Gathering(self.first_input + inputs, self.first_event + taken.total, self.inputs[inputs:], rest)
