"""Open a recording to walk in: a timeline over it, with the names of its guest."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pvtrace.session import build, names
from pvtrace.session.stored import lawful, materials
from pvtrace.store.reader import TraceReader
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.timeline.explorer import BUDGET
from pvtrace.timeline.recorded import Recorded
from pvtrace.timeline.timeline import Timeline
from pvtrace.x86.elf import SymbolTable


@dataclass(frozen=True, slots=True)
class Walk:
    """A recording that is being walked in. `roms`: physical address and size of each."""

    trace: TraceReader
    timeline: Timeline
    symbols: SymbolTable
    roms: Sequence[tuple[int, int]] = ()


@contextlib.contextmanager
def exploring(path: Path, budget: int = BUDGET) -> Iterator[Walk]:
    """Stands at the first instruction. Raises TraceError for a trace that cannot be replayed here.

    `budget`: bytes of memory for places to come back to.
    """
    with TraceReader(path) as trace:
        lawful(trace)
        given, image = materials(trace)
        machine = build.machine(given, image, ScriptedTape())  # what its boot does is no news
        yield Walk(trace, Timeline(Recorded(machine, trace, budget)), names.stored(trace), image.roms)
