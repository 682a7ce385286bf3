"""The coverage table of VMI calls, made from the rows that the tests run.

`python -m tests.calls.coverage` writes it.
"""

from pathlib import Path
from typing import Final

from rom.abi import CALLS, CallInfo, Generation
from tests.calls.rows import ABSENT, ROWS

PATH: Final = Path(__file__).parents[2] / "docs" / "coverage.md"
HEAD: Final = """\
# VMI calls and their tests

Every call in each generation that has it: its number, and how many guests of `tests/calls` make it. Each of them checks
the results, that every other register is as before, what the call has done, and the event in the log. `-`: the
generation has no such call. Written by `python -m tests.calls.coverage`; a test compares.

| call | family | 3.0 | 13.x |
|---|---|---|---|
"""


def rows_of(call: CallInfo, generation: Generation) -> int:
    """How many rows make the call in that generation."""
    return sum(row.call == call.name and row.only in (None, generation) for row in ROWS)


def _cell(call: CallInfo, generation: Generation) -> str:
    number = call.number(generation)
    if number is None:
        return "-"
    why = ABSENT.get((call.name, generation))
    if why is not None:
        return f"{number}: {why}"
    tests = rows_of(call, generation)
    return f"{number}: {tests} test{'s' if tests != 1 else ''}"


def table() -> str:
    """The whole document."""
    lines = (
        f"| {call.name} | {call.family} | {_cell(call, Generation.V3)} | {_cell(call, Generation.V13)} |\n"
        for call in CALLS
    )
    return HEAD + "".join(lines)


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(table(), encoding="utf-8")
