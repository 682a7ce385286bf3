"""What has the focus, what is zoomed, hidden, in front of all; and the command line that comes back here. Pure."""

import shlex
from dataclasses import replace

from pvtrace.tui import layout
from pvtrace.tui.effects import Refresh
from pvtrace.tui.model import Model
from pvtrace.tui.moves import NOTHING, Outcome, said


def focused(model: Model, pane: str) -> Model:
    """Look at this pane; it is shown again if it was hidden."""
    recent = (pane, *(name for name in (model.focus, *model.recent) if name != pane))
    return replace(model, focus=pane, recent=recent[:20], hidden=model.hidden - {pane}, over=None, scroll=0)


def focus(model: Model, pane: str) -> Outcome:
    return focused(model, pane), NOTHING


def turn(model: Model, by: int) -> Outcome:
    """To the next pane that is seen; zoomed, to the next of all."""
    plain = replace(model, zoomed=False, over=None)
    panes = layout.order(plain)
    if not panes:
        return said(model, "all panes are hidden; T shows them again")
    at = panes.index(model.focus) if model.focus in panes else 0
    return focused(model, panes[(at + by) % len(panes)]), NOTHING


def hide(model: Model) -> Outcome:
    """The pane with the focus; its neighbour gets it."""
    hidden = model.hidden | {model.focus}
    panes = layout.order(replace(model, hidden=hidden, zoomed=False, over=None, focus=""))
    if not panes:
        return said(model, "one pane stays")
    moved = focused(replace(model, hidden=hidden, zoomed=False), panes[0])
    return replace(moved, recent=tuple(name for name in moved.recent if name not in hidden)), NOTHING


def show_all(model: Model) -> Outcome:
    return replace(model, hidden=frozenset(), zoomed=False, over=None), NOTHING


def zoom(model: Model) -> Outcome:
    return replace(model, zoomed=not model.zoomed), NOTHING


def cover(model: Model, pane: str) -> Model:
    """Put a pane in front of all others."""
    return replace(model, over=pane, scroll=0)


def close(model: Model) -> Outcome:
    """What is in front of the others goes away: what covers, then the zoom, then what was said."""
    if model.over is not None:
        return replace(model, over=None, scroll=0), NOTHING
    if model.zoomed:
        return replace(model, zoomed=False), NOTHING
    return replace(model, note=None, code=None), (Refresh(),) if model.code is not None else NOTHING


def scrolled(model: Model, lines: int, most: int) -> Outcome:
    """What covers the body begins so many lines further down; at `most` its end is seen."""
    return replace(model, scroll=max(0, min(model.scroll + lines, most))), NOTHING


def rows_of(model: Model, pane: str) -> int:
    """Lines that a pane has for its content; what it would have if it were seen is about the same."""
    box = layout.inner(model, pane)
    return box.height if box is not None else max(1, model.height // 2)


def reopening(model: Model) -> str:
    """The command line that opens this very place."""
    return f"pvtrace replay {shlex.quote(model.recording.path)} --tui --at {model.here.step}"
