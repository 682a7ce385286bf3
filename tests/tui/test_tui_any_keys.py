"""Whatever is pressed, in whatever order: nothing breaks, and the screen is whole and of where one is."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvtrace.tui import frame, typed
from pvtrace.tui.keys import KEYS
from pvtrace.tui.lines import width
from pvtrace.tui.messages import Entered, Message, Pressed, Resized, Wheel
from pvtrace.tui.panes.table import PANES
from tests.tui.conftest import TRACES
from tests.tui.models import Desk, desk

ALL = [name for table in (KEYS, *(pane.keys for pane in PANES.values())) for key in table for name in key.names]
LINES = [
    *((":", f"{name}{words}") for name in typed.names() for words in ("", " main", " 100", " off", " a b c")),
    *((";", text) for text in ("SELECT 1", "SELECT * FROM fault", "nonsense", "SELECT step FROM event LIMIT 3")),
    *(("/", text) for text in ("popf", "iopl", "☺", "none such")),
]
MESSAGES = st.one_of(
    st.sampled_from(ALL).map(lambda name: [Pressed(key.replace("*", "a")) for key in name.split()]),
    st.characters(codec="ascii").map(lambda key: [Pressed(key)]),
    st.sampled_from([line for line in LINES if not line[1].startswith(("q", "export", "what-if"))]).map(
        lambda line: [Entered(*line)]
    ),
    st.builds(lambda name, turns: [Wheel(name, turns)], st.sampled_from(sorted(PANES)), st.sampled_from([-1, 1])),
    st.builds(lambda wide, high: [Resized(wide, high)], st.integers(1, 220), st.integers(1, 70)),
)


@pytest.fixture(scope="module")
def opened() -> Iterator[Desk]:
    with TemporaryDirectory(prefix="pvtrace-test-") as folder:
        path = Path(folder) / "userland.pvt"
        shutil.copy(TRACES / path.name, path)
        with desk(path, judge=True) as at:
            yield at


@settings(max_examples=60, deadline=None)
@given(pressed=st.lists(MESSAGES, max_size=12))
def test_any_keys(opened: Desk, pressed: list[list[Message]]) -> None:
    for message in [message for group in pressed for message in group]:
        model = opened.send(message)
        lines = frame.screen(model, opened.record)
        assert len(lines) == model.height
        assert {width(item) for item in lines} == {model.width}
        assert model.fresh, "the machine is not where the screen is"
        located = opened.record.at_or_before(model.here.step)
        event = None if model.here.event is None else opened.record.event(model.here.event)
        assert (event is None) == (located is None)
        assert event is None or event.step <= model.here.step
    opened.model = replace(opened.model, leaving=False)
