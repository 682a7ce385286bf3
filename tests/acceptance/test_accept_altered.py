"""A recording that somebody changed with plain sqlite3 is found out: the row, or the first thing that comes of it."""

import hashlib
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from pvtrace.model.digest import digest
from pvtrace.report.describe import describe
from pvtrace.store.reader import TraceReader
from pvtrace.x86.elf import symbols_of
from tests.acceptance.conftest import Run, demo, one_sentence, run

BAD_INPUT, DIVERGED = 3, 4


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """echo, with something typed."""
    folder = tmp_path_factory.mktemp("echo")
    done = run(
        folder, "record", demo("echo"), "--clock", "host", "--checkpoint-every", "10000", stdin=b"one\ntwo\nquit\n"
    )
    assert done.returncode == 0, done.stderr
    return folder / "echo.pvt"


def altered(recorded: Path, folder: Path, *statements: str) -> Run:
    """Replays a copy of the recording on which these statements were run; each changes something."""
    path = folder / "altered.pvt"
    shutil.copy(recorded, path)
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0, statement
    return run(folder, "replay", path)


A_CHECKPOINT = "WHERE step = (SELECT max(step) FROM checkpoint WHERE step < 20000)"

ONE_ROW = {
    "input bytes": "UPDATE input SET bytes = x'78' WHERE seq = (SELECT max(seq) FROM input WHERE kind = 1)",
    "input step": "UPDATE input SET step = step + 1 WHERE seq = (SELECT max(seq) FROM input)",
    "input kind": "UPDATE input SET kind = 3 WHERE seq = (SELECT min(seq) FROM input WHERE kind = 1)",
    "input value": "UPDATE input SET value = value + 1000000 WHERE seq = (SELECT min(seq) FROM input WHERE kind = 2)",
    "input gone": "DELETE FROM input WHERE seq = 0",
    "last input gone": "DELETE FROM input WHERE seq = (SELECT max(seq) FROM input)",
    "event argument": "UPDATE event SET c = c + 1 WHERE seq = (SELECT max(seq) FROM event WHERE kind = 31)",
    "event flags": "UPDATE event SET flags = flags + 1 WHERE seq = 100",
    "event place": "UPDATE event SET pc = pc + 1 WHERE seq = 0",
    "event step": "UPDATE event SET step = step - 1 WHERE seq = 100",
    "event cause": "UPDATE event SET cause = 3 WHERE seq = 100",
    "event kind": "UPDATE event SET kind = 31 WHERE seq = (SELECT min(seq) FROM event WHERE kind = 30)",
    "event gone": "DELETE FROM event WHERE seq = 50",
    "last event gone": "DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)",
    "event more": "INSERT INTO event(step, kind, pc, flags) "
    "SELECT step, 70, pc, flags FROM event ORDER BY seq DESC LIMIT 1",
    "page": "UPDATE blob SET bytes = CAST(substr(bytes, 1, 40) || x'00' || substr(bytes, 42) AS BLOB) "
    "WHERE id = (SELECT max(blob) FROM checkpoint_page)",
    "page exchanged": "UPDATE checkpoint_page SET blob = (SELECT min(blob) FROM checkpoint_page) "
    "WHERE blob = (SELECT max(blob) FROM checkpoint_page)",
    "page gone": "DELETE FROM checkpoint_page WHERE step = (SELECT max(step) FROM checkpoint_page)",
    "state": f"UPDATE checkpoint SET state = (SELECT hash FROM blob ORDER BY id LIMIT 1) {A_CHECKPOINT}",
    "RAM digest": f"UPDATE checkpoint SET ram_digest = zeroblob(16) {A_CHECKPOINT}",
    "checkpoint gone": f"DELETE FROM checkpoint {A_CHECKPOINT}",
    "end": "UPDATE ending SET step = step - 1",
    "reason": "UPDATE ending SET why = 'triple fault'",
    "progress": "UPDATE progress SET step = step - 100",
    "events counted": "UPDATE progress SET events = events - 1",
    "settings": "UPDATE meta SET value = replace(value, '819200', '821248') WHERE key = 'settings'",
    "speed": "UPDATE meta SET value = value * 2 WHERE key = 'hz'",
    "memory": "UPDATE meta SET value = value * 2 WHERE key = 'ram.bytes'",
    "engine": "UPDATE meta SET value = '2.0.0' WHERE key = 'engine.version'",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", ONE_ROW)
def test_one_row(what: str, recorded: Path, tmp_path: Path) -> None:
    done = altered(recorded, tmp_path, ONE_ROW[what])
    assert done.returncode in (BAD_INPUT, DIVERGED), done.stdout
    assert one_sentence(done).count("altered.pvt") == (done.returncode == BAD_INPUT)
    assert done.stdout == ""


def test_it_was_identical_before(recorded: Path) -> None:
    assert run(recorded.parent, "replay", recorded).returncode == 0


def stored_guest(database: sqlite3.Connection) -> bytes:
    codec, data = database.execute(
        "SELECT codec, bytes FROM blob JOIN file ON file.hash = blob.hash WHERE role = 'guest'"
    ).fetchone()
    return zlib.decompress(data) if codec else bytes(data)


def forge(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Puts another guest into a recording and makes all hashes of it right again."""
    with closing(sqlite3.connect(path)) as database, database:
        old = stored_guest(database)
        new = change(old)
        assert new != old
        name, sha256 = digest(new), hashlib.sha256(new).hexdigest()
        database.execute(
            "UPDATE blob SET hash = ?, size = ?, codec = 0, bytes = ? WHERE hash = ?",
            (name, len(new), new, digest(old)),
        )
        database.execute("UPDATE file SET hash = ?, sha256 = ? WHERE role = 'guest'", (name, sha256))
        database.execute("UPDATE meta SET value = ? WHERE key = 'guest.sha256'", (sha256,))


def at_symbol(guest: bytes, name: str) -> int:
    """Where in the file a function begins: it is loaded whole, with its segments' offsets."""
    address = symbols_of(guest).address_of(name)
    assert address is not None
    for offset, vaddr, size in loaded(guest):
        if vaddr <= address < vaddr + size:
            return offset + address - vaddr
    raise AssertionError(f"{name} is in no segment")


def loaded(guest: bytes) -> Iterable[tuple[int, int, int]]:
    start, count = int.from_bytes(guest[28:32], "little"), int.from_bytes(guest[44:46], "little")
    for header in range(start, start + 32 * count, 32):
        fields = [int.from_bytes(guest[header + 4 * n : header + 4 * n + 4], "little") for n in range(5)]
        yield fields[1], fields[2], fields[4]


FORGED = {
    "POPF becomes a NOP": ("try_popf", b"\x9d", b"\x90", "POPF asked IF=0 IOPL=0: silently ignored"),
    "CLI becomes STI": ("try_cli", b"\xfa", b"\xfb", "CLI asked IF=0"),
    "CLI becomes HLT": ("try_cli", b"\xfa", b"\xf4", "CLI asked IF=0"),
}


@pytest.mark.parametrize("what", FORGED)
def test_one_instruction_of_the_guest(what: str, tmp_path: Path) -> None:
    """With all hashes right, the first event that is another one is named: step, function, instruction."""
    symbol, old, new, words = FORGED[what]
    assert run(tmp_path, "record", demo("userland")).returncode == 0
    path = tmp_path / "userland.pvt"
    with TraceReader(path) as trace:
        names = symbols_of(trace.files[0].data)
        wanted = next(
            event
            for event in trace.events()
            if (names.at(event.pc) or "").split("+")[0] == symbol and words in describe(event)
        )

    def change(guest: bytes) -> bytes:
        start = at_symbol(guest, symbol)
        at = guest.index(old, start)
        assert at < start + 16
        return guest[:at] + new + guest[at + 1 :]

    forge(path, change)
    done = run(tmp_path, "replay")
    assert done.returncode == DIVERGED, done.stderr
    sentence = one_sentence(done)
    assert f"in {symbol}" in sentence or f"at {symbol}" in sentence, sentence
    assert words in sentence
    assert f"step {wanted.step}" in sentence


def test_what_the_guest_never_uses_is_found_in_memory(tmp_path: Path) -> None:
    """No event differs, but the digest of RAM does."""
    assert run(tmp_path, "record", demo("hello")).returncode == 0
    path = tmp_path / "hello.pvt"

    def change(guest: bytes) -> bytes:
        at = guest.index(b"there is none")  # it says so natively alone
        return guest[:at] + b"There" + guest[at + 5 :]

    forge(path, change)
    done = run(tmp_path, "replay")
    assert done.returncode == DIVERGED
    assert "memory" in one_sentence(done)
