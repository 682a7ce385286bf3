"""Events as JSON and CSV for other programs: every column by its name, and the words beside them."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pvtrace.model.events import KINDS, Event
from pvtrace.report.describe import Symbols, describe, no_symbols
from pvtrace.report.table import level

Plain = int | str | None
Numbered = tuple[int, Event]
"""An event with its number (store.listing.select)."""

CSV_HEADER: Final = ("seq", "step", "kind", "cpl", "if", "iopl", "eflags", "pc", "symbol", "arguments", "cause", "text")


def record(number: int, event: Event, symbols: Symbols = no_symbols) -> dict[str, object]:
    """One event as plain values. Bytes become text, with what is not UTF-8 escaped; integers stay as they are."""
    cpl, interrupts, iopl = level(event)
    return {
        "seq": number,
        "step": event.step,
        "kind": KINDS[event.kind].name,
        "cpl": cpl,
        "if": interrupts,
        "iopl": iopl,
        "eflags": event.flags & 0xFFFFFFFF,
        "pc": event.pc,
        "symbol": symbols(event.pc),
        "arguments": arguments(event),
        "cause": event.cause,
        "text": describe(event, symbols),
    }


def arguments(event: Event) -> Mapping[str, Plain]:
    """An event's arguments by the names of its kind's columns, without those that are missing."""
    named = zip(KINDS[event.kind].columns, event.args, strict=False)
    return {name: _plain(value) for name, value in named if value is not None}


def _plain(value: int | bytes | str) -> Plain:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def json_array(items: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """A JSON array in pieces, one item on a line, so that long ones need no memory."""
    separator = "["
    for item in items:
        yield f"{separator}\n{json.dumps(item)}"
        separator = ","
    yield "[]\n" if separator == "[" else "\n]\n"


def json_events(events: Iterable[Numbered], symbols: Symbols = no_symbols) -> Iterator[str]:
    """Events as a JSON array, in pieces."""
    return json_array(record(number, event, symbols) for number, event in events)


def csv_events(events: Iterable[Numbered], symbols: Symbols = no_symbols) -> Iterator[str]:
    """Events as CSV with a header (RFC 4180), in pieces; the arguments are one column of JSON."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(CSV_HEADER)
    for number, event in events:
        row = record(number, event, symbols)
        row["arguments"] = json.dumps(row["arguments"])
        writer.writerow(row[column] for column in CSV_HEADER)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()
