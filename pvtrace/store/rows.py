"""Events, inputs and checkpoints as rows and back. Pure: the one place that knows the order of columns.

An integer of the machine is 0..2^64-1 and SQLite's are signed, so they are stored in two's complement.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from pvtrace.model.digest import Mark
from pvtrace.model.events import Event, Kind
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import Step
from pvtrace.model.stops import Why

Value = int | float | str | bytes | None
Row = Sequence[Value]

_HALF: Final = 1 << 63
_WHOLE: Final = 1 << 64

EVENT_COLUMNS: Final = "step, kind, pc, flags, a, b, c, d, e, f, cause"
EVENT_PARAMETERS: Final = "(?,?,?,?,?,?,?,?,?,?,?,?)"
INSERT_EVENT: Final = f"INSERT INTO event(seq, {EVENT_COLUMNS}) VALUES {EVENT_PARAMETERS}"
INPUT_COLUMNS: Final = "step, kind, value, bytes"
INSERT_INPUT: Final = f"INSERT INTO input(seq, {INPUT_COLUMNS}) VALUES (?,?,?,?,?)"
CHECKPOINT_COLUMNS: Final = "step, inputs, events, input_digest, event_digest, state, ram_digest, digest"
# OR REPLACE: a recording may end where it has just made one.
INSERT_CHECKPOINT: Final = f"INSERT OR REPLACE INTO checkpoint({CHECKPOINT_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)"

_NULLS: Final = (None,) * 6
_KINDS: Final = {kind.value: kind for kind in Kind}
_event: Final = partial(tuple.__new__, Event)


class Progress(NamedTuple):
    """Everything up to and with `step` is in the trace; `mark`: how much that is."""

    step: Step
    mark: Mark


class Checkpoint(NamedTuple):
    """`state`: hash of the stored machine state; `digest`: model.digest.whole_digest at this step."""

    step: Step
    mark: Mark
    state: bytes
    ram_digest: bytes
    digest: bytes


class Ending(NamedTuple):
    """How the recording ended; `digest` is that of the checkpoint at its end, None if there is none."""

    step: Step
    why: Why
    code: int
    detail: str
    digest: bytes | None


class TraceFile(NamedTuple):
    """A file that was given to the machine. `role`: guest, module or rom."""

    role: str
    name: str
    data: bytes


class Symbol(NamedTuple):
    """`address` is linear; `size` in bytes, 0 if not known; `source` names the file that it is from."""

    name: str
    address: int
    size: int
    source: str


class SourceLine(NamedTuple):
    """From `address` on, up to the next one, the code is of this line; line 0: of none that is known."""

    address: int
    file: str
    line: int


def signed(value: int) -> int:
    """0..2^64-1 as SQLite stores it. Raises ValueError outside."""
    if 0 <= value < _HALF:
        return int(value)
    if _HALF <= value < _WHOLE:
        return value - _WHOLE
    raise ValueError(f"{value} does not fit in 64 bits without sign")


def unsigned(value: int) -> int:
    """The inverse of `signed`."""
    return value + _WHOLE if value < 0 else value


def event_row(seq: int, event: Event) -> Row:
    """Both this and its inverse are done for every event: the rare arguments that SQLite cannot hold as they are take
    a second look."""
    step, kind, pc, flags, args, cause = event
    for value in args:
        if isinstance(value, int) and value >= _HALF:
            args = tuple(signed(each) if isinstance(each, int) else each for each in args)
            break
    return (seq, step, kind.value, pc, flags, *args, *_NULLS[len(args) :], cause)


def row_event(row: tuple[int, int, int, int, Value, Value, Value, Value, Value, Value, int | None]) -> Event:
    """The inverse, from EVENT_COLUMNS. Arguments that are missing at the end are left out."""
    step, kind, pc, flags, *given, cause = row
    while given and given[-1] is None:
        given.pop()
    for value in given:
        if isinstance(value, float) or (isinstance(value, int) and value < 0):
            given = [_argument(each) for each in given]
            break
    return _event((step, _KINDS[kind], pc, flags, tuple(given), cause))


def _argument(value: Value) -> int | bytes | str | None:
    if isinstance(value, float):
        raise ValueError("an event's argument is no integer, text or bytes")
    return unsigned(value) if isinstance(value, int) else value


def input_row(seq: int, item: Input) -> Row:
    return (seq, item.step, int(item.kind), None if item.value is None else signed(item.value), item.data)


def row_input(row: tuple[int, int, int | None, bytes]) -> Input:
    step, kind, value, data = row
    return Input(Step(step), InputKind(kind), None if value is None else unsigned(value), data)


def checkpoint_row(checkpoint: Checkpoint) -> Row:
    return (checkpoint.step, *checkpoint.mark, checkpoint.state, checkpoint.ram_digest, checkpoint.digest)


def row_checkpoint(row: tuple[int, int, int, bytes, bytes, bytes, bytes, bytes]) -> Checkpoint:
    step, inputs, events, input_digest, event_digest, state, ram_digest, whole = row
    return Checkpoint(Step(step), Mark(inputs, events, input_digest, event_digest), state, ram_digest, whole)
