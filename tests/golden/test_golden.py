"""The golden recordings in traces/: they replay, their events read as expected, and the guests still do the same.

After a change that is meant to change this: `make traces`, and read what became different in the .events.txt files.
"""

import difflib
import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from pvtrace.cli.main import main
from pvtrace.session.replay import replay
from pvtrace.store.reader import TraceReader
from tests.acceptance.conftest import DEMOS, demo, digest_of, run

FOLDER = Path(__file__).parents[2] / "traces"
LARGEST = 400 << 10
TYPED = {"echo": b"one\ntwo\nquit\n"}


@pytest.fixture(params=DEMOS)
def golden(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, str)
    return FOLDER / f"{request.param}.pvt"


def listed(path: Path) -> str:
    """What `pvtrace events` prints."""
    screen = io.StringIO()
    with redirect_stdout(screen):
        assert main(["events", str(path)]) == 0
    return screen.getvalue()


def test_replays_identically(golden: Path) -> None:
    result = replay(golden)
    assert result.complete
    assert result.events > 0


def test_the_events_read_as_expected(golden: Path) -> None:
    expected = golden.with_suffix(".events.txt").read_text(encoding="utf-8").splitlines()
    difference = list(difflib.unified_diff(expected, listed(golden).splitlines(), lineterm="", n=1))
    assert not difference, "\n".join(difference[:40])


def test_is_small(golden: Path) -> None:
    assert golden.stat().st_size < LARGEST


def test_holds_the_guest_that_is_shipped(golden: Path) -> None:
    with TraceReader(golden) as trace:
        (guest,) = (file.data for file in trace.files if file.role == "guest")
        assert trace.meta.recorded_at.startswith("1970-01-01")
    assert guest == demo(golden.stem).read_bytes(), "the guest was built anew: make traces"


def test_recorded_anew_it_is_the_same(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice: the two files do not differ in a bit, and from the golden one not in anything that happened."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    typed = tmp_path / "typed"
    typed.write_bytes(TYPED.get(golden.stem, b""))
    copies = [tmp_path / f"{number}.pvt" for number in range(2)]
    for copy in copies:
        done = run(tmp_path, "-q", "record", demo(golden.stem), "-o", copy, stdin=typed)
        assert done.returncode == 0, done.stderr
    assert copies[0].read_bytes() == copies[1].read_bytes()
    assert listed(copies[0]) == listed(golden)
    assert digest_of(copies[0]) == digest_of(golden)
