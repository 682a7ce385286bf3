"""The rows that a question in SQL was answered with, and where one stands in them. Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """`rows`: as text, in columns. `steps`: for each row the step that it jumps to, None if it names none. `cut`:
    there were more rows than are kept."""

    sql: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    steps: tuple[int | None, ...] = ()
    cut: bool = False
    row: int = 0
    """The one under the cursor."""
    left: int = 0
    """First column that is shown."""
