"""Where the code that an external interrupt broke into goes on: read in the recording, without running anything.

A delivery belongs to the step after which it is taken. If the handler returned to where it was entered from, the
instruction that follows for the interrupted code is the one at the return.
"""

from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step
from pvtrace.timeline.moments import Log


def after(log: Log, step: Step) -> tuple[Step, int | None]:
    """Where the code that was interrupted at `step` goes on; `step` itself if no interrupt was taken there, or if its
    handler does not return. And the number of the entry whose return is not in the log."""
    while True:
        entered = [(number, event) for number, event in log.at(step) if event.kind is Kind.INTERRUPT]
        if not entered:
            return step, None
        number, entry = entered[-1]
        back = log.caused_by(number, Kind.RETURN, step)
        if back is None:
            return step, number
        if not _returns(entry, back):
            return step, None
        step = back.step


def before(log: Log, step: Step) -> Step:
    """The step from which a step forwards comes to `step`."""
    while True:
        returns = [event for _, event in log.at(step) if event.kind is Kind.RETURN]
        cause = returns[-1].cause if returns else None
        entry = None if cause is None else log.numbered(cause)
        if entry is None or entry.kind is not Kind.INTERRUPT or not _returns(entry, returns[-1]):
            return Step(step - 1)
        step = entry.step


def _returns(entry: Event, back: Event) -> bool:
    """Whether a return goes to where the entry came from, and not to another thread of the guest."""
    return back.args[1] == entry.pc
