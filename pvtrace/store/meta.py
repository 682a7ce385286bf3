"""What a recording says of itself: a frozen value and its rows. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pvtrace.store.rows import Value

GENERATION: Final = 1
"""Of the trace format; goes up with any change that an older or newer program would misread."""

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Meta:
    """What must be equal for a replay to be lawful, and where the trace is from.

    `ram` in bytes; `hz`: cycles per second of virtual time; `clock`: "virtual" or "host"; `vmi`: the profile, as on
    the command line; `recorded_at`: ISO 8601, UTC; `settings`: everything else that is needed to build the same
    machine again, independent of the host, as JSON.
    """

    pvtrace: str
    engine: str
    engine_version: str
    ram: int
    hz: int
    clock: str
    vmi: str
    command_line: tuple[str, ...]
    recorded_at: str
    settings: Mapping[str, Json] = field(default_factory=dict)


def meta_rows(meta: Meta) -> Iterator[tuple[str, Value]]:
    """Key and value; the lists as JSON."""
    yield "generation", GENERATION
    yield "pvtrace.version", meta.pvtrace
    yield "engine", meta.engine
    yield "engine.version", meta.engine_version
    yield "ram.bytes", meta.ram
    yield "hz", meta.hz
    yield "clock", meta.clock
    yield "vmi", meta.vmi
    yield "command.line", json.dumps(meta.command_line)
    yield "recorded.at", meta.recorded_at
    yield "settings", json.dumps(meta.settings, sort_keys=True)


def row_meta(rows: Iterable[tuple[str, Value]]) -> Meta:
    """The inverse; rows of other keys are ignored. Raises KeyError, TypeError or ValueError for damaged rows."""
    values = dict(rows)

    def text(key: str) -> str:
        value = values[key]
        if not isinstance(value, str):
            raise TypeError(f"{key} is no text")
        return value

    def number(key: str) -> int:
        value = values[key]
        if not isinstance(value, int):
            raise TypeError(f"{key} is no integer")
        return value

    return Meta(
        pvtrace=text("pvtrace.version"),
        engine=text("engine"),
        engine_version=text("engine.version"),
        ram=number("ram.bytes"),
        hz=number("hz"),
        clock=text("clock"),
        vmi=text("vmi"),
        command_line=tuple(json.loads(text("command.line"))),
        recorded_at=text("recorded.at"),
        settings=dict(json.loads(text("settings"))),
    )
