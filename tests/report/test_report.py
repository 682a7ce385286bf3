"""What people read."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.events import KINDS, Attempt, Event, How, Kind, Outcome, pack_flags
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.report import export, info, summary, table
from pvtrace.report.describe import describe, quoted
from pvtrace.store.contents import Contents
from pvtrace.store.listing import count_calls, count_kinds, select
from pvtrace.store.reader import TraceReader
from pvtrace.store.writer import TraceWriter
from tests.store.traces import KERNEL, META, USER, fill, make

NAMES = {0x40001F: "user_main+0x1f", 0x100080: "page_fault_entry"}


def said(kind: Kind, *args: int | bytes | str | None) -> str:
    return describe(Event(Step(1), kind, 0x1000, KERNEL, args), NAMES.get)


@pytest.mark.parametrize(
    ("instruction", "asked", "before", "after", "outcome", "words"),
    [
        (Attempt.POPF, 0x002, 0x202, 0x202, Outcome.IGNORED, "POPF asked IF=0 IOPL=0: silently ignored (IF stays 1)"),
        (Attempt.POPF, 0x3002, 0x202, 0x202, Outcome.IGNORED,
         "POPF asked IF=0 IOPL=3: silently ignored (IF stays 1, IOPL stays 0)"),
        (Attempt.POPF, 0x202, 0x202, 0x202, Outcome.NO_CHANGE, "POPF asked IF=1 IOPL=0: no change"),
        (Attempt.CLI, 0x3002, 0x3202, 0x3202, Outcome.SKIPPED, "CLI asked IF=0: skipped without effect (IF stays 1)"),
        (Attempt.STI, 0x202, 0x002, 0x202, Outcome.TRAPPED, "STI asked IF=1: trapped and emulated (IF 0 -> 1)"),
        (Attempt.CLI, 0x002, 0x202, 0x202, Outcome.FAULTED, "CLI asked IF=0: #GP(0) in the guest (IF stays 1)"),
        (Attempt.IRET, 0x3202, 0x002, 0x3202, Outcome.TOOK_EFFECT,
         "IRET asked IF=1 IOPL=3: took effect (IF 0 -> 1, IOPL 0 -> 3)"),
        (Attempt.PUSHF, 0x3202, 0x3202, 0x3202, Outcome.READ, "PUSHF shows IF=1 IOPL=3"),
    ],
)  # fmt: skip
def test_attempts(instruction: Attempt, asked: int, before: int, after: int, outcome: Outcome, words: str) -> None:
    assert said(Kind.FLAG_ATTEMPT, instruction, asked, before, after, 0x202, outcome) == words


@pytest.mark.parametrize(
    ("kind", "args", "words"),
    [
        (Kind.HYPERCALL, (3 << 8 | 30, 0, 0, 0, 0, None), "VMI DisableInterrupts()"),
        (Kind.HYPERCALL, (3 << 8 | 31, 0, 0, 0, 0, 0x200), "VMI GetInterruptMask() = IF=1"),
        (Kind.EXCEPTION, (14, 6, 0xBFFFF000, 0x202, 0x100080, 0),
         "#PF user write to bffff000: not present, error 0x6, enters page_fault_entry, pushes IF=1 IOPL=0"),
        (Kind.EXCEPTION, (13, 0, None, 0x202, 0x5000, 0), "#GP error 0x0, enters 00005000, pushes IF=1 IOPL=0"),
        (Kind.EXCEPTION, (0, None, None, 0x002, 0x5000, 0), "#DE, enters 00005000, pushes IF=0 IOPL=0"),
        (Kind.INTERRUPT, (0x20, 0, None, 0x202, 0x5000), "IRQ 0 as interrupt 20h, enters 00005000, pushes IF=1 IOPL=0"),
        (Kind.SOFTWARE_INTERRUPT, (0x80, None, None, 0x202, 0x5000), "INT 80h, enters 00005000, pushes IF=1 IOPL=0"),
        (Kind.SYSENTER, (None, 1, 2, 0x202, 0x5000), "SYSENTER, enters 00005000, pushes IF=1 IOPL=0"),
        (Kind.RETURN, (1, 0x40001F, 0x1B, 0x3202), "VMI_IRET to 001b:user_main+0x1f, image IF=1 IOPL=3"),
        (Kind.FLAG_TRANSITION, (9, 1, 0, 1, 1, 3 << 8 | 30), "IF 1 -> 0 by VMI DisableInterrupts (real IF stays 1)"),
        (Kind.FLAG_TRANSITION, (14, 0, 1, 0, 1, How.POPF), "NT 0 -> 1 by POPF"),
        (Kind.FLAG_TRANSITION, (9, 1, 1, 0, 1, How.DELIVERY), "IF stays 1 by delivery of an event (real IF 0 -> 1)"),
        (Kind.PORT_READ, (0x3FD, 1, 0x60), "INB port 0x3fd = 0x60"),
        (Kind.PORT_WRITE, (0x3F8, 2, 0x41), "OUTW port 0x3f8, 0x41"),
        (Kind.UNKNOWN_PORT, (0x1234, 4, 1), "OUTD port 0x1234: no device answers there"),
        (Kind.CONSOLE_OUT, (b"a\"b\n\xff\x1b",), 'console writes "a\\"b\\n\\xff\\x1b"'),
        (Kind.CONSOLE_IN, (b"x",), 'console reads "x"'),
        (Kind.EMULATED, ("MOV", "CR3", 0x1000), "emulated MOV CR3, 0x1000"),
        (Kind.EMULATED, ("LGDT", None, None, 13), "emulated LGDT: #GP in the guest"),
        (Kind.MODE, (0, 0x13), "mode real -> protected, paging, paravirtual"),
        (Kind.HALT, (1234,), "halts at tick 1,234"),
        (Kind.WAKE, (2234, 1000), "wakes at tick 2,234, 1,000 later"),
        (Kind.ALARM, (1, 1000, 1001), "alarm of counter 1, due at tick 1,000, fires at tick 1,001"),
        (Kind.NOTE, ("attention",), "note: attention"),
        (Kind.STOP, ("exit", 3, "by port"), "ends: exit with code 3 (by port)"),
        (Kind.STOP, ("shutdown", 0, ""), "ends: shutdown"),
    ],
)  # fmt: skip
def test_words(kind: Kind, args: tuple[int | bytes | str | None, ...], words: str) -> None:
    assert said(kind, *args) == words


VALUES = st.integers(0, 2**64 - 1) | st.binary(max_size=20) | st.text(max_size=20) | st.none()


@given(st.sampled_from(Kind), st.lists(VALUES, max_size=6))
def test_any_event_has_words(kind: Kind, args: list[int | bytes | str | None]) -> None:
    """Damaged or future arguments read badly, but they read."""
    event = Event(Step(1), kind, 0x1000, KERNEL, tuple(args))
    assert describe(event)
    assert json.loads(json.dumps(export.record(0, event)))["kind"] == KINDS[kind].name


def test_quoted_is_one_line() -> None:
    assert quoted(bytes(range(32))).isprintable()


POPF = Event(
    Step(41233), Kind.FLAG_ATTEMPT, 0x40001F, USER, (Attempt.POPF, 0x002, 0x202, 0x202, 0x202, Outcome.IGNORED)
)


def test_a_line_by_itself() -> None:
    assert table.line(POPF, NAMES.get) == (
        "step 41,233  CPL 3  user_main+0x1f  POPF asked IF=0 IOPL=0: silently ignored (IF stays 1)"
    )


def test_lines_are_aligned() -> None:
    events = [POPF, Event(Step(12_345_678), Kind.NOTE, 0x2000, pack_flags(2, vif=False, viopl=3, cpl=1), ("here",))]
    assert [table.HEADER, *table.lines(events, NAMES.get)] == [
        "          step  CPL IF IOPL  place                     event",
        "        41,233    3  1    0  user_main+0x1f            POPF asked IF=0 IOPL=0: silently ignored (IF stays 1)",
        "    12,345,678    1  0    3  00002000                  note: here",
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("report") / "t.pvt")


def test_json(path: Path) -> None:
    with TraceReader(path) as trace:
        found = json.loads("".join(export.json_events(select(trace), NAMES.get)))
        assert len(found) == trace.progress().mark.events
    attempt = next(item for item in found if item["kind"] == "flag_attempt")
    assert attempt["symbol"] == "user_main+0x1f"
    assert (attempt["cpl"], attempt["if"], attempt["iopl"], attempt["eflags"]) == (3, 1, 0, 0x202)
    assert attempt["arguments"]["outcome"] == Outcome.IGNORED
    console = next(item for item in found if item["kind"] == "console_out")
    assert console["arguments"] == {"data": "hello\\xff\n"}
    assert json.loads("".join(export.json_events([]))) == []


def test_csv(path: Path) -> None:
    with TraceReader(path) as trace:
        text = "".join(export.csv_events(select(trace), NAMES.get))
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == trace.progress().mark.events
    assert rows[0]["kind"] == "hypercall"
    assert json.loads(rows[0]["arguments"])["call"] == 3 << 8 | 32
    assert tuple(rows[0]) == export.CSV_HEADER


def test_summary(path: Path) -> None:
    with TraceReader(path) as trace:
        found = summary.summary(count_kinds(trace), count_calls(trace))
    assert [line.times for line in found.kinds] == sorted((line.times for line in found.kinds), reverse=True)
    assert sum(line.share for line in found.kinds) == pytest.approx(100)
    assert [line.name for line in found.calls] == ["SetInterruptMask (3.x)"]
    lines = list(summary.text(found))
    assert lines[0] == "% of all  times  first step  last step  event"
    assert lines[-2] == "  100.00     80           1        200  SetInterruptMask (3.x)"
    assert json.loads(json.dumps(summary.plain(found)))["calls"][0]["times"] == 80
    assert list(summary.text(summary.summary([], [])))[-1].endswith("total")


def test_info(path: Path) -> None:
    with TraceReader(path) as trace:
        found = info.info(trace)
        last = trace.checkpoints()[-1]
    text = "\n".join(info.text(found))
    for part in (
        "guest.elf, SHA-256",
        "64 MiB",
        "step 200: shutdown (as it wished)",
        last.digest.hex(),
        "unicorn 2.1.4",
    ):
        assert part in text
    plain = json.loads(json.dumps(info.plain(found)))
    assert plain["digest"]["all"] == last.digest.hex()
    assert plain["finished"] is True
    assert plain["settings"] == META.settings


def test_info_of_a_silent_guest_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer:
        for event in (POPF, POPF):
            writer.event(event)
    with TraceReader(path) as trace:
        text = "\n".join(info.text(info.info(trace)))
        assert json.loads(json.dumps(info.plain(info.info(trace))))["digest"] is None
    assert "empty: a silent guest, nothing came from outside" in text
    assert "cut short" in text


def test_info_of_a_trace_that_ended_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer:
        list(fill(writer, 60))
        writer.finish(Stop(Step(60), Why.EXIT, 3))
    with TraceReader(path) as trace:
        text = "\n".join(info.text(info.info(trace)))
    assert "step 60: exit, code 3" in text
    assert "(at step 50, the last checkpoint)" in text
