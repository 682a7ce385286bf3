"""Events, inputs and checkpoints as rows and back. Pure: the one place that knows the order of columns, but for that
of many events at once, which model.packed makes rows of and reads from them.

An integer of the machine is 0..2^64-1 and SQLite's are signed, so they are stored in two's complement.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from pvtrace.model.digest import Mark
from pvtrace.model.events import Event
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.packed import pack_rows, unpack
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
    """`address` is linear; `size` in bytes, 0 of a label, which has no inside; `source`: the file that it is from."""

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


def row_event(row: tuple[Value, ...]) -> Event:
    """From EVENT_COLUMNS. Arguments that are missing at the end are left out."""
    (event,) = unpack(pack_rows([row]))
    return event


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
