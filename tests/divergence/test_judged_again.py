"""What a recording holds does not depend on how it was recorded, nor on what was done with it before it was judged."""

import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pytest

from pvtrace.model.findings import Judgement
from pvtrace.session.judging import judged
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from pvtrace.session.replay import replay
from pvtrace.store import findings
from pvtrace.store.reader import TraceReader
from tests.divergence.hostile_guests import image

GUESTS = ("timing", "userland", "hostile")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The same run twice, with checkpoints as usual and with many; neither was judged yet."""

    usual: Path
    fine: Path


def guest(name: str, folder: Path) -> Path:
    path = folder / f"{name}.elf"
    elf = resources.files("pvtrace.demo").joinpath(f"{name}.elf")
    path.write_bytes(image(3) if name == "hostile" else elf.read_bytes())
    return path


@pytest.fixture(scope="module", params=GUESTS)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("judged")
    path = guest(request.param, folder)
    usual = record(RecordOptions(path, folder / "usual.pvt", console="null")).path
    fine = record(RecordOptions(path, folder / "fine.pvt", console="null", checkpoint_every=1000)).path
    return Recorded(usual, fine)


def judgement(path: Path, folder: Path) -> Judgement:
    """Of a copy, which nobody has judged."""
    copy = folder / f"{len(list(folder.iterdir()))}.pvt"
    shutil.copy(path, copy)
    return judged(copy)


def test_twice(recorded: Recorded, tmp_path: Path) -> None:
    first = judgement(recorded.usual, tmp_path)
    assert first.findings
    assert judgement(recorded.usual, tmp_path) == first


def test_what_was_kept_is_what_was_found(recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "kept.pvt"
    shutil.copy(recorded.usual, path)
    found = judged(path)
    with TraceReader(path) as trace:
        assert findings.stored(trace) == found
    assert judged(path) == found


def test_whatever_checkpoints_it_has(recorded: Recorded, tmp_path: Path) -> None:
    with TraceReader(recorded.usual) as usual, TraceReader(recorded.fine) as fine:
        assert len(fine.checkpoints()) > len(usual.checkpoints())
    assert judgement(recorded.fine, tmp_path) == judgement(recorded.usual, tmp_path)


def test_behind_a_replay(recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "replayed.pvt"
    shutil.copy(recorded.fine, path)
    assert replay(path).complete
    assert judged(path) == judgement(recorded.usual, tmp_path)
