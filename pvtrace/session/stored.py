"""What a recording says of its machine: whether this program may run it, and what it is built from."""

from pvtrace.engine import library
from pvtrace.machine.boot import BootImage
from pvtrace.model.errors import PvtraceError, TraceError
from pvtrace.session import build
from pvtrace.store.reader import TraceReader


def lawful(trace: TraceReader) -> None:
    """Raises TraceError unless this program can run the recording as it was."""
    meta = trace.meta
    here = (library.NAME, library.version())
    there = (meta.engine, meta.engine_version)
    if there != here:
        raise TraceError(
            f"{trace.path} was recorded with {there[0]} {there[1]} and can only be replayed with it; "
            f"this is {here[0]} {here[1]}"
        )


def materials(trace: TraceReader) -> tuple[build.Given, BootImage]:
    """What `build.machine` makes the recording's machine from. Raises TraceError if that cannot be done."""
    meta = trace.meta
    try:
        given = build.given_from(trace.files, meta.ram, meta.hz, meta.clock, meta.settings)
        return given, given.boot_image()
    except PvtraceError as error:
        raise TraceError(f"the machine that {trace.path} holds cannot be built: {error}") from None
