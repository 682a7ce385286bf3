"""Going somewhere: what each way of moving does to the model, and which effects make it true. Pure.

A move is a wish: the model is there at once, the machine follows (Arrived). Of many wishes only the last one counts.
"""

from dataclasses import replace
from typing import Final

from pvtrace.model.events import KINDS, Kind
from pvtrace.model.step import Step
from pvtrace.timeline.stops import Way
from pvtrace.tui.effects import (
    Break,
    Cause,
    Choose,
    Consequence,
    Effect,
    Find,
    FindCode,
    Finish,
    Go,
    LastWrite,
    Locate,
    Seek,
    StepOver,
)
from pvtrace.tui.model import JUMPS, Here, Jumps, Model, Note

Outcome = tuple[Model, tuple[Effect, ...]]
"""A model, and what it takes to make it true."""

ALL: Final = frozenset(Kind)

CONSOLE: Final = frozenset({Kind.CONSOLE_OUT, Kind.CONSOLE_IN})

NOTHING: Final[tuple[Effect, ...]] = ()


def said(model: Model, text: str, wrong: bool = False) -> Outcome:
    return replace(model, note=Note(text, wrong)), NOTHING


# ---------------------------------------------------------------------------- to a place


def stand(model: Model, step: Step, event: int | None = None) -> Outcome:
    """Be at a step; `event`: the one that is selected there, looked up if it is not known."""
    recording = model.recording
    step = Step(min(max(step, recording.first), recording.last))
    wish = model.wishes + 1
    effects: tuple[Effect, ...] = (Seek(step, wish),) if event is not None else (Locate(step), Seek(step, wish))
    return replace(model, here=Here(step, event), wishes=wish, code=None), effects


def jump(model: Model, step: Step, event: int | None = None) -> Outcome:
    """Be at a step, and be able to come back."""
    return stand(remembered(model), step, event)


def remembered(model: Model) -> Model:
    """Where one is goes into the jump list."""
    back = model.jumps.back
    if back and back[-1] == model.here.step:
        return replace(model, jumps=Jumps(back))
    return replace(model, jumps=Jumps((*back, model.here.step)[-JUMPS:]))


def go_back(model: Model) -> Outcome:
    back, ahead = model.jumps
    places = back[:-1] if back and back[-1] == model.here.step else back
    if not places:
        return said(model, "there is no place to go back to")
    here = model.here.step
    return stand(replace(model, jumps=Jumps(places[:-1], (*ahead, here))), places[-1])


def go_ahead(model: Model) -> Outcome:
    back, ahead = model.jumps
    if not ahead:
        return said(model, "there is no place to go forth to")
    return stand(replace(model, jumps=Jumps((*back, model.here.step), ahead[:-1])), ahead[-1])


# ---------------------------------------------------------------------------- by events


def by_events(model: Model, count: int, kinds: frozenset[Kind] | None) -> Outcome:
    """To the event that is `count` further among these kinds. One in front of which one stands is the first."""
    since = model.here.event
    if since is None:
        return model, (Choose(0, max(0, count - 1), kinds),)
    return model, (Choose(since, count, kinds),)


def filtered(model: Model, kinds: frozenset[Kind]) -> Outcome:
    """List these alone; none or all of them is no filter."""
    if not kinds:
        return said(model, "some kind of event must be left")
    names = sorted(
        {KINDS[kind].name.replace("_", " ") for kind in (kinds if len(kinds) * 2 < len(ALL) else ALL - kinds)}
    )
    words = f"{'only' if len(kinds) * 2 < len(ALL) else 'all but'} {', '.join(names)}" if kinds != ALL else "all events"
    return replace(model, kinds=None if kinds == ALL else kinds, note=Note(f"listed: {words}")), NOTHING


def to_end(model: Model, way: Way) -> Outcome:
    last = max(0, model.recording.events - 1)
    return remembered(model), (Choose(0 if way is Way.BACKWARD else last, 0, model.kinds),)


def to_finding(model: Model, way: Way) -> Outcome:
    """To the next or the last finding; from one that is open, to its neighbour."""
    findings, here = model.findings, model.here.step
    if not model.telling:
        return said(model, model.verdict)
    opened = model.finding if model.finding is not None and findings[model.finding].step == here else None
    beyond = [
        number
        for number in model.telling
        if ((findings[number].step - here) * way.value > 0 if opened is None else (number - opened) * way.value > 0)
    ]
    if not beyond:
        return said(model, f"there is no divergence {'after' if way is Way.FORWARD else 'before'} this one")
    return open_finding(model, min(beyond) if way is Way.FORWARD else max(beyond))


def open_finding(model: Model, number: int) -> Outcome:
    """Select a finding and go to where it is."""
    finding = model.findings[number]
    moved, effects = jump(model, finding.step, finding.event)
    listed = model.telling
    which = f"{listed.index(number) + 1:,} of {len(listed):,}" if number in listed else "that makes no difference"
    words = f"divergence {which}: {finding.text}"
    return replace(moved, finding=number, note=Note(words)), effects


def to_cause(model: Model) -> Outcome:
    return _of_event(model, Cause(model.here.event or 0))


def to_consequence(model: Model) -> Outcome:
    return _of_event(model, Consequence(model.here.event or 0))


def _of_event(model: Model, effect: Cause | Consequence) -> Outcome:
    if model.here.event is None:
        return said(model, "no event is selected")
    return model, (effect,)


# ---------------------------------------------------------------------------- by instructions


def by_steps(model: Model, count: int) -> Outcome:
    step = model.here.step + count
    if not model.recording.first <= step <= model.recording.last:
        end = "the end" if count > 0 else "the beginning"
        return said(model, f"{end} of the recording")
    return stand(model, Step(step))


def over(model: Model, way: Way) -> Outcome:
    return model, (StepOver(way),)


def finish(model: Model, way: Way) -> Outcome:
    return remembered(model), (Finish(way),)


def resume(model: Model, way: Way) -> Outcome:
    return remembered(model), (Go(way),)


def toggle_break(model: Model, address: int) -> Outcome:
    """A breakpoint there, or none any more."""
    breaks = model.breaks ^ {address}
    words = "breakpoint at" if address in breaks else "no breakpoint any more at"
    return replace(model, breaks=breaks, note=Note(f"{words} {address:08x}")), (Break(breaks),)


# ---------------------------------------------------------------------------- by what was written, by what is said


def last_write(model: Model, go: bool) -> Outcome:
    """Of the byte under the cursor of the memory pane, else of the top of the stack."""
    address = model.memory.address
    if address is None:
        if model.picture is None:
            return said(model, "the machine is not there yet")
        address = model.picture.esp
    return (remembered(model) if go else model), (LastWrite(address, go),)


def search(model: Model, text: str, where: str, forward: bool) -> Outcome:
    """To the next place where this text is: in the words of events, on the console, or in the disassembly."""
    if where == "disassembly":
        if model.picture is None:
            return said(model, "the machine is not there yet")
        return model, (FindCode(text, model.picture.eip if model.code is None else model.code, forward),)
    kinds = CONSOLE if where == "console" else model.kinds
    since = model.here.event
    start = since if since is not None else -1
    return remembered(model), (Find(text, start, forward, kinds),)


def search_on(model: Model, forward: bool) -> Outcome:
    """On to the next hit."""
    if model.pattern is None:
        return said(model, "nothing was searched for yet; / searches")
    return search(model, model.pattern.text, model.pattern.where, forward)
