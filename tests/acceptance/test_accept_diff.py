"""`pvtrace diff` and `pvtrace record --twin`, as their users run them."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.conftest import Run, Start, demo, end_of, identical, one_sentence, until
from tests.machine.small import assemble

Pvtrace = Callable[..., Run]

SAME, DIFFERENT, USAGE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 3, 130

LOOP: Final = "start:\n mov ecx, 100\nl: mov al, cl\n out 0x92, al\n cmp cl, 40\n jne n\n {} \nn: loop l\n EXIT 0"


@pytest.fixture
def kernels(tmp_path: Path) -> tuple[str, str]:
    """Two kernels, of which one does something more, once."""
    for name, changed in (("before", "nop"), ("after", "out 0x93, al")):
        (tmp_path / f"{name}.elf").write_bytes(assemble(LOOP.format(changed), False))
    return "before.elf", "after.elf"


def test_twins(pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", demo("userland"), "--twin")
    assert done.returncode == SAME, done.stderr
    assert "recorded userland.pvt" in done.stderr
    assert "recorded userland.native.pvt" in done.stderr
    assert "user-iopl" in done.stderr
    assert "unexplained" not in done.stderr
    assert "pvtrace diff userland.pvt userland.native.pvt" in done.stderr
    assert done.stdout.startswith("userland: paravirtual")
    assert "userland: native" not in done.stdout
    for name in ("userland.pvt", "userland.native.pvt"):
        identical(tmp_path / name)

    found = pvtrace("diff", "userland.pvt", "userland.native.pvt")
    assert found.returncode == SAME, found.stderr
    assert "unexplained" not in found.stdout
    first = found.stdout.index("the first difference of the machine: pushf")
    lines = found.stdout[first:].splitlines()
    assert [line.split()[0] for line in lines[1:6]] == ["=", "=", "=", "A", "B"]
    assert "PUSHF shows IF=1 IOPL=0" in lines[4]
    assert "PUSHF shows IF=1 IOPL=3" in lines[5]
    assert "POPF asked IF=0 IOPL=0: silently ignored" in found.stdout


def test_twins_never_overwrite_what_nobody_named(pvtrace: Pvtrace, tmp_path: Path) -> None:
    (tmp_path / "hello.native.pvt").write_bytes(b"precious")
    done = pvtrace("record", demo("hello"), "--twin")
    assert done.returncode == USAGE
    assert "hello.native.pvt exists; --force overwrites it" in one_sentence(done)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hello.native.pvt"]
    assert pvtrace("record", demo("hello"), "--twin", "--force").returncode == SAME
    identical(tmp_path / "hello.native.pvt")


def test_a_second_pair_has_names_of_its_own(pvtrace: Pvtrace, tmp_path: Path) -> None:
    for _ in range(2):
        assert pvtrace("-q", "record", demo("hello"), "--twin").returncode == SAME
    names = {path.name for path in tmp_path.glob("*.pvt")}
    assert names == {"hello.pvt", "hello.native.pvt", "hello-2.pvt", "hello-2.native.pvt"}


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--vmi", "none"), "--vmi none"), (("--typing", "keyboard"), "--typing keyboard"), (("--gdb",), "--gdb")],
)
def test_twins_that_cannot_be(options: tuple[str, ...], words: str, pvtrace: Pvtrace, tmp_path: Path) -> None:
    done = pvtrace("record", demo("hello"), "--twin", *options)
    assert done.returncode == USAGE
    assert words in one_sentence(done)
    assert not list(tmp_path.glob("*.pvt"))


def test_what_is_typed_reaches_both(pvtrace: Pvtrace) -> None:
    done = pvtrace("record", demo("echo"), "--twin", stdin=b"both of you\nquit\n")
    assert done.returncode == SAME, done.stderr
    for name in ("echo.pvt", "echo.native.pvt"):
        assert "BOTH OF YOU" in pvtrace("console", name).stdout


def test_ctrl_c_ends_twins(tmp_path: Path, start: Start) -> None:
    """The first is kept, and there is no second."""
    process = start("record", demo("echo"), "--twin")
    until((tmp_path / "echo.pvt").exists)
    process.send_signal(signal.SIGINT)
    code, _ = end_of(process)
    assert code == INTERRUPTED
    assert not (tmp_path / "echo.native.pvt").exists()


def test_a_changed_kernel(kernels: tuple[str, str], pvtrace: Pvtrace) -> None:
    for name in kernels:
        assert pvtrace("-q", "record", name, "--vmi", "none").returncode == SAME
    done = pvtrace("diff", "before.pvt", "after.pvt")
    assert done.returncode == DIFFERENT
    assert "the first difference that nothing explains" in done.stdout
    assert "OUTB port 0x93, 0x28" in done.stdout
    assert "1 differences: unexplained 1" in done.stdout


def test_json(kernels: tuple[str, str], pvtrace: Pvtrace) -> None:
    for name in kernels:
        pvtrace("-q", "record", name, "--vmi", "none")
    done = pvtrace("diff", "before.pvt", "after.pvt", "--json")
    assert done.returncode == DIFFERENT
    found = json.loads(done.stdout)
    assert found["explained"] is False
    assert found["same_guest"] is False
    assert found["a"]["facts"] + 1 == found["b"]["facts"] == found["alike"] + 1
    (interval,) = found["intervals"]
    (difference,) = interval["differences"]
    assert interval["unexplained"] is True
    assert difference == found["first"]
    assert (difference["a"], difference["reason"], difference["follows"]) == (None, None, False)
    shown = difference["b"]
    step = shown.pop("step")
    assert step == 2 + 60 * 5 + 5  # a jump and a load, 60 turns of five steps, and the OUT is the fifth of the next
    # each of 61 turns has an event before it, and the first use of the port
    assert shown == {"event": 62, "cpl": 0, "place": shown["place"], "words": "OUTB port 0x93, 0x28"}


def test_all_of_a_long_list(pvtrace: Pvtrace, tmp_path: Path) -> None:
    """Twenty intervals are shown, and all if they are asked for."""
    for name, port in (("a", 0x93), ("b", 0x94)):
        source = f"start:\n mov ecx, 50\nl: mov al, cl\n out 0x92, al\n out {port}, al\n loop l\n EXIT 0"
        (tmp_path / f"{name}.elf").write_bytes(assemble(source, False))
        pvtrace("-q", "record", f"{name}.elf", "--vmi", "none")
    short, everything = pvtrace("diff", "a.pvt", "b.pvt").stdout, pvtrace("diff", "a.pvt", "b.pvt", "--all").stdout
    assert "30 more intervals; --all shows them" in short
    assert "\n50. A step" in everything
    assert "more intervals" not in everything


def test_a_reader_that_goes_away(pvtrace: Pvtrace, start: Start) -> None:
    pvtrace("-q", "record", demo("userland"), "--twin")
    process = start("diff", "userland.pvt", "userland.native.pvt", "--all")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    code, errors = end_of(process)
    assert code in (SAME, DIFFERENT)
    assert "Traceback" not in errors


def test_what_is_no_recording(pvtrace: Pvtrace, tmp_path: Path) -> None:
    pvtrace("-q", "record", demo("hello"))
    (tmp_path / "text.pvt").write_text("no trace at all")
    (tmp_path / "empty.pvt").touch()
    for other in ("text.pvt", "empty.pvt", "missing.pvt", "."):
        for pair in (("hello.pvt", other), (other, "hello.pvt")):
            done = pvtrace("diff", *pair)
            assert done.returncode == BAD_INPUT, (pair, done.stderr)
            one_sentence(done)
    assert pvtrace("diff", "hello.pvt").returncode == USAGE


def test_a_damaged_recording(pvtrace: Pvtrace, tmp_path: Path) -> None:
    """Cut in the middle of its pages: one sentence, whichever side it is."""
    pvtrace("-q", "record", demo("userland"), "--twin")
    path = tmp_path / "userland.pvt"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    for pair in (("userland.pvt", "userland.native.pvt"), ("userland.native.pvt", "userland.pvt")):
        done = pvtrace("diff", *pair)
        assert done.returncode == BAD_INPUT, done.stderr
        one_sentence(done)


def test_a_recording_in_a_folder_that_cannot_be_written(pvtrace: Pvtrace, tmp_path: Path) -> None:
    """Its findings cannot be kept, and are found all the same."""
    pvtrace("-q", "record", demo("userland"), "--twin")
    path = tmp_path / "userland.pvt"
    path.chmod(0o444)
    done = pvtrace("diff", "userland.pvt", "userland.native.pvt")
    assert done.returncode == SAME, done.stderr
    assert "user-iopl" in done.stdout
