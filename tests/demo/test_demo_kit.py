"""`pvtrace new` gives a guest that builds and runs as it is."""

import tomllib
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pvtrace.demo.guests import says
from pvtrace.demo.new import FILES, write_kit
from pvtrace.model.events import Event
from pvtrace.model.stops import Stop, Why
from rom.abi import Generation

ROOT = Path(__file__).parents[2]


TICKS = "tick 1\ntick 2\ntick 3\n"


def test_the_kit_builds_and_runs(
    make: Callable[..., None],
    qemu: Callable[..., tuple[int, bytes]],
    here: Callable[..., tuple[Stop, bytes, Sequence[Event]]],
    tmp_path: Path,
) -> None:
    directory = tmp_path / "new" / "mine"
    written = write_kit(directory)
    assert sorted(path.name for path in directory.iterdir()) == sorted(path.name for path in written)
    make(directory)
    code, console = qemu(directory / "guest.elf")
    assert says(f"Hello from privilege level 0, bare hardware.\n{TICKS}", console), console.decode()
    assert code == 0
    stop, console, _ = here(directory / "guest.elf", roms=(Generation.V3,))
    assert says(f"Hello from privilege level 1, under VMI.\n{TICKS}", console), console.decode()
    assert stop.why is Why.SHUTDOWN


def test_what_main_returns_is_the_exit_code(
    make: Callable[..., None], qemu: Callable[..., tuple[int, bytes]], tmp_path: Path
) -> None:
    write_kit(tmp_path / "kit")
    (tmp_path / "kit" / "guest.c").write_text("int main(void) { return 42; }\n")
    make(tmp_path / "kit")
    assert qemu(tmp_path / "kit" / "guest.elf") == (42, b"")


def test_an_unexpected_fault_ends_the_guest_with_a_message(
    make: Callable[..., None], qemu: Callable[..., tuple[int, bytes]], tmp_path: Path
) -> None:
    write_kit(tmp_path / "kit")
    (tmp_path / "kit" / "guest.c").write_text(
        '#include "traps.h"\nint main(void) { trap_init(); __asm__ volatile("ud2"); return 0; }\n'
    )
    make(tmp_path / "kit")
    code, console = qemu(tmp_path / "kit" / "guest.elf")
    assert says("unexpected vector 6, error 00000000, at *, cr2 00000000\n", console), console.decode()
    assert code == 1


def test_nothing_is_written_into_a_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_text("precious")
    with pytest.raises(FileExistsError, match="is not empty"):
        write_kit(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.c"]
    with pytest.raises(FileExistsError):
        write_kit(tmp_path / "mine.c")


def test_every_file_of_the_kit_is_installed_with_the_package() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = setuptools["package-data"]["*"]
    kit = ROOT / "pvtrace" / "demo" / "kit"
    assert [name for name in FILES if not any(fnmatch(name, pattern) for pattern in patterns)] == []
    assert sorted(path.name for path in kit.iterdir() if path.is_file()) == sorted(FILES)
