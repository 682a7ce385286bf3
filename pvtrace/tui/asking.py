"""A question in SQL to the recording, answered with rows of text. Used by the worker: it may take its time."""

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from pvtrace.store.listing import query
from pvtrace.store.rows import Value
from pvtrace.tui.answer import Answer

MOST: Final = 10_000
"""Rows that are kept."""

LONGEST: Final = 200
"""Letters of one value that are kept."""

STEP: Final = "step"
"""The column by which a row jumps."""


def ask(path: Path, sql: str, interrupted: Callable[[], bool]) -> Answer:
    """Raises UsageError for SQL that cannot be run, TraceError for a damaged trace."""
    rows = list(islice(query(path, sql, interrupted), MOST + 1))
    columns = tuple(rows[0]) if rows else ()
    kept = rows[:MOST]
    return Answer(
        sql=sql,
        columns=columns,
        rows=tuple(tuple(_text(row[name]) for name in columns) for row in kept),
        steps=tuple(_step(row) for row in kept),
        cut=len(rows) > MOST,
    )


def _step(row: Mapping[str, Value]) -> int | None:
    value = row.get(STEP)
    return value if isinstance(value, int) and value >= 0 else None


def _text(value: Value) -> str:
    """One line, whatever it is: what a guest wrote may hold anything."""
    if value is None:
        return ""
    plain = value.hex(" ") if isinstance(value, bytes) else str(value)
    return "".join(letter if letter.isprintable() else "·" for letter in plain[:LONGEST])
