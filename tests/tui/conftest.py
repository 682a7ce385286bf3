"""Recordings to open, and a terminal to open them in."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tui.terminal import Terminal, clean, opening, terminal

TRACES = Path(__file__).parents[2] / "traces"
GOLDEN = Path(__file__).parent / "golden"

Open = Callable[..., Terminal]


@pytest.fixture
def recording(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one of the golden recordings, to be written to."""

    def copy(name: str) -> Path:
        path = tmp_path / f"{name}.pvt"
        if not path.exists():
            shutil.copy(TRACES / path.name, path)
        return path

    return copy


@pytest.fixture
def opened(require_tool: Callable[[str], Path], tmp_path: Path, recording: Callable[[str], Path]) -> Iterator[Open]:
    """Opens a recording in a terminal of some size; the words are more of the command line."""
    with terminal(require_tool("tmux"), tmp_path) as made:

        def start(name: str, width: int, height: int, *words: str, **environment: str) -> Terminal:
            path = recording(name)
            made.start(opening(path, *words), width, height, tmp_path, {**clean(tmp_path), **environment})
            return made

        yield start


class Golden:
    """Holds texts to the files in GOLDEN. PVTRACE_GOLDEN=write writes them anew."""

    def text(self, name: str) -> str | None:
        """What the file holds, unless it is to be written."""
        return None if self._writes else (GOLDEN / name).read_text(encoding="utf-8")

    def __call__(self, name: str, text: str) -> None:
        path = GOLDEN / name
        if self._writes:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; PVTRACE_GOLDEN=write writes it anew"

    @property
    def _writes(self) -> bool:
        return os.environ.get("PVTRACE_GOLDEN") == "write"


@pytest.fixture
def golden() -> Golden:
    return Golden()
