"""Whatever is wrong with a trace is one sentence, and what was altered is found."""

import contextlib
import random
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvtrace.model.errors import InputError, PvtraceError, TraceError, UsageError
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.store.contents import Contents
from pvtrace.store.listing import query, select
from pvtrace.store.pages import Blob, pack, unpack
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Symbol
from pvtrace.store.writer import TraceFull, TraceWriter
from tests.store.traces import META, SYMBOLS, events_at, fill, make, snapshot


def read_all(path: Path) -> None:
    with TraceReader(path) as trace:
        trace.verify()
        assert list(trace.events()) == [event for _, event in select(trace)]
        list(trace.inputs())
        trace.pages_at(trace.last())
        _ = trace.symbols


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_all(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(path) in sentence
    return sentence


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("whole") / "whole.pvt")


@pytest.fixture
def trace(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "t.pvt"))


def test_no_such_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.pvt").startswith("there is no file")


def test_a_folder(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["", "hello\n", "SQLite", "SQLite format 3\0", "SQLite format 3\0" + "x" * 5000])
def test_a_text_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.pvt"
    path.write_text(text)
    refusal(path)


def test_another_database(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE meta (key, value)")
    connection.close()
    assert "not a trace of pvtrace" in refusal(path)


def test_another_generation(trace: Path) -> None:
    altered(trace, "PRAGMA user_version = 2")
    assert "generation 2" in refusal(trace)


@pytest.mark.parametrize(
    "table", ["meta", "event", "input", "progress", "checkpoint", "checkpoint_page", "blob", "ending"]
)
def test_a_missing_table(trace: Path, table: str) -> None:
    altered(trace, f"DROP TABLE {table}")
    assert "no such table" in refusal(trace)


def test_truncated_at_any_length(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    chosen = random.Random(1)
    lengths = {0, 1, 15, 16, 100, 4095, 4096, 4097, len(data) - 4096, len(data) - 1}
    lengths |= {chosen.randrange(len(data)) for _ in range(60)}
    for length in sorted(lengths):
        path = tmp_path / f"{length}.pvt"
        path.write_bytes(data[:length])
        refusal(path)


def test_flipped_bytes_never_crash(whole: Path, tmp_path: Path) -> None:
    """Not every byte of a SQLite file matters, but none may cause anything but a sentence."""
    data = whole.read_bytes()
    chosen = random.Random(2)
    refused = 0
    for number in range(150):
        broken = bytearray(data)
        for _ in range(chosen.choice((1, 20))):
            broken[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        path = tmp_path / f"{number}.pvt"
        path.write_bytes(broken)
        with contextlib.suppress(TraceError):
            read_all(path)
            continue
        refused += 1
        refusal(path)
    assert refused > 75


def altered(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE event SET b = b + 1 WHERE seq = 77", "an event between steps 0 and 50"),
        ("UPDATE event SET flags = flags | 1 WHERE seq = 350", "an event between steps 150 and 200"),
        ("UPDATE event SET a = x'00' WHERE kind = 40 AND step = 53", "an event between steps 50 and 100"),
        ("UPDATE event SET cause = 1 WHERE seq = (SELECT max(seq) FROM event)", "an event between steps 150 and 200"),
        ("DELETE FROM event WHERE seq = 100", "missing"),
        ("UPDATE input SET bytes = x'41' WHERE seq = 4", "an input between steps 0 and 50"),
        ("UPDATE input SET step = step + 1 WHERE seq = 50", "an input between steps 150 and 200"),
        ("UPDATE input SET value = value + 1 WHERE seq = 1", "an input between steps 0 and 50"),
        ("UPDATE checkpoint SET ram_digest = zeroblob(16) WHERE step = 100", "checkpoint at step 100"),
        ("UPDATE checkpoint SET event_digest = zeroblob(16) WHERE step = 100", "between steps 50 and 100"),
        ("UPDATE ending SET digest = zeroblob(16)", "its end"),
        ("UPDATE blob SET bytes = zeroblob(4096), codec = 0 WHERE size = 4096 AND id > 5", "do not match their hash"),
        ("UPDATE blob SET bytes = substr(bytes, 2) WHERE id = 3", "do not match their hash"),
        ("UPDATE blob SET codec = 9 WHERE id = 3", "unknown way"),
        ("DELETE FROM blob WHERE id = 1", "missing"),
        ("DELETE FROM progress", "how far"),
    ],
)
def test_one_thing_altered(trace: Path, statement: str, found: str) -> None:
    altered(trace, statement)
    assert re.search(found, refusal(trace))


def test_what_was_not_altered_is_not_refused(trace: Path) -> None:
    altered(trace, "INSERT INTO bookmark(name, step) VALUES ('here', 5)")
    read_all(trace)


@pytest.mark.parametrize("plain", [b"", b"x", bytes(4096), random.Random(3).randbytes(4096)])
def test_packing(plain: bytes) -> None:
    blob = pack(plain)
    assert unpack(blob, "t") == plain
    assert len(blob.data) <= len(plain)
    with pytest.raises(TraceError):
        unpack(Blob(blob.hash, blob.size + 1, blob.codec, blob.data), "t")


def test_a_size_that_is_a_lie_needs_no_memory() -> None:
    bomb = pack(bytes(1 << 24))
    with pytest.raises(TraceError):
        unpack(bomb._replace(size=4096), "t")


# --------------------------------------------------------------------------------------------- while it is written


@pytest.mark.parametrize("where", ["missing/t.pvt", "."])
def test_a_place_that_cannot_be_written(tmp_path: Path, where: str) -> None:
    with pytest.raises(InputError, match=r"^cannot write|exists already$"):
        TraceWriter(tmp_path / where, Contents(META))


def test_a_name_that_is_taken_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"

    def taken() -> Iterator[Symbol]:
        path.write_text("precious")
        yield from SYMBOLS

    with pytest.raises(InputError, match="exists already"), TraceWriter(path, Contents(META, (), taken())):
        pass
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("t.pvt", "precious")]


def test_what_happens_while_it_is_created_is_kept(tmp_path: Path) -> None:
    path, go = tmp_path / "t.pvt", threading.Event()

    def late() -> Iterator[Symbol]:
        go.wait(10)
        yield from SYMBOLS

    with TraceWriter(path, Contents(META, (), late())) as writer:
        writer.checkpoint_soon(snapshot(0))
        list(fill(writer, 30))
        assert not path.exists()
        go.set()
        writer.finish(Stop(Step(30), Why.IDLE))
    with TraceReader(path) as trace:
        assert trace.symbols == SYMBOLS
        assert list(trace.events()) == [event for step in range(1, 31) for event in events_at(step)]
        trace.verify()


def test_a_largest_size(tmp_path: Path) -> None:
    path, largest = tmp_path / "t.pvt", 600_000
    with TraceWriter(path, Contents(META), max_size=largest, batch=100) as writer:
        with pytest.raises(TraceFull, match="largest size of 600,000 bytes"):
            list(fill(writer, 1_000_000))
        last = writer.finish(Stop(writer.reached, Why.ARRIVED, detail="--max-size"))
    assert last is None
    assert largest * 0.8 < path.stat().st_size < largest * 1.2
    with TraceReader(path) as trace:
        assert trace.finished
        trace.verify()


def limit_pages(writer: TraceWriter, pages: int) -> None:
    """SQLite then answers as it does on a full disk."""
    writer._file.result()._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META), batch=50) as writer:
        limit_pages(writer, 150)
        with pytest.raises(PvtraceError, match=r"^cannot write .*t\.pvt: the disk is full$"):
            list(fill(writer, 1_000_000))
    with TraceReader(path) as trace:
        assert not trace.finished
        assert trace.last() > 0
        assert [event.step for event in trace.events()][-1] <= trace.last()
        trace.verify()


def test_a_full_disk_at_the_end(tmp_path: Path) -> None:
    """The events are in, the indexes do not fit any more."""
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer:
        list(fill(writer, 5000, checkpoint_every=10_000))
        writer.progress(Step(5000))
        limit_pages(writer, writer.size // 4096 + 2)
        with pytest.raises(PvtraceError, match="the disk is full"):
            writer.finish(Stop(Step(5000), Why.IDLE))
    with TraceReader(path) as trace:
        assert not trace.finished
        ending = trace.ending()
        assert ending is not None
        assert ending.why is Why.IDLE
        trace.verify()


def test_a_closed_writer(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t.pvt", Contents(META))
    writer.close()
    writer.close()
    writer.event(events_at(1)[0])
    with pytest.raises(PvtraceError, match="it is closed"):
        writer.progress(Step(1))
    with pytest.raises(PvtraceError, match="it is closed"):
        writer.checkpoint(snapshot(2))


def test_sql_that_cannot_be_run(trace: Path) -> None:
    with pytest.raises(UsageError, match="no such column: weight"):
        list(query(trace, "SELECT weight FROM event"))


def test_an_interrupt_at_any_moment_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come when rows are handed over but the writer has not noted it yet; it then hands them over again."""
    path = tmp_path / "t.pvt"
    with TraceWriter(path, Contents(META)) as writer:
        list(fill(writer, 20, checkpoint_every=100))
        submit = writer._thread.submit

        def interrupted(*args: Any) -> None:
            submit(*args)
            raise KeyboardInterrupt

        monkeypatch.setattr(writer._thread, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.progress(Step(20))
        monkeypatch.setattr(writer._thread, "submit", submit)
        writer.finish(Stop(Step(20), Why.ARRIVED), snapshot(20))
    with TraceReader(path) as trace:
        assert list(trace.events()) == [event for step in range(1, 21) for event in events_at(step)]
        trace.verify()
