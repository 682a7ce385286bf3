"""All panes, by name. One line for each; nothing else knows them all."""

from collections.abc import Mapping
from typing import Any, Final

from pvtrace.tui import typed
from pvtrace.tui.keys import KEYS
from pvtrace.tui.panes import (
    answer,
    console,
    detail,
    disassembly,
    divergence,
    events,
    findings,
    help,
    memory,
    registers,
    screen,
    stack,
    text,
    time,
)
from pvtrace.tui.panes.pane import Pane

_PANES: Final[tuple[Pane[Any], ...]] = (
    time.PANE,
    events.PANE,
    detail.PANE,
    disassembly.PANE,
    registers.PANE,
    stack.PANE,
    memory.PANE,
    console.PANE,
    screen.PANE,
    findings.PANE,
    divergence.PANE,
    answer.PANE,
    text.PANE,
)

_HELP: Final = help.pane(
    [("", KEYS), *((f"In {pane.name}", pane.keys) for pane in _PANES if pane.keys and pane is not text.PANE)],
    {"Signs in the list of events": events.SIGNS, "Signs in the time strip": time.SIGNS},
    typed.listed(),
)

PANES: Final[Mapping[str, Pane[Any]]] = {pane.name: pane for pane in (*_PANES, _HELP)}
