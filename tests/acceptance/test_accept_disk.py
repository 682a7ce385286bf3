"""A disk, a module or an initrd that a user gives: stored in the recording, never changed, refused if it cannot be."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pvtrace.machine.devices.disk_image import SECTOR
from pvtrace.machine.machine import Machine
from pvtrace.model.step import Step
from pvtrace.session.explore import exploring
from pvtrace.session.visit import machine_at
from pvtrace.store.reader import TraceReader
from tests.acceptance.conftest import Run, digest_of, identical, one_sentence
from tests.acceptance.initramfs import archive
from tests.machine.disk_guests import COPIES
from tests.machine.kernels import bzimage
from tests.machine.small import assemble

Pvtrace = Callable[..., Run]
BAD_INPUT = 3
MIB = 1 << 20


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    path = tmp_path / "bzImage"
    path.write_bytes(bzimage(b"\xf4" * 512))
    return path


ARCHIVE = archive(b"a program" * 100)
INITRDS = {
    "empty": (b"", "initrd i is empty"),
    "missing": (None, "cannot read i: No such file or directory"),
    "an archive cut off": (ARCHIVE[:700], "initrd i is truncated: it ends in the middle of an archive"),
    "a compressed one cut off": (
        gzip.compress(ARCHIVE)[:-20],
        "initrd i is truncated: it ends in the middle of an archive",
    ),
    "larger than memory": (
        bytes(65 * MIB),
        "initrd i of 68,157,440 bytes does not fit beside the kernel into 64 MiB of RAM",
    ),
}


@pytest.mark.parametrize("what", INITRDS)
def test_what_is_no_initrd(what: str, linux: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    content, sentence = INITRDS[what]
    if content is not None:
        (tmp_path / "i").write_bytes(content)
    done = pvtrace("record", linux, "--initrd", "i")
    assert (done.returncode, one_sentence(done)) == (BAD_INPUT, sentence)
    assert not (tmp_path / "bzImage.pvt").exists()


def multiboot() -> bytes:
    """A kernel that can be given modules."""
    return assemble("align 4\ndd 0x1BADB002, 0, -0x1BADB002\nstart: EXIT 0\n", paravirtual=False)


MODULES = {
    "missing": (None, "cannot read m: No such file or directory"),
    "larger than memory": (bytes(65 * MIB), "module m ends at 0x4211000, outside 64 MiB of RAM"),
}


@pytest.mark.parametrize("what", MODULES)
def test_what_is_no_module(what: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    content, sentence = MODULES[what]
    (tmp_path / "kernel").write_bytes(multiboot())
    if content is not None:
        (tmp_path / "m").write_bytes(content)
    done = pvtrace("record", "kernel", "--module", "m")
    assert (done.returncode, one_sentence(done)) == (BAD_INPUT, sentence)


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    path = tmp_path / "guest.elf"
    path.write_bytes(assemble(COPIES))
    return path


def test_the_disk_is_in_the_recording_and_its_file_stays_as_it_is(
    guest: Path, pvtrace: Pvtrace, tmp_path: Path
) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(hashlib.shake_128(b"a disk").digest(MIB))
    image.chmod(0o444)
    before = (image.read_bytes(), image.stat().st_mtime_ns)
    done = pvtrace("record", guest, "--vmi", "13.3", "--disk", "disk.img", "--checkpoint-every", "100")
    assert done.returncode == 0, done.stderr
    assert (image.read_bytes(), image.stat().st_mtime_ns) == before
    image.unlink()
    replayed = pvtrace("replay", "guest.pvt")
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.startswith("identical: ")
    identical(tmp_path / "guest.pvt")
    with TraceReader(tmp_path / "guest.pvt") as trace:
        assert [(file.role, file.name, file.data) for file in trace.files if file.role == "disk"] == [
            ("disk", "disk.img", before[0])
        ]


def disk_of(machine: Machine) -> bytes:
    disk = machine.platform.disk
    assert disk is not None
    return b"".join(disk.read(sector) for sector in range(disk.sectors))


def test_the_disk_at_any_step(guest: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    """From a checkpoint or by walking, forwards and backwards: what had been written until then."""
    before = hashlib.shake_128(b"a disk").digest(16 * SECTOR)
    after = before[: 9 * SECTOR] + before[SECTOR : 2 * SECTOR] + before[10 * SECTOR :]
    (tmp_path / "disk.img").write_bytes(before)
    done = pvtrace("record", guest, "--vmi", "13.3", "--disk", "disk.img", "--checkpoint-every", "100")
    assert done.returncode == 0, done.stderr
    with exploring(tmp_path / "guest.pvt") as walk:
        last = walk.trace.last()
        steps = [*range(0, last, 37), last]
        there = {step: disk_of(machine_at(walk.trace, Step(step))) for step in steps}
        contents = list(there.values())
        assert contents == sorted(contents, key=[before, after].index)
        assert set(contents) == {before, after}
        for step in [*reversed(steps), *steps]:
            walk.timeline.seek(Step(step))
            assert disk_of(walk.timeline.machine) == there[step]


def test_what_is_on_the_disk_tells_recordings_apart(guest: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    for name, content in (("one", b"1"), ("two", b"2")):
        (tmp_path / name).write_bytes(content * 8192)
        done = pvtrace("record", guest, "--vmi", "13.3", "--disk", name, "-o", f"{name}.pvt")
        assert done.returncode == 0, done.stderr
    assert digest_of(tmp_path / "one.pvt") != digest_of(tmp_path / "two.pvt")


def test_zeros_cost_nothing(guest: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(64 * MIB))
    done = pvtrace("record", guest, "--vmi", "13.3", "--disk", "disk.img")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "guest.pvt").stat().st_size < MIB


DISKS = {
    "empty": (b"", "disk disk.img is empty"),
    "truncated": (bytes(1000), "disk disk.img has 1,000 bytes, which are no whole sectors of 512: is it truncated?"),
    "missing": (None, "cannot read disk.img: No such file or directory"),
}


@pytest.mark.parametrize("what", DISKS)
def test_what_is_no_disk(what: str, guest: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    content, sentence = DISKS[what]
    if content is not None:
        (tmp_path / "disk.img").write_bytes(content)
    done = pvtrace("record", guest, "--disk", "disk.img")
    assert (done.returncode, one_sentence(done)) == (BAD_INPUT, sentence)
    assert not (tmp_path / "guest.pvt").exists()


def test_a_disk_too_large_for_a_recording_is_not_even_read(guest: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    with (tmp_path / "disk.img").open("wb") as file:
        file.truncate(1 << 40)
    done = pvtrace("record", guest, "--disk", "disk.img")
    assert done.returncode == BAD_INPUT
    assert "a recording holds the whole disk" in one_sentence(done)


def test_a_folder_is_no_disk(guest: Path, pvtrace: Pvtrace, tmp_path: Path) -> None:
    (tmp_path / "disk.img").mkdir()
    done = pvtrace("record", guest, "--disk", "disk.img")
    assert (done.returncode, one_sentence(done)) == (BAD_INPUT, "cannot read disk.img: Is a directory")
