"""Models of real recordings, as they are when the machine has arrived: without a terminal and without a thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pvtrace.model.errors import PvtraceError
from pvtrace.model.step import Step
from pvtrace.report.describe import describe
from pvtrace.report.screen import rows
from pvtrace.session.commands import Commands
from pvtrace.session.explore import exploring
from pvtrace.session.judging import judged
from pvtrace.store.reader import TraceReader
from pvtrace.tui import looks
from pvtrace.tui.effects import (
    Alike,
    Cause,
    Choose,
    Consequence,
    Copy,
    Effect,
    Export,
    Interrupt,
    KindOf,
    Locate,
    Redraw,
    Suspend,
    Work,
)
from pvtrace.tui.errands import Errands
from pvtrace.tui.messages import GoTo, Message, Pressed, Said
from pvtrace.tui.model import Model
from pvtrace.tui.open import first_model
from pvtrace.tui.record import Record, Voice
from pvtrace.tui.update import update

VOICE = Voice(describe, rows)
LOOKS = (Choose, Alike, KindOf, Locate, Cause, Consequence)
OUTSIDE = (Copy, Export, Interrupt, Suspend, Redraw)


@dataclass(slots=True)
class Desk:
    """The program without its terminal: each message is followed to its end before the next."""

    model: Model
    record: Record
    errands: Errands
    said: list[Message]
    outside: list[Effect]
    """What was asked for and is not done here: copies, exports."""

    def send(self, *messages: Message) -> Model:
        """Each message, and all that follows from it, before the next."""
        for message in messages:
            self._send(message)
        return self.model

    def _send(self, message: Message) -> None:
        self.said.append(message)
        while self.said:
            self.model, effects = update(self.model, self.said.pop(0))
            for effect in effects:
                if isinstance(effect, LOOKS):
                    self.said.append(looks.answer(effect, self.record))
                elif isinstance(effect, OUTSIDE):
                    self.outside.append(effect)
                else:
                    self._work(effect)

    def _work(self, work: Work) -> None:
        try:
            self.errands.run(work, self.model.wanted, lambda: False)
        except PvtraceError as error:
            self.said.append(Said(str(error), True))

    def press(self, *keys: str) -> Model:
        return self.send(*map(Pressed, keys))


@contextmanager
def desk(path: Path, at: int | None = None, size: tuple[int, int] = (120, 40), judge: bool = False) -> Iterator[Desk]:
    """A recording that is opened at a step. With `judge` its divergences are known."""
    judgement = judged(path) if judge else None
    with TraceReader(path) as trace, exploring(path) as walk:
        record = Record(trace, VOICE)
        first = first_model(trace, record, None if at is None else Step(at))
        model = replace(first, width=size[0], height=size[1], judgement=judgement)
        said: list[Message] = []
        errands = Errands(walk, Commands(walk, VOICE.words), VOICE, said.append)
        made = Desk(model, record, errands, said, [])
        made.send(GoTo(model.here.step, model.here.event))
        made.model = replace(made.model, jumps=model.jumps)
        yield made
