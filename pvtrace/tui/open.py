"""Opening a recording on the screen: everything that the terminal UI consists of, put together."""

import os
from pathlib import Path

from prompt_toolkit.input import Input
from prompt_toolkit.output import Output

from pvtrace.model.errors import TraceError, UsageError
from pvtrace.model.step import Step
from pvtrace.session.stored import lawful
from pvtrace.store import bookmarks
from pvtrace.store.reader import TraceReader
from pvtrace.tui import remembered
from pvtrace.tui.app import App
from pvtrace.tui.completing import CommandWords, SqlWords
from pvtrace.tui.effects import Seek
from pvtrace.tui.judge import JudgeThread
from pvtrace.tui.keys import DIGITS
from pvtrace.tui.model import Here, Model, Note, Recording
from pvtrace.tui.record import Record, Voice
from pvtrace.tui.remembered import NOTHING, Remembered
from pvtrace.tui.worker import Share, Worker, alone


def run(
    path: Path,
    voice: Voice,
    at: Step | None = None,
    share: Share = alone,
    input_: Input | None = None,
    output: Output | None = None,
) -> None:
    """Until the user leaves. Raises TraceError for a trace that cannot be opened, UsageError for a step that it does
    not have."""
    place = remembered.place(os.environ)
    with TraceReader(path) as trace:
        app = opened(trace, voice, at, share, input_, output, remembered.read(place))
        try:
            app.run()
        except EOFError:
            pass  # the terminal went away
        finally:
            remembered.write(place, remembered.of(app.model, app.typed()))
            for thread in (app.judge, app.worker):
                if thread is not None:
                    thread.close()


def opened(
    trace: TraceReader,
    voice: Voice,
    at: Step | None = None,
    share: Share = alone,
    input_: Input | None = None,
    output: Output | None = None,
    kept: Remembered = NOTHING,
) -> App:
    """The program before it runs."""
    lawful(trace)
    record = Record(trace, voice)
    model = remembered.applied(first_model(trace, record, at), kept, tuple(DIGITS.values()))
    app = App(
        model,
        record,
        completers={":": CommandWords(record.symbols, trace), ";": SqlWords(trace)},
        kept=kept,
        input_=input_,
        output=output,
    )
    app.worker = Worker(trace.path, voice, app.post, app.broken, share)
    app.judge = JudgeThread(trace.path, app.post, app.broken)
    app.worker.submit(Seek(model.here.step), model.wanted)
    return app


def first_model(trace: TraceReader, record: Record, at: Step | None) -> Model:
    """At a step, or at the first event."""
    checkpoints = trace.checkpoints()
    if not checkpoints:
        raise TraceError(f"{trace.path} is empty: not even its first checkpoint was recorded")
    first, progress = checkpoints[0].step, trace.progress()
    if at is not None and not first <= at <= progress.step:
        raise UsageError(
            f"{trace.path} goes from step {first:,} to step {progress.step:,}, and {at:,} is not among them"
        )
    recording = Recording(str(trace.path), first, progress.step, progress.mark.events, trace.meta.hz)
    begin = record.after(0, 1)
    step = at if at is not None else begin[0][1].step if begin else first
    here = Here(step, record.at_or_before(step))
    note = None if trace.ending() else Note(f"its recorder did not finish it: all until step {progress.step:,} is here")
    return Model(recording, here, note=note, bookmarks=tuple(bookmarks.every(trace)))
