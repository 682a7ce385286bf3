"""The kit for a guest of one's own."""

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from pvtrace.cli.main import main


def test_the_kit_builds_a_guest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    assert main(["new", str(folder)]) == 0
    assert "guest.c" in capsys.readouterr().out
    subprocess.run(["make", "-C", str(folder)], check=True, capture_output=True)
    with (folder / "guest.elf").open("rb") as file:
        assert ELFFile(file)["e_machine"] == "EM_386"


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "guest.c").write_text("mine")
    assert main(["new", str(tmp_path)]) == 3
    assert capsys.readouterr().err == f"pvtrace: {tmp_path / 'guest.c'} exists already; name a new folder\n"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("guest.c", "mine")]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["new", str(tmp_path / "file" / "mine")]) == 3
    assert capsys.readouterr().err.startswith(f"pvtrace: cannot write {tmp_path / 'file'}")


def test_quiet_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "-q", str(tmp_path / "mine")]) == 0
    assert capsys.readouterr().out == ""
