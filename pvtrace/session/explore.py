"""Open a recording to walk in: a timeline over it, with the names of its guest."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pvtrace.session import build
from pvtrace.session.stored import lawful, materials
from pvtrace.store.reader import TraceReader
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.timeline.explorer import BUDGET, Explorer
from pvtrace.timeline.timeline import Timeline
from pvtrace.x86.elf import SymbolTable


@dataclass(frozen=True, slots=True)
class Walk:
    """A recording that is being walked in."""

    trace: TraceReader
    explorer: Explorer
    timeline: Timeline
    symbols: SymbolTable


@contextlib.contextmanager
def exploring(path: Path, budget: int = BUDGET) -> Iterator[Walk]:
    """Stands at the first instruction. Raises TraceError for a trace that cannot be replayed here.

    `budget`: bytes of memory for places to come back to.
    """
    with TraceReader(path) as trace:
        lawful(trace)
        given, image = materials(trace)
        machine = build.machine(given, image, ScriptedTape())  # what its boot does is no news
        explorer = Explorer(machine, trace, budget)
        yield Walk(trace, explorer, Timeline(explorer), image.symbols)
