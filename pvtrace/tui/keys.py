"""The keys that are live everywhere: a table. Those of a pane stand beside it. The help and the last line are made
from these tables, so that what they say is what there is.
"""

from dataclasses import replace
from typing import Final

from pvtrace.timeline.stops import Way
from pvtrace.tui import moves, panels
from pvtrace.tui.effects import Alike, Copy, Interrupt, KindOf, Redraw, Suspend
from pvtrace.tui.model import Model, Note, Prompt
from pvtrace.tui.moves import NOTHING, Outcome, said
from pvtrace.tui.panes.pane import Act, Key

ON, BACK = Way.FORWARD, Way.BACKWARD


def _events(count: int) -> Act:
    return lambda model: moves.by_events(model, count, model.kinds)


def _page(share: int, way: Way) -> Act:
    def act(model: Model) -> Outcome:
        rows = max(1, panels.rows_of(model, "events") // share)
        return moves.by_events(model, way.value * rows, model.kinds)

    return act


def _alike(way: Way) -> Act:
    def act(model: Model) -> Outcome:
        event = model.here.event
        return said(model, "no event is selected") if event is None else (model, (Alike(event, way.value),))

    return act


def _kind(only: bool) -> Act:
    def act(model: Model) -> Outcome:
        event = model.here.event
        return said(model, "no event is selected") if event is None else (model, (KindOf(event, only),))

    return act


def _prompt(sign: str, text: str = "") -> Act:
    return lambda model: (replace(model, prompt=Prompt(sign, text), note=None), NOTHING)


def _search(forward: bool) -> Act:
    return lambda model: moves.search_on(model, forward)


def _mark(model: Model) -> Outcome:
    letter = model.pending[-1]
    return replace(model, marks={**model.marks, letter: model.here.step}, note=Note(f"mark {letter} is here")), NOTHING


def _to_mark(model: Model) -> Outcome:
    step = model.marks.get(model.pending[-1])
    return said(model, f"there is no mark {model.pending[-1]}", True) if step is None else moves.jump(model, step)


def _bookmark(way: Way) -> Act:
    def act(model: Model) -> Outcome:
        here = model.here.step
        beyond = [item.step for item in model.bookmarks if (item.step - here) * way.value > 0]
        if not beyond:
            return said(model, "there is no bookmark that way; :bookmark NAME keeps this place")
        return moves.jump(model, min(beyond) if way is ON else max(beyond))

    return act


def _copy(model: Model) -> Outcome:
    line = panels.reopening(model)
    return replace(model, note=Note(line)), (Copy(line),)


def _break(model: Model) -> Outcome:
    return (
        said(model, "the machine is not there yet")
        if model.picture is None
        else moves.toggle_break(model, model.picture.eip)
    )


def _leave(model: Model) -> Outcome:
    if model.over is not None or model.zoomed:
        return panels.close(model)
    return replace(model, leaving=True), NOTHING


def _explain(model: Model) -> Outcome:
    """The finding at this event; without one the detail is looked at."""
    here = model.here
    for number in model.telling:
        finding = model.findings[number]
        if finding.step == here.step and finding.event in (here.event, None):
            return panels.cover(replace(model, finding=number), "divergence"), NOTHING
    return panels.focus(model, "detail")


def _divergence(model: Model) -> Outcome:
    """The split view: of the finding that is open or here; else of the next one, else of the last."""
    if model.over == "divergence":
        return panels.close(model)
    if not model.telling:
        return moves.to_finding(model, ON)
    findings, here = model.findings, model.here.step
    opened = model.finding is not None and findings[model.finding].step == here
    at = next((n for n in model.telling if findings[n].step >= here), model.telling[-1])
    moved, effects = (model, NOTHING) if opened else moves.open_finding(model, at)
    return panels.cover(replace(moved, note=None), "divergence"), effects


def _interrupt(model: Model) -> Outcome:
    if model.busy is None and model.fresh:
        return said(model, "nothing is running; q leaves")
    return model, (Interrupt(),)


def _help(model: Model) -> Outcome:
    return panels.close(model) if model.over == "help" else (panels.cover(model, "help"), NOTHING)


def _pane(name: str) -> Act:
    return lambda model: panels.focus(model, name)


DIGITS: Final = {
    "1": "time",
    "2": "events",
    "3": "detail",
    "4": "disassembly",
    "5": "registers",
    "6": "stack",
    "7": "memory",
    "8": "console",
    "9": "screen",
    "0": "divergences",
}
"""Panes by the key that goes to them."""

KEYS: Final = (
    Key(("j", "down"), "next event", _events(1), "j/k event", "Events"),
    Key(("k", "up"), "previous event", _events(-1), "", "Events"),
    Key(("J",), "next of the same kind (of calls: the same call)", _alike(ON), "J/K alike", "Events"),
    Key(("K",), "previous one of the same kind", _alike(BACK), "", "Events"),
    Key(("pagedown", "space"), "a page on", _page(1, ON), "", "Events"),
    Key(("pageup", "b"), "a page back", _page(1, BACK), "", "Events"),
    Key(("c-d",), "half a page on", _page(2, ON), "", "Events"),
    Key(("c-u",), "half a page back", _page(2, BACK), "", "Events"),
    Key(("g", "home"), "first event", lambda model: moves.to_end(model, BACK), "", "Events"),
    Key(("G", "end"), "last event", lambda model: moves.to_end(model, ON), "", "Events"),
    Key(("h", "left"), "what brought this event about", moves.to_cause, "", "Events"),
    Key(("l", "right"), "what this event brought about", moves.to_consequence, "", "Events"),
    Key(("x",), "leave out events of this kind", _kind(False), "x leave out", "Events"),
    Key(("X",), "list this kind alone", _kind(True), "", "Events"),
    Key(("F",), "filter: which kinds of events are listed", _prompt(":", "filter "), "", "Events"),
    Key(("e", "] d"), "next divergence", lambda model: moves.to_finding(model, ON), "e/E divergence", "Divergences"),
    Key(("E", "[ d"), "previous divergence", lambda model: moves.to_finding(model, BACK), "", "Divergences"),
    Key(("D",), "native and paravirtual side by side", _divergence, "D split", "Divergences"),
    Key(("enter",), "explain: the divergence here, else the event", _explain, "", "Divergences"),
    Key(("s", "f7"), "step", lambda model: moves.by_steps(model, 1), "s/S step", "Instructions"),
    Key(("S", "f19"), "step back", lambda model: moves.by_steps(model, -1), "", "Instructions"),
    Key(("o", "f8"), "step over calls and interrupts", lambda model: moves.over(model, ON), "o/O over", "Instructions"),
    Key(("O", "f20"), "step back over them", lambda model: moves.over(model, BACK), "", "Instructions"),
    Key(("f",), "on to behind this function", lambda model: moves.finish(model, ON), "", "Instructions"),
    Key(("c", "f9"), "continue to a breakpoint", lambda model: moves.resume(model, ON), "", "Instructions"),
    Key(("C", "f21"), "continue backwards", lambda model: moves.resume(model, BACK), "", "Instructions"),
    Key(("B", "f2"), "breakpoint here, or none any more", _break, "", "Instructions"),
    Key(("w",), "to who wrote the byte under the cursor last", lambda m: moves.last_write(m, True), "", "Memory"),
    Key(("W",), "say who did, and stay", lambda m: moves.last_write(m, False), "", "Memory"),
    Key((":",), "a command; Tab completes", _prompt(":"), ": command", "Search and commands"),
    Key((";",), "ask in SQL; rows jump to their step", _prompt(";"), "; SQL", "Search and commands"),
    Key(("/",), "search in the pane with the focus", _prompt("/"), "/ search", "Search and commands"),
    Key(("n",), "next hit", _search(True), "", "Search and commands"),
    Key(("N",), "previous hit", _search(False), "", "Search and commands"),
    Key(("m *",), "mark this place with a letter", _mark, "", "Places"),
    Key(("' *",), "to the mark", _to_mark, "", "Places"),
    Key(("u",), "next bookmark", _bookmark(ON), "", "Places"),
    Key(("U",), "previous bookmark", _bookmark(BACK), "", "Places"),
    Key(("<", "c-o", "backspace"), "back to where you were", moves.go_back, "", "Places"),
    Key((">",), "and forth again", moves.go_ahead, "", "Places"),
    Key(("y",), "copy the command line that opens this place", _copy, "", "Places"),
    Key(("tab",), "next pane", lambda model: panels.turn(model, 1), "Tab pane", "Panes"),
    Key(("s-tab",), "previous pane", lambda model: panels.turn(model, -1), "", "Panes"),
    *(Key((key,), name, _pane(name), "", "Panes") for key, name in DIGITS.items()),
    Key(("z",), "this pane alone, and back", panels.zoom, "", "Panes"),
    Key(("t",), "hide this pane", panels.hide, "", "Panes"),
    Key(("T",), "show all panes", panels.show_all, "", "Panes"),
    Key(("c-c",), "stop what takes long", _interrupt, "", "Program"),
    Key(("c-l",), "draw everything again", lambda model: (model, (Redraw(),)), "", "Program"),
    Key(("c-z",), "to the shell; fg comes back", lambda model: (model, (Suspend(),)), "", "Program"),
    Key(("?", "f1"), "this help", _help, "? help", "Program"),
    Key(("escape",), "close what is in front", panels.close, "", "Program"),
    Key(("q",), "close what is in front, or leave", _leave, "q quit", "Program"),
)
