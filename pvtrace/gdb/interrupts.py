"""Stepping past the handlers of external interrupts, as a person thinks of "the next instruction".

A delivery belongs to the step after which it is taken. If the handler returned to where it was entered from, the
instruction that follows for the interrupted code is the one at the return.
"""

from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step
from pvtrace.store.reader import TraceReader
from pvtrace.timeline import moments


def after(trace: TraceReader, step: Step) -> Step:
    """Where the code that was interrupted at `step` goes on; `step` itself if no interrupt was taken there."""
    while True:
        entered = [(number, event) for number, event in moments.at(trace, step) if event.kind is Kind.INTERRUPT]
        if not entered:
            return step
        number, entry = entered[-1]
        back = moments.caused_by(trace, number, Kind.RETURN, step)
        if back is None or not _returns(entry, back):
            return step
        step = back.step


def before(trace: TraceReader, step: Step) -> Step:
    """The step from which a step forwards comes to `step`."""
    while True:
        returns = [event for _, event in moments.at(trace, step) if event.kind is Kind.RETURN]
        cause = returns[-1].cause if returns else None
        entry = None if cause is None else moments.numbered(trace, cause)
        if entry is None or entry.kind is not Kind.INTERRUPT or not _returns(entry, returns[-1]):
            return Step(step - 1)
        step = entry.step


def _returns(entry: Event, back: Event) -> bool:
    """Whether a return goes to where the entry came from, and not to another thread of the guest."""
    return back.args[1] == entry.pc
