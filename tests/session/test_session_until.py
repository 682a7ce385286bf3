"""Where a recording is to stop, and what its file is called."""

from pathlib import Path

import pytest

from pvtrace.model.errors import InputError, UsageError
from pvtrace.session.options import RecordOptions, output_path
from pvtrace.session.until import Until, parse
from pvtrace.x86.elf import Symbol, SymbolTable

ADDRESS_OF = SymbolTable((Symbol("main", 0x101000, 16, "func"),), (0x101010,)).address_of


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        (None, Until()),
        ("0", Until(step=0)),
        ("1000000", Until(step=1_000_000)),
        ("1_000_000", Until(step=1_000_000)),
        ("1,000,000", Until(step=1_000_000)),
        ("3M", Until(step=3_000_000)),
        ("12k", Until(step=12_000)),
        ("1G", Until(step=1_000_000_000)),
        ("20s", Until(ticks=20_000)),
        ("0.5s", Until(ticks=500)),
        ("main", Until(address=0x101000)),
    ],
)
def test_goals(text: str | None, goal: Until) -> None:
    assert parse(text, 1000, ADDRESS_OF) == goal


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e6", "s", "20 s", "Main", "1T", "0x10"])
def test_no_goals(text: str) -> None:
    with pytest.raises(UsageError, match="--until"):
        parse(text, 1000, ADDRESS_OF)


def test_names_of_recordings(tmp_path: Path) -> None:
    options = RecordOptions(Path("/somewhere/kernel.elf"))
    for name in ("kernel.pvt", "kernel-2.pvt", "kernel-3.pvt"):
        path = output_path(options, tmp_path)
        assert path == tmp_path / name
        path.touch()
    (tmp_path / "kernel-2.pvt").unlink()
    assert output_path(options, tmp_path) == tmp_path / "kernel-2.pvt"


def test_only_force_overwrites(tmp_path: Path) -> None:
    taken = tmp_path / "taken.pvt"
    taken.touch()
    with pytest.raises(UsageError, match="--force"):
        output_path(RecordOptions(Path("x"), taken), tmp_path)
    assert output_path(RecordOptions(Path("x"), taken, force=True), tmp_path) == taken
    with pytest.raises(InputError, match="folder"):
        output_path(RecordOptions(Path("x"), tmp_path, force=True), tmp_path)
