"""A fact: one thing that a guest did, as a value that is the same natively and under VMI. Words alone; from where they
come is in course.py.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

Value = int | str | bytes | None

Place = Callable[[int], Value]
"""What two recordings call the same address (session.twin)."""


class Fact(NamedTuple):
    """`about`: what it concerns, which makes two facts the same question: a port, a register, a vector, a place.
    `chosen`: what the guest put in. `answered`: what the machine gave, by name. `own`: nothing that the guest asked for
    led to it. `place`: where the instruction is, if it is one that the kernel never makes a call of.
    `inside`: the numbers of the facts between an external interrupt and its return."""

    name: str
    about: tuple[Value, ...] = ()
    chosen: tuple[Value, ...] = ()
    answered: tuple[tuple[str, Value], ...] = ()
    own: bool = False
    place: Value = None
    inside: tuple[int, ...] = ()


ADDRESSED: Final = frozenset({"exception", "CR3"})
"""Facts in which the guest's choice is an address. Where things lie is another matter than what is done with them."""


@dataclass(slots=True)
class Vocabulary:
    """Numbers for facts, the same for both recordings."""

    facts: list[Fact] = field(default_factory=list)
    _shapes: list[int] = field(default_factory=list)
    _known: dict[tuple[object, ...], int] = field(default_factory=dict)
    _numbers: dict[Fact, int] = field(default_factory=dict)

    def number(self, fact: Fact) -> int:
        known = self._numbers.setdefault(fact, len(self.facts))
        if known == len(self.facts):
            self.facts.append(fact)
            shape = (*fact[:2], () if fact.name in ADDRESSED else fact.chosen, fact.place, fact.inside)
            self._shapes.append(self._known.setdefault(shape, len(self._known)))
        return known

    def shapes(self, numbers: Sequence[int]) -> "array[int]":
        """For each fact a number that is the same for all that were asked alike, whatever was answered."""
        return array("L", map(self._shapes.__getitem__, numbers))

    def questions(self, numbers: Sequence[int]) -> list[int]:
        """For each fact a number that is the same for all that differ in what was chosen or answered alone."""
        known: dict[tuple[str, tuple[Value, ...], Value], int] = {}
        every = (self.facts[number] for number in numbers)
        return [known.setdefault((fact.name, fact.about, fact.place), len(known)) for fact in every]

    def places(self, numbers: "array[int]") -> frozenset[Value]:
        """All places of these facts, and of those within them."""
        every = {self.facts[number].place for number in set(numbers)}
        inside = {self.facts[each].place for number in set(numbers) for each in self.facts[number].inside}
        return frozenset(every | inside)

    def placed(self, numbers: "array[int]", places: frozenset[Value]) -> "array[int]":
        """The same facts, without all other places than these."""
        again: dict[int, int] = {}

        def settled(number: int) -> int:
            if number not in again:
                fact = self.facts[number]
                inside = tuple(settled(each) for each in fact.inside)
                place = fact.place if fact.place in places else None
                again[number] = self.number(fact._replace(inside=inside, place=place))
            return again[number]

        return array("L", map(settled, numbers))


@dataclass(frozen=True, slots=True)
class Facts:
    """In order: the number of each in the Vocabulary, the step count after it, and the event that shows it."""

    numbers: "array[int]" = field(default_factory=lambda: array("L"))
    steps: "array[int]" = field(default_factory=lambda: array("Q"))
    events: "array[int]" = field(default_factory=lambda: array("Q"))

    def add(self, number: int, step: int, event: int) -> None:
        self.numbers.append(number)
        self.steps.append(step)
        self.events.append(event)


@dataclass(frozen=True, slots=True)
class Course:
    """One recording. `apart`: external interrupts, each with the facts until its return, and halts; where
    they land is a matter of time. `returns`: for each of them, the step count behind it. `complete`: the guest itself
    came to an end."""

    facts: Facts
    apart: Facts
    returns: "array[int]"
    complete: bool
