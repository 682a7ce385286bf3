"""People read a trace with sqlite3 and sqlite-utils, without pvtrace."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pvtrace.model.events import KINDS, Attempt, Event, How, Kind, Outcome
from pvtrace.model.inputs import InputKind
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.store.contents import Contents
from pvtrace.store.database import script
from pvtrace.store.rows import Symbol
from pvtrace.store.writer import TraceWriter
from rom.abi import CALLS
from tests.store.traces import KERNEL, META, SYMBOLS, USER, input_at

LABELS = tuple(Symbol(name, address, 0, "guest.elf") for name, address in (("inside", 0x100008), ("far", 0x3FFFF0)))
"""They name their own address and nothing behind it."""
BEHIND = 0x400040
"""The first address behind user_main."""

EXAMPLES = (
    (Kind.HYPERCALL, 0x100010, (3 << 8 | 30, 1, 2, 3, 0x5_00000004, 2**64 - 1)),
    (Kind.EXCEPTION, 0x400004, (14, 6, 0xBFFFF000, 0x3202, 0x100080, 0x9000)),
    (Kind.INTERRUPT, 0x100010, (0x20, 0, None, 0x202, 0x100090, 0x9000)),
    (Kind.SOFTWARE_INTERRUPT, 0x400004, (0x80, None, None, 0x202, 0x1000A0, 0x9000)),
    (Kind.SYSENTER, 0x400004, (None, 0x400006, 0x1B, 0x202, 0x1000B0, 0x9000)),
    (Kind.RETURN, 0x100020, (1, 0x400004, 0x1B, 0x202, 0x8000, 0x23)),
    (Kind.FLAG_TRANSITION, 0x100010, (9, 1, 0, 1, 1, 3 << 8 | 30)),
    (Kind.FLAG_TRANSITION, 0x100010, (12, 0, 3, 0, 0, How.POPF)),
    (Kind.FLAG_ATTEMPT, 0x40001F, (Attempt.POPF, 0x002, 0x202, 0x202, 0x202, Outcome.IGNORED)),
    (Kind.PORT_READ, 0x100020, (0x3FD, 1, 0x60)),
    (Kind.PORT_WRITE, 0x100020, (0x3F8, 1, 0x41)),
    (Kind.UNKNOWN_PORT, 0x100020, (0x1234, 4, 1)),
    (Kind.UNKNOWN_MEMORY, 0x100020, (0xE0000000, 4, 1)),
    (Kind.CONSOLE_OUT, 0x100020, (b"hello\n",)),
    (Kind.CONSOLE_IN, 0x100020, (b"typed",)),
    (Kind.KEYS_IN, 0x100020, (b"\x1e\x30",)),
    (Kind.EMULATED, 0x100020, ("MOV", "CR3", 0x1000)),
    (Kind.MODE, 0x100020, (0, 3)),
    (Kind.HALT, 0x100020, (2**64 - 1,)),
    (Kind.WAKE, 0x100020, (1234, 34)),
    (Kind.ALARM, 0x100020, (1, 1000, 1234)),
    (Kind.STOLEN, 0x100020, (1234, 34)),
    (Kind.NOTE, 0x100020, ("a note",)),
    (Kind.NOTE, 0x100008, ("at a label",)),
    (Kind.NOTE, BEHIND, ("nowhere",)),
    (Kind.STOP, 0x100020, ("shutdown", 0, "")),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("views") / "t.pvt"
    with TraceWriter(path, Contents(META, (), (*SYMBOLS, *LABELS))) as writer:
        for step, (kind, pc, args) in enumerate(EXAMPLES, 1):
            if item := input_at(step):
                writer.input(item)
            writer.event(Event(Step(step), kind, pc, USER if pc >= 0x400000 else KERNEL, args))
        writer.finish(Stop(Step(len(EXAMPLES)), Why.SHUTDOWN))
    return path


def rows(path: Path, sql: str) -> list[dict[str, Any]]:
    program = shutil.which("sqlite3")
    assert program, "the program sqlite3 is needed"
    done = subprocess.run([program, "-json", str(path), sql], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return list(json.loads(done.stdout or "[]"))


def test_every_kind_has_an_example() -> None:
    assert {kind for kind, _, _ in EXAMPLES} == set(Kind)


VIEWS = re.findall(r"CREATE VIEW (\w+)", script("views.sql"))


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_with_both_programs(path: Path, view: str) -> None:
    expected = rows(path, f"SELECT * FROM {view}")
    assert expected or view == "divergence"
    program = Path(sys.executable).with_name("sqlite-utils")
    done = subprocess.run([program, "rows", path, view], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)) == len(expected)


def test_timeline(path: Path) -> None:
    timeline = rows(path, "SELECT * FROM timeline")
    assert [row["name"] for row in timeline] == [KINDS[kind].name for kind, _, _ in EXAMPLES]
    assert timeline[0] == {
        "seq": 0, "step": 1, "cpl": 1, "if": 1, "iopl": 0, "pc": "00100010", "place": "kernel_main+0x10",
        "family": "call", "name": "hypercall", "cause": None,
        "args": "call=0x31e eax=0x1 edx=0x2 ecx=0x3 stack=0x500000004 result=0xffffffffffffffff",
    }  # fmt: skip
    arguments = {row["name"]: row["args"] for row in timeline}
    assert arguments["halt"] == "ticks=0xffffffffffffffff"
    assert arguments["console_out"] == "data=X'68656C6C6F0A'"


def test_a_place_is_inside_of_what_it_names(path: Path) -> None:
    places = {row["pc"]: row["place"] for row in rows(path, "SELECT pc, place FROM timeline")}
    assert places["00100008"] == "inside"
    assert places["00100010"] == "kernel_main+0x10"
    assert places["0040001f"] == "user_main+0x1f"
    assert places[f"{BEHIND:08x}"] == ""


def test_hypercall(path: Path) -> None:
    (call,) = rows(path, "SELECT * FROM hypercall")
    assert call["call"] == "DisableInterrupts"
    assert call["generation"] == 3
    assert (call["eax"], call["stack1"], call["stack2"]) == ("0x1", "0x4", "0x5")
    assert call["result"] == "0xffffffffffffffff"
    assert call["caller"] == "00100010"


def test_fault(path: Path) -> None:
    (fault,) = rows(path, "SELECT * FROM fault")
    assert (fault["name"], fault["error"], fault["cr2"], fault["cpl"]) == ("#PF", "0x6", "bffff000", 3)
    assert (fault["image"], fault["eflags"], fault["place"]) == ("0x3202", "0x202", "user_main+0x4")


def test_interrupts_and_returns(path: Path) -> None:
    entries = rows(path, "SELECT kind, vector, irq FROM interrupt")
    assert entries == [
        {"kind": "interrupt", "vector": 0x20, "irq": 0},
        {"kind": "software_interrupt", "vector": 0x80, "irq": None},
        {"kind": "sysenter", "vector": None, "irq": None},
    ]
    assert rows(path, 'SELECT "by", eip, cs FROM entry_return') == [{"by": "VMI_IRET", "eip": "00400004", "cs": "0x1b"}]


def test_flags(path: Path) -> None:
    how = rows(path, "SELECT flag, virtual_before, virtual_after, real_after, how FROM flag_transition")
    assert how == [
        {"flag": "IF", "virtual_before": 1, "virtual_after": 0, "real_after": 1, "how": "VMI DisableInterrupts"},
        {"flag": "IOPL", "virtual_before": 0, "virtual_after": 3, "real_after": 0, "how": "POPF"},
    ]
    (attempt,) = rows(path, "SELECT * FROM flag_attempt")
    assert attempt["instruction"] == "POPF"
    assert attempt["outcome"] == "silently ignored"
    assert (attempt["asked_if"], attempt["if_before"], attempt["if_after"]) == (0, 1, 1)
    assert attempt["place"] == "user_main+0x1f"


def test_ports_console_and_the_rest(path: Path) -> None:
    assert rows(path, "SELECT direction, port, value, unknown FROM port_io") == [
        {"direction": "in", "port": "0x3fd", "value": "0x60", "unknown": 0},
        {"direction": "out", "port": "0x3f8", "value": "0x41", "unknown": 0},
        {"direction": "out", "port": "0x1234", "value": None, "unknown": 1},
    ]
    assert rows(path, "SELECT direction, text FROM console") == [
        {"direction": "out", "text": "hello\n"},
        {"direction": "in", "text": "typed"},
    ]
    assert rows(path, 'SELECT "before", "after" FROM mode') == [{"before": "real", "after": "protected, paging"}]
    assert rows(path, "SELECT mnemonic, operand, value FROM emulated") == [
        {"mnemonic": "MOV", "operand": "CR3", "value": "0x1000"}
    ]
    assert rows(path, "SELECT kind, text FROM outside")[0] == {"kind": "console", "text": "key 3"}


def test_the_file_explains_itself(path: Path) -> None:
    assert [row["id"] for row in rows(path, "SELECT id FROM event_kind ORDER BY id")] == sorted(Kind)
    assert [row["id"] for row in rows(path, "SELECT id FROM input_kind ORDER BY id")] == sorted(InputKind)
    (count,) = rows(path, "SELECT count(*) AS n FROM vmi_call")
    assert count["n"] == sum((call.n13 is not None) + (call.n3 is not None) for call in CALLS)
    assert rows(path, "SELECT f FROM event_kind WHERE name = 'flag_attempt'") == [{"f": "outcome"}]
    assert rows(path, "SELECT word FROM word WHERE topic = 'outcome' AND value = 3") == [{"word": "silently ignored"}]
    (format_,) = rows(path, "PRAGMA application_id")
    assert format_["application_id"].to_bytes(4, "big") == b"PVTR"
