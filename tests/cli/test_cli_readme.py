"""The README is true: its sessions are run, and what it shows is what comes out."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
ELLIPSIS = "..."


def sessions() -> Iterator[tuple[str, list[str]]]:
    """Each command of the README's console blocks, with the lines that it shows below."""
    for block in re.findall(r"^```console\n(.*?)^```$", README, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *lines = part.splitlines()
            yield command, [line for line in lines if line and line != ELLIPSIS]


def alike(line: str) -> str:
    """Numbers may be others tomorrow; everything else may not."""
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.]*", "N", line)).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guest, and the command pvtrace of this very Python first in the path."""
    here = tmp_path_factory.mktemp("readme")
    shutil.copy(str(resources.files("pvtrace.demo").joinpath("userland.elf")), here / "userland.elf")
    command = here / "bin" / "pvtrace"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pvtrace "$@"\n')
    command.chmod(0o755)
    return here


def test_the_readme_shows_what_comes_out(folder: Path) -> None:
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    shown = list(sessions())
    assert len(shown) >= 5
    for command, lines in shown:
        if command.startswith("pvtrace record"):
            (folder / "userland.pvt").unlink(missing_ok=True)
        done = subprocess.run(
            ["sh", "-c", f"{command} 2>&1"], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        real = iter(map(alike, done.stdout.splitlines()))
        for line in lines:
            assert alike(line) in real, f"{line!r} of {command!r} is not in\n{done.stdout}"
