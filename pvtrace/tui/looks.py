"""The answers to Looks: what a few rows of the recording say at once. On the screen's thread."""

from pvtrace.model.events import Event, Kind
from pvtrace.tui.effects import Alike, Cause, Choose, Consequence, KindOf, Locate
from pvtrace.tui.messages import Chosen, KindIs, Message, Said
from pvtrace.tui.record import Numbered, Record


def answer(look: Choose | Alike | KindOf | Locate | Cause | Consequence, record: Record) -> Message:
    match look:
        case Choose(since, by, kinds):
            return _chosen(_choose(record, since, by, kinds))
        case Alike(since, by):
            return _alike(record, since, by)
        case KindOf(number, only):
            event = record.event(number)
            return Said("no event is selected") if event is None else KindIs(event.kind, only)
        case Locate(step):
            return Chosen(step, record.at_or_before(step), move=False)
        case Cause(number):
            event = record.event(number)
            cause = None if event is None or event.cause is None else record.event(event.cause)
            if event is None or event.cause is None or cause is None:
                return Said("nothing that was recorded brought this event about")
            return Chosen(cause.step, event.cause)
        case Consequence(number, skip):
            found = record.brought_about(number, skip + 1)[skip:]
            return _chosen(found[0]) if found else Said("this event brought no other about")


def _chosen(found: Numbered | None) -> Message:
    return Said("there is none") if found is None else Chosen(found[1].step, found[0])


def _choose(record: Record, since: int, by: int, kinds: frozenset[Kind] | None) -> Numbered | None:
    """As far as asked, or as far as there are any."""
    if by > 0:
        found = record.after(since + 1, by, kinds)
        return found[-1] if found else None
    if by < 0:
        found = record.before(since, -by, kinds)
        return found[0] if found else None
    return next(iter(record.after(since, 1, kinds) or record.before(since, 1, kinds)), None)


def _alike(record: Record, since: int, by: int) -> Message:
    event = record.event(since)
    if event is None:
        return Said("no event is selected")
    found = _like(record, since, event, by)
    return _chosen(found) if found else Said("there is no other of this kind that way")


REACH = 4096
"""Calls that are looked through for one of the same."""


def _like(record: Record, since: int, event: Event, by: int) -> Numbered | None:
    """The next one of the same kind; of calls, exceptions and interrupts one of the same number."""
    kinds = frozenset({event.kind})
    if event.kind not in (Kind.HYPERCALL, Kind.EXCEPTION, Kind.INTERRUPT, Kind.SOFTWARE_INTERRUPT):
        return _choose(record, since, by, kinds)
    found = record.after(since + 1, REACH, kinds) if by > 0 else reversed(record.before(since, REACH, kinds))
    return next((item for item in found if item[1].args[0] == event.args[0]), None)
