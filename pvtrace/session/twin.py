"""Two recordings held against each other by what their guests did; and a recording's native twin."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pvtrace.divergence.twin.comparison import INPUT, PROFILE, SETTINGS, Comparison, Side, compare
from pvtrace.divergence.twin.course import course
from pvtrace.divergence.twin.facts import Place, Value, Vocabulary
from pvtrace.model.errors import Diverged, TraceError, UsageError
from pvtrace.model.events import Event
from pvtrace.model.findings import Finding
from pvtrace.model.inputs import InputKind
from pvtrace.model.stops import Stop
from pvtrace.session import names
from pvtrace.session.judging import judged
from pvtrace.session.observer import NOBODY, PROGRESS_SECONDS, Observer
from pvtrace.session.options import RecordOptions, output_path
from pvtrace.store.reader import TraceReader
from pvtrace.x86.elf import SymbolTable

NATIVE: Final = "none"
"""The profile without a VMI ROM."""

LOOK_EVERY: Final = 4096
"""Events between two looks at the clock."""


def compared(a: Path, b: Path, observer: Observer = NOBODY) -> Comparison:
    """What the guests of two recordings did, fact by fact. Recordings are judged first, if they were not.

    Raises InputError for what is no recording. One that cannot be judged (of another engine, say) is compared without
    its findings, which is noted.
    """
    with TraceReader(a) as ours, TraceReader(b) as theirs:
        same = _guest(ours) == _guest(theirs)
        places = (_itself, _itself) if same else _by_symbol(ours, theirs)
        vocabulary = Vocabulary()
        alike = ours.progress().mark.event_digest == theirs.progress().mark.event_digest
        sides = [
            Side(
                course(
                    _watched(trace, observer),
                    vocabulary,
                    place,
                    complete=_complete(trace),
                    native=not _has_roms(trace),
                ),
                () if alike else _findings(trace, observer),
            )
            for trace, place in zip((ours, theirs), places, strict=True)
        ]
        return compare(vocabulary, *sides, same=same, given=_given(ours, theirs))


def _guest(trace: TraceReader) -> tuple[object, ...]:
    """All that the guest's own part of a machine is made from."""
    files = tuple((file.role, file.data) for file in trace.files if file.role != "rom")
    settings = trace.meta.settings
    return files, settings.get("append"), settings.get("module_arguments"), settings.get("load"), settings.get("entry")


def _given(a: TraceReader, b: TraceReader) -> str | None:
    """What was different from the start, other than the guest: the first of ROMs, settings, input."""
    if [file.data for file in a.files if file.role == "rom"] != [file.data for file in b.files if file.role == "rom"]:
        return PROFILE
    ours, theirs = ((trace.meta.ram, trace.meta.hz, trace.meta.clock, dict(trace.meta.settings)) for trace in (a, b))
    if ours != theirs:
        return SETTINGS
    marks = a.progress().mark, b.progress().mark
    return INPUT if marks[0].input_digest != marks[1].input_digest else None


def _complete(trace: TraceReader) -> bool:
    """Whether the guest came to an end of its own."""
    ending = trace.ending()
    return ending is not None and Stop(ending.step, ending.why).ended


def _has_roms(trace: TraceReader) -> bool:
    return any(file.role == "rom" for file in trace.files)


def _findings(trace: TraceReader, observer: Observer) -> tuple[Finding, ...]:
    if not _has_roms(trace):
        return ()  # native itself
    try:
        return judged(trace.path, observer).findings
    except (TraceError, Diverged) as error:
        observer.note(f"{trace.path} is compared without its findings: {error}")
        return ()


def _watched(trace: TraceReader, observer: Observer) -> Iterator[Event]:
    """The events of a trace, with progress."""
    size, shown = trace.path.stat().st_size, time.monotonic()
    for number, event in enumerate(trace.events()):
        if number % LOOK_EVERY == 0 and time.monotonic() - shown >= PROGRESS_SECONDS:
            shown = time.monotonic()
            observer.progress(event.step, number, size)
        yield event


# ------------------------------------------------------------------------------------------- what an address is called


def _itself(address: int) -> Value:
    return address


def _by_symbol(a: TraceReader, b: TraceReader) -> tuple[Place, Place]:
    """By the name of the symbol without the offset, which another build moves; by address where one has no names."""
    tables = names.stored(a, roms=False), names.stored(b, roms=False)
    if not all(table.symbols for table in tables):
        return _itself, _itself

    def named(table: SymbolTable) -> Place:
        def place(address: int) -> Value:
            name = table.at(address)
            return address if name is None else name.partition("+0x")[0]

        return place

    return named(tables[0]), named(tables[1])


# ------------------------------------------------------------------------------------------------------ recording both


def twin_paths(options: RecordOptions, folder: Path) -> tuple[Path, Path]:
    """Where a recording and its native twin go: GUEST.pvt and GUEST.native.pvt beside it.

    Raises UsageError if a twin cannot be made, or would overwrite something without --force.
    """
    if options.vmi == NATIVE:
        raise UsageError("--twin records with VMI ROMs and without: it cannot go with --vmi none")
    if options.typing == "keyboard" and options.input is None and not options.typed:
        raise UsageError("--twin types the same again: with --typing keyboard it needs --input or --type")
    path = output_path(options, folder)
    native = path.with_suffix(f".native{path.suffix}")
    if native.exists() and not options.force:
        raise UsageError(f"{native} exists; --force overwrites it")
    return path, native


@contextlib.contextmanager
def native_twin(options: RecordOptions, recorded: Path, output: Path) -> Iterator[RecordOptions]:
    """The options of the same run on native hardware. What a person typed at the console is typed again."""
    again = options._replace(vmi=NATIVE, output=output, console="null")
    if options.input is not None or options.typed or options.console != "-":
        yield again
        return
    with TraceReader(recorded) as trace:
        typed = b"".join(item.data for item in trace.inputs() if item.kind is InputKind.CONSOLE)
    with tempfile.NamedTemporaryFile() as file:
        file.write(typed)
        file.flush()
        yield again._replace(input=Path(file.name) if typed else None)
