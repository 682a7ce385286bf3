"""What cannot be used is refused in one clear sentence; a guest that fails is recorded up to there.

There are many of these, so the command runs inside this process: an exception that gets out of it fails the test.
"""

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pvtrace.cli.main import main
from pvtrace.model.stops import Why
from pvtrace.store.reader import TraceReader
from tests.acceptance.conftest import Run, demo, identical, one_sentence, run
from tests.machine.small import ENTRY, assemble, elf

Pvtrace = Callable[..., Run]


@pytest.fixture
def pvtrace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Pvtrace:
    """Runs pvtrace in the test's own folder."""

    def here(*arguments: str | Path) -> Run:
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return Run(arguments, code, said.out, said.err)

    return here


FAILED, USAGE, BAD_INPUT = 1, 2, 3
GOOD = elf(b"\x30\xc0\xe6\xf4")  # xor al, al; out F4h, al


def with_bytes(offset: int, data: bytes, image: bytes = GOOD) -> bytes:
    return image[:offset] + data + image[offset + len(data) :]


def segment(physical: int, memory: int = 0x1000) -> bytes:
    """The good guest, loaded elsewhere."""
    moved = with_bytes(52 + 8, struct.pack("<IIII", physical, physical, len(GOOD), memory))
    return with_bytes(24, struct.pack("<I", (physical + 84) & 0xFFFFFFFF), moved)


GUESTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is"),
    "text": (b"#!/bin/sh\necho I am no guest\n", "ELF"),
    "zeros": (bytes(1000), "ELF"),
    "64-bit": (with_bytes(4, b"\x02"), "64"),
    "64-bit in full": (Path("/proc/self/exe").read_bytes()[:4096], "64"),
    "big-endian": (with_bytes(5, b"\x02"), ""),
    "for another machine": (with_bytes(18, b"\x28\x00"), ""),
    "relocatable": (with_bytes(16, b"\x01\x00"), ""),
    "cut in its header": (GOOD[:40], ""),
    "cut in its program header": (GOOD[:70], ""),
    "cut in its segment": (with_bytes(52 + 16, struct.pack("<I", 0x5000)), ""),
    "no segment": (with_bytes(44, b"\x00\x00"), ""),
    "beyond memory": (segment(0x8000000), "outside"),
    "ends beyond memory": (segment(0x3FFF000, 0x2000), "outside"),
    "wraps around": (segment(0xFFFFF000, 0x2000), ""),
    "over the ROM": (segment(0xC8000), "ROM"),
    "over the BIOS data": (segment(0), ""),
    "too many headers": (with_bytes(44, b"\xff\xff"), ""),
}


@pytest.mark.parametrize("what", GUESTS)
def test_a_guest_that_cannot_be_loaded(what: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    image, word = GUESTS[what]
    (tmp_path / "guest.elf").write_bytes(image)
    done = pvtrace("record", "guest.elf")
    assert done.returncode == BAD_INPUT, done.stderr
    assert "guest.elf" in one_sentence(done)
    assert word in done.stderr
    assert not (tmp_path / "guest.pvt").exists()


@pytest.mark.parametrize("command", ["record", "replay", "info", "events"])
def test_a_file_that_is_not_there(command: str, pvtrace: Pvtrace) -> None:
    done = pvtrace(command, "nowhere.x")
    assert done.returncode == BAD_INPUT
    assert "nowhere.x" in one_sentence(done)


@pytest.mark.parametrize("command", ["record", "replay", "info", "events"])
def test_a_folder_for_a_file(command: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace(command, tmp_path)
    assert done.returncode == BAD_INPUT
    assert str(tmp_path) in one_sentence(done)


@pytest.mark.parametrize("output", ["no/such/folder/x.pvt", "/proc/x.pvt", "/dev/full/x.pvt", "."])
def test_an_output_that_cannot_be_written(output: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", demo("hello"), "-o", output, "--force")
    assert done.returncode == BAD_INPUT, done.stderr
    assert output in one_sentence(done) or str(tmp_path) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_is_not_there(pvtrace: Pvtrace) -> None:
    done = pvtrace("record", demo("hello"), "--module", "nowhere.x")
    assert done.returncode == BAD_INPUT
    assert "nowhere.x" in one_sentence(done)


def test_a_console_that_cannot_be_written(pvtrace: Pvtrace) -> None:
    done = pvtrace("record", demo("hello"), "--console", "no/such/console")
    assert done.returncode == BAD_INPUT
    assert "no/such/console" in one_sentence(done)


@pytest.mark.parametrize("ram", ["1", "1M", "5000", "4G", "100G"])
def test_memory_that_no_machine_has(ram: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", demo("hello"), "--ram", ram)
    assert done.returncode == USAGE
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.pvt"))


# -------------------------------------------------------------------------------------------------------------- traces


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hello")
    assert run(folder, "record", demo("hello")).returncode == 0
    return folder / "hello.pvt"


def cut(size: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * size))

    return change


def text(path: Path) -> None:
    path.write_text("this is no trace\n" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(statement)

    return change


def garbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 100] = bytes(reversed(data[4096 : len(data) - 100]))
    path.write_bytes(data)


def other_database(path: Path) -> None:
    path.unlink()
    sql("CREATE TABLE t(x)")(path)


TRACES: dict[str, tuple[Callable[[Path], None], str]] = {
    "of a later generation": (sql("PRAGMA user_version = 99"), "generation 99"),
    "of an earlier generation": (sql("PRAGMA user_version = 0"), "generation 0"),
    "cut in half": (cut(0.5), "bad.pvt"),
    "cut to one byte": (cut(0.0001), "trace"),
    "cut at the end": (cut(0.99), "truncated"),
    "text": (text, "not a trace"),
    "empty": (empty, "empty"),
    "another database": (other_database, "not a trace"),
    "garbled": (garbled, "damaged"),
    "no meta": (sql("DELETE FROM meta"), "damaged"),
    "no events": (sql("DROP TABLE event"), "event"),
    "no guest": (sql("DELETE FROM file WHERE role = 'guest'"), ""),
    "no progress": (sql("DELETE FROM progress"), ""),
    "another engine": (sql("UPDATE meta SET value = '2.9.9' WHERE key = 'engine.version'"), "2.9.9"),
    "no settings": (sql("UPDATE meta SET value = '{}' WHERE key = 'settings'"), ""),
    "settings that are none": (sql("UPDATE meta SET value = '[' WHERE key = 'settings'"), ""),
    "no memory": (sql("UPDATE meta SET value = 1234 WHERE key = 'ram.bytes'"), ""),
    "time that stands": (sql("UPDATE meta SET value = 0 WHERE key = 'hz'"), ""),
    "much memory": (sql("UPDATE meta SET value = 1 << 40 WHERE key = 'ram.bytes'"), ""),
}


@pytest.mark.parametrize("what", TRACES)
def test_a_trace_that_cannot_be_replayed(what: str, recorded: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    change, word = TRACES[what]
    path = tmp_path / "bad.pvt"
    shutil.copy(recorded, path)
    change(path)
    done = pvtrace("replay")
    assert done.returncode == BAD_INPUT, done.stdout + done.stderr
    assert "bad.pvt" in one_sentence(done)
    assert word in done.stderr


def test_a_folder_without_traces(pvtrace: Pvtrace) -> None:
    done = pvtrace("replay")
    assert done.returncode == BAD_INPUT
    assert "no recording" in one_sentence(done)


# ----------------------------------------------------------------------------------------------------- guests that fail

TRIPLE = "start:\n INIT\n lidt [nothing]\n ud2\nnothing: dw 0\n dd 0"

FAILING: dict[str, tuple[bytes, Why]] = {
    "jumps to nowhere": (assemble("start:\n INIT\n mov eax, 0x3000000\n jmp eax"), Why.TRIPLE_FAULT),
    "jumps into empty memory": (assemble("start:\n INIT\n mov eax, 0x1F0000\n jmp eax"), Why.TRIPLE_FAULT),
    "jumps beyond memory": (assemble("start:\n INIT\n mov eax, 0x60000000\n jmp eax"), Why.TRIPLE_FAULT),
    "jumps to nowhere natively": (elf(b"\xb8\x00\x00\x00\x60\xff\xe0"), Why.TRIPLE_FAULT),
    "jumps into the hypervisor": (assemble("start:\n INIT\n mov eax, 0xFC001000\n jmp eax"), Why.TRIPLE_FAULT),
    "triple fault": (assemble(TRIPLE), Why.TRIPLE_FAULT),
    "triple fault natively": (assemble(TRIPLE, False), Why.TRIPLE_FAULT),
    "exit code": (elf(b"\xb0\x07\xe6\xf4"), Why.EXIT),
    "reboot": (assemble("start:\n INIT\n call V_REBOOT"), Why.REBOOT),
    "no instruction at all": (elf(b""), Why.TRIPLE_FAULT),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_guest_that_fails(what: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    image, why = FAILING[what]
    path = tmp_path / "guest.elf"
    path.write_bytes(image)
    done = pvtrace("-q", "record", path, "--vmi", "13.3", "--ram", "2M")
    assert done.returncode == FAILED, done.stderr
    assert "the guest failed at step" in one_sentence(done)
    result = identical(tmp_path / "guest.pvt")
    assert result.stop is not None
    assert result.stop.why is why
    with TraceReader(tmp_path / "guest.pvt") as trace:
        assert list(trace.events())[-1].args[0] == why.value


def test_the_entry_is_where_the_headers_say(pvtrace: Pvtrace, tmp_path: Path) -> None:
    path = tmp_path / "guest.elf"
    path.write_bytes(with_bytes(24, struct.pack("<I", ENTRY + 2)))  # behind the XOR: AL is 0 at the start
    assert pvtrace("-q", "record", path).returncode == 0
