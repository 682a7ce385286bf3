"""The findings that a trace holds, read and written. Whoever judges (session.judge) writes them; all others read.

Written through a short-lived connection of its own, in one transaction: they are all there, or as they were.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pvtrace.model.errors import TraceError
from pvtrace.model.findings import Finding, Judgement, Section, Shown, Standing
from pvtrace.model.step import Step
from pvtrace.store.database import reading, script
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Row, Value, signed, unsigned

COLUMNS: Final = (
    'step, pc, rule, standing, what, "before", native, paravirtual, text, code, event, setting, opened_by, times'
)
_INSERT: Final = f"INSERT INTO finding(id, {COLUMNS}) VALUES ({','.join('?' * 15)})"
_SECTION: Final = (
    'opened_by, "start", "end", start_ticks, end_ticks, ended, handlers, stolen, interrupts, faults, reschedules'
)
_INSERT_SECTION: Final = f"INSERT INTO section(id, {_SECTION}) VALUES ({','.join('?' * 12)})"


def stored(trace: TraceReader) -> Judgement | None:
    """What the trace was found to hold when it was judged last; None if it never was."""
    if not trace.rows("SELECT 1 FROM sqlite_schema WHERE name = 'section'"):
        return None  # older generations of these tables had none
    judged = trace.rows("SELECT step, rules FROM judgement")
    if not judged:
        return None
    (step, rules), *_ = judged
    rows = trace.rows(f"SELECT {COLUMNS} FROM finding ORDER BY id")
    sections = trace.rows(f"SELECT {_SECTION} FROM section ORDER BY id")
    with reading(trace.path):
        return Judgement(
            Step(step), str(rules), tuple(_finding(row) for row in rows), tuple(_section(row) for row in sections)
        )


def keep(path: Path, judgement: Judgement) -> None:
    """Replace what is stored. Raises TraceError if the trace cannot be written to."""
    rows = [_row(number, finding) for number, finding in enumerate(judgement.findings)]
    sections = [(number, *_section_row(section)) for number, section in enumerate(judgement.sections)]
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in script("findings.sql").split(";\n"):
                connection.execute(statement)
            connection.executemany(_INSERT, rows)
            connection.executemany(_INSERT_SECTION, sections)
            connection.execute("INSERT INTO judgement VALUES (1, ?, ?)", (judgement.until, judgement.rules))
            connection.commit()
    except sqlite3.Error as error:
        raise TraceError(f"the findings cannot be kept in {path}: {error}") from None


def _row(number: int, finding: Finding) -> Row:
    return (
        number,
        finding.step,
        finding.pc,
        finding.rule,
        finding.standing.value,
        finding.what,
        *(_stored(value) for value in (finding.before, finding.native, finding.paravirtual)),
        finding.text,
        finding.code,
        finding.event,
        finding.setting,
        finding.opened_by,
        finding.times,
    )


def _finding(row: tuple[Value, ...]) -> Finding:
    step, pc, rule, standing, what, before, native, paravirtual, text, code, event, setting, opened_by, times = row
    if not isinstance(code, bytes):
        raise ValueError("the code of a finding is not bytes")
    return Finding(
        rule=str(rule),
        step=Step(_int(step)),
        pc=_int(pc),
        standing=Standing(_int(standing)),
        what=str(what),
        before=_shown(before),
        native=_shown(native),
        paravirtual=_shown(paravirtual),
        text=str(text),
        code=code,
        event=None if event is None else _int(event),
        setting=str(setting),
        opened_by=None if opened_by is None else _int(opened_by),
        times=_int(times),
    )


def _section_row(section: Section) -> Row:
    return (
        section.opened_by,
        section.start,
        section.end,
        section.start_ticks,
        section.end_ticks,
        int(section.ended),
        section.handlers,
        section.stolen,
        section.interrupts,
        section.faults,
        section.reschedules,
    )


def _section(row: tuple[Value, ...]) -> Section:
    opened_by, start, end, start_ticks, end_ticks, ended, *counts = map(_int, row)
    return Section(opened_by, Step(start), Step(end), start_ticks, end_ticks, bool(ended), *counts)


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("a finding holds something else where a number belongs")
    return value


def _stored(value: Shown) -> Value:
    return signed(value) if isinstance(value, int) else value


def _shown(value: Value) -> Shown:
    if isinstance(value, bytes | float):
        raise ValueError("the evidence of a finding is neither a number nor text")
    return unsigned(value) if isinstance(value, int) else value
