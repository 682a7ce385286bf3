"""The next model: what each message does. Pure; what takes reading or running is asked for by effects."""

from dataclasses import replace
from typing import assert_never

from pvtrace.tui import moves, panels, typed
from pvtrace.tui.effects import Locate, Refresh
from pvtrace.tui.keys import KEYS
from pvtrace.tui.messages import (
    Answered,
    Arrived,
    Bookmarked,
    Chosen,
    Doing,
    Entered,
    Failed,
    Focused,
    FoundCode,
    FoundEvent,
    GoTo,
    Judged,
    Judging,
    KindIs,
    Message,
    OpenFinding,
    Pressed,
    Resized,
    Said,
    Told,
    Unjudged,
    Wheel,
    Wrote,
)
from pvtrace.tui.model import Busy, Here, Model, Note
from pvtrace.tui.moves import ALL, NOTHING, Outcome, said
from pvtrace.tui.panes.pane import Key
from pvtrace.tui.panes.table import PANES

WHEEL = 3
"""Rows for each turn of the wheel."""

WRITERS = 64
"""How many answers to `who wrote it` are remembered."""


def update(model: Model, message: Message) -> Outcome:
    match message:
        case Pressed(key):
            return pressed(model, key)
        case Wheel(pane, turns):
            return _wheel(model, pane, turns)
        case Focused(pane):
            return panels.focus(model, pane)
        case GoTo(step, event):
            return moves.jump(model, step, event)
        case OpenFinding(number):
            return moves.open_finding(model, number)
        case Entered(sign, text):
            return typed.entered(replace(model, prompt=None), sign, text)
        case Resized(width, height):
            return replace(model, width=width, height=height), NOTHING
        case Chosen(step, event, move):
            return _chosen(model, Chosen(step, event, move))
        case KindIs(kind, only):
            return moves.filtered(model, frozenset({kind}) if only else (model.kinds or ALL) - {kind})
        case Arrived():
            return _arrived(model, message)
        case Doing(words, step):
            busy = Busy(words, step) if words else None
            return (model if busy == model.busy else replace(model, busy=busy)), NOTHING
        case Said(text, wrong):
            return said(model, text, wrong)
        case Told(title, text):
            return _told(model, title, text)
        case Answered(answer):
            note = Note(f"{len(answer.rows):,} rows") if answer.rows else Note("no rows")
            return panels.cover(replace(model, answer=answer, note=note), "answer"), NOTHING
        case FoundEvent(step, event):
            if step is None:
                return said(
                    model,
                    f"{model.pattern.text if model.pattern else ''!r} is not found that way; n looks on, N back",
                    True,
                )
            return moves.stand(model, step, event)
        case FoundCode(address):
            if address is None:
                return said(
                    model,
                    f"{model.pattern.text if model.pattern else ''!r} is not found that way; n looks on, N back",
                    True,
                )
            return replace(model, code=address), (Refresh(),)
        case Wrote(writer):
            others = tuple(item for item in model.memory.writers if item.address != writer.address)
            memory = replace(model.memory, writers=(writer, *others)[:WRITERS])
            return replace(model, memory=memory, note=Note(writer.text)), NOTHING
        case Judging(step):
            return replace(model, judging=step), NOTHING
        case Unjudged(text):
            return replace(model, judging=None, unjudged=text, note=Note(text, True)), NOTHING
        case Judged(judgement):
            return replace(model, judgement=judgement, judging=None), NOTHING
        case Bookmarked(bookmarks):
            return replace(model, bookmarks=bookmarks), NOTHING
        case Failed(text):
            return replace(model, note=Note(text, True), busy=None), NOTHING
        case _:
            assert_never(message)


# ---------------------------------------------------------------------------- keys


def pressed(model: Model, name: str) -> Outcome:
    """A key: by itself, or the next one of a sequence. The keys of the pane in front come first."""
    keys = (*model.pending, name)
    model = replace(model, note=None, pending=())
    live = live_keys(model)
    for key in live:
        if any(_matches(sequence.split(), keys) for sequence in key.names):
            acted, effects = key.act(replace(model, pending=keys))
            return replace(acted, pending=()), effects
    if any(_begins(sequence.split(), keys) for key in live for sequence in key.names):
        return replace(model, pending=keys), NOTHING
    if name == "escape" or len(keys) > 1:
        return model, NOTHING
    return said(model, f"{name} does nothing here; ? lists the keys")


def live_keys(model: Model) -> list[Key]:
    """Those of the pane in front or with the focus, then those that are live everywhere."""
    pane = PANES.get(model.over or model.focus)
    return [*(pane.keys if pane else ()), *KEYS]


def _matches(sequence: list[str], keys: tuple[str, ...]) -> bool:
    return len(sequence) == len(keys) and _begins(sequence, keys)


def _begins(sequence: list[str], keys: tuple[str, ...]) -> bool:
    return len(sequence) >= len(keys) and all(
        wanted == key or (wanted == "*" and len(key) == 1) for wanted, key in zip(sequence, keys, strict=False)
    )


def _wheel(model: Model, name: str, turns: int) -> Outcome:
    """As the up and down keys of that pane, a few times; over all others it turns through the events."""
    pane = PANES.get(name)
    wanted = "down" if turns > 0 else "up"
    key = next((key for key in (pane.keys if pane else ()) if wanted in key.names), None)
    if key is None:
        return moves.by_events(model, WHEEL * turns, model.kinds)
    effects = NOTHING
    for _ in range(WHEEL * abs(turns)):
        model, effects = key.act(model)
    return model, effects


# ---------------------------------------------------------------------------- answers


def _chosen(model: Model, answer: Chosen) -> Outcome:
    if answer.step is None:
        return said(model, "there is none")
    if not answer.move:
        located = replace(model, here=Here(answer.step, answer.event))
        return (located if answer.step == model.here.step else model), NOTHING
    if answer.event == model.here.event and answer.step == model.here.step:
        return model, NOTHING
    return moves.stand(model, answer.step, answer.event)


def _arrived(model: Model, message: Arrived) -> Outcome:
    """A picture. Unless another place was asked for meanwhile, the machine stays there, and the screen is there."""
    step = message.picture.step
    model = replace(model, picture=message.picture)
    if message.wish != model.wishes:
        return model, NOTHING
    if message.words:
        model = replace(model, note=Note(message.words))
    if step == model.here.step:
        return model, NOTHING
    return replace(model, here=Here(step, None), code=None), (Locate(step),)


def _told(model: Model, title: str, text: str) -> Outcome:
    lines = tuple(text.splitlines())
    if len(lines) <= 1:
        return said(model, text.strip())
    return panels.cover(replace(model, text=(title, lines)), "text"), NOTHING
