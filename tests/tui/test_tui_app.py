"""The program with a pipe for a keyboard and a file for a screen: keys, lines and the mouse come to the model."""

import asyncio
import gc
import io
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.base import PipeInput
from prompt_toolkit.output.vt100 import Vt100_Output

from pvtrace.model.errors import TraceError, UsageError
from pvtrace.model.step import Step
from pvtrace.store.reader import TraceReader
from pvtrace.tui.app import App, osc52
from pvtrace.tui.open import opened
from pvtrace.tui.remembered import NOTHING, Remembered, applied, of, parsed, read, write
from tests.tui.models import VOICE

Recording = Callable[[str], Path]
PATIENCE = 60


class Typist:
    """Types, and waits until something is so."""

    def __init__(self, app: App, program: "asyncio.Future[None]", keyboard: PipeInput, screen: io.StringIO) -> None:
        self.app = app
        self.program = program
        self.screen = screen
        self._keyboard = keyboard

    async def type(self, text: str, holds: Callable[[], bool]) -> None:
        self._keyboard.send_text(text)
        await self.until(holds)

    async def until(self, holds: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not holds():
                assert not self.program.done(), "the program has left"
                await asyncio.sleep(0.005)

        await asyncio.wait_for(wait(), PATIENCE)


def play(path: Path, script: Callable[[Typist], Awaitable[None]], kept: Remembered = NOTHING) -> App:
    """Open a recording, and leave when the script is done."""
    screen = io.StringIO()
    output = Vt100_Output(screen, lambda: Size(rows=40, columns=120), term="xterm-256color")

    async def run(app: App, keyboard: PipeInput) -> None:
        task = asyncio.ensure_future(app.run_async())
        typist = Typist(app, task, keyboard, screen)
        try:
            await typist.until(lambda: app.model.fresh)
            await script(typist)
        finally:
            keyboard.send_text("Q" if app.model.prompt else "qqqq")
            await asyncio.wait_for(task, PATIENCE)

    with create_pipe_input() as keyboard, TraceReader(path) as trace:
        app = opened(trace, VOICE, None, input_=keyboard, output=output, kept=kept)
        try:
            asyncio.run(run(app, keyboard))
        finally:
            for thread in (app.judge, app.worker):
                if thread is not None:
                    thread.close()
    return app


def test_keys_move_and_the_machine_follows(recording: Recording) -> None:
    async def script(typist: Typist) -> None:
        app = typist.app
        await typist.type("jjj", lambda: app.model.here.event == 3 and app.model.fresh)
        await typist.type("\x1b[B", lambda: app.model.here.event == 4 and app.model.fresh)
        await typist.type("G", lambda: app.model.here.step == app.model.recording.last and app.model.fresh)
        assert app.model.picture is not None
        await typist.type("\x1b[18~", lambda: app.model.note is not None)  # F7 at the end
        await typist.type("?", lambda: app.model.over == "help")
        await typist.type("\x1b", lambda: app.model.over is None)

    play(recording("hello"), script)


def test_a_line_is_typed_completed_and_remembered(recording: Recording) -> None:
    async def script(typist: Typist) -> None:
        app = typist.app
        await typist.type(":", lambda: app.model.prompt is not None)
        await typist.type("goto 30,000\r", lambda: app.model.here.step == 30_000 and app.model.fresh)
        assert app.model.prompt is None
        await typist.type(":", lambda: app.model.prompt is not None)
        await typist.type("g\x1b[A\r", lambda: app.model.prompt is None)  # Up is the line before, whatever Tab offers
        await typist.type(":", lambda: app.model.prompt is not None)
        await typist.type("expo", lambda: "export" in typist.screen.getvalue())  # the menu
        await typist.type("\t", lambda: app.line_typed() == "export")
        await typist.type("\x03", lambda: app.model.prompt is None)
        await typist.type(":", lambda: app.model.prompt is not None)
        await typist.type("\x1b", lambda: app.model.prompt is None)
        await typist.type("/", lambda: app.model.prompt is not None)
        await typist.type("\x7f", lambda: app.model.prompt is None)

    app = play(recording("hello"), script, Remembered(typed=((";", ("SELECT 1",)),)))
    assert list(app.typed()[":"])[-1] == "goto 30,000"
    assert list(app.typed()[";"]) == ["SELECT 1"]


def test_sql_is_completed(recording: Recording) -> None:
    async def script(typist: Typist) -> None:
        app = typist.app
        await typist.type(";", lambda: app.model.prompt is not None)
        await typist.type("SELECT outc", lambda: "outcome" in typist.screen.getvalue())  # the menu
        await typist.type("\t", lambda: app.line_typed() == "SELECT outcome")
        await typist.type(" FROM flag_att", lambda: "flag_attempt" in typist.screen.getvalue())
        await typist.type("\t", lambda: app.line_typed() == "SELECT outcome FROM flag_attempt")
        await typist.type("\r", lambda: app.model.over == "answer")
        assert app.model.answer is not None
        assert app.model.answer.columns == ("outcome",)

    play(recording("hello"), script)


def test_the_mouse_chooses_and_turns(recording: Recording) -> None:
    async def script(typist: Typist) -> None:
        app = typist.app
        rows = [
            index for index, line in enumerate(app.lines()) if "OUTB port 0x3fb, 0x80" in "".join(s.text for s in line)
        ]
        assert rows
        click = f"\x1b[<0;20;{rows[0] + 1}M\x1b[<0;20;{rows[0] + 1}m"
        await typist.type(click, lambda: app.model.here.event == 2 and app.model.fresh)
        event = app.model.here.event or 0
        wheel = f"\x1b[<65;20;{rows[0] + 1}M"
        await typist.type(wheel, lambda: app.model.here.event == event + 3)
        column = next(index for index, line in enumerate(app.lines()) if "5:registers" in "".join(s.text for s in line))
        await typist.type(f"\x1b[<0;100;{column + 1}M\x1b[<0;100;{column + 1}m", lambda: app.model.focus == "registers")

    play(recording("hello"), script)


def test_what_stays_is_kept_from_the_collector_until_the_program_leaves(recording: Recording) -> None:
    """A full collection that looks through names and findings takes longer than a key may."""

    async def script(typist: Typist) -> None:
        app = typist.app
        await typist.until(lambda: app.model.judgement is not None)
        assert gc.is_tracked(app.model.judgement)
        assert not any(item is app.model.judgement for item in gc.get_objects())
        await typist.type("G", lambda: app.model.here.event == app.model.recording.events - 1)

    play(recording("hello"), script)
    assert gc.get_freeze_count() == 0


def test_a_copy_goes_to_the_terminal(recording: Recording) -> None:
    async def script(typist: Typist) -> None:
        app = typist.app
        line = f"pvtrace replay {app.model.recording.path} --tui --at {app.model.here.step}"
        await typist.type("y", lambda: osc52(line) in typist.screen.getvalue())
        assert app.model.note == (line, False)

    play(recording("hello"), script)


def test_what_takes_long_is_stopped(recording: Recording) -> None:
    async def script(typist: Typist) -> None:
        app = typist.app
        await typist.type(";", lambda: app.model.prompt is not None)
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        await typist.type(f"{endless}\r", lambda: app.model.busy is not None)
        await typist.type("j", lambda: app.model.here.event == 1)  # the screen answers meanwhile
        await typist.type("\x03", lambda: app.model.busy is None)
        assert app.model.note is not None
        assert app.model.note.wrong

    play(recording("hello"), script)


def test_steps_that_are_not_there_are_refused(recording: Recording) -> None:
    with TraceReader(recording("hello")) as trace:
        with pytest.raises(UsageError, match="goes from step 4 to step"):
            opened(trace, VOICE, Step(1 << 40))
        assert opened(trace, VOICE, Step(30_000)).model.here.step == 30_000


def test_a_trace_without_a_checkpoint_is_empty(recording: Recording) -> None:
    path = recording("hello")
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM checkpoint")
    with TraceReader(path) as trace, pytest.raises(TraceError, match="is empty"):
        opened(trace, VOICE)


# ---------------------------------------------------------------------------- what is remembered


def test_what_is_remembered_comes_back(recording: Recording, tmp_path: Path) -> None:
    with TraceReader(recording("hello")) as trace:
        model = opened(trace, VOICE).model
    path = tmp_path / "state" / "tui.json"
    kept = Remembered("memory", ("time",), ("memory", "events"), ((":", ("goto 1", "vmi")),), "light")
    write(path, kept)
    assert read(path) == kept
    left = applied(model, read(path), ("time", "events", "memory"))
    assert (left.focus, left.hidden, left.recent) == ("memory", frozenset({"time"}), ("memory", "events"))
    assert of(left, {":": ["goto 1", "vmi"]}) == kept
    assert applied(model, kept, ("events",)).focus == "events"


@pytest.mark.parametrize(
    "found", [None, 3, [], {"focus": 3, "hidden": "x", "recent": [1], "typed": {":": 3}}, {"typed": []}]
)
def test_whatever_is_in_the_file_does_no_harm(found: object) -> None:
    assert parsed(found) == Remembered(typed=((":", ()),)) or parsed(found) == NOTHING


def test_a_file_that_cannot_be_read_or_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{")
    assert read(tmp_path / "file") == NOTHING
    assert read(tmp_path / "none") == NOTHING
    write(tmp_path / "file" / "below" / "tui.json", NOTHING)
