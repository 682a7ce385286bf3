"""What the terminal shows of a running machine."""

import io
import os
from typing import BinaryIO

from pvtrace.cli.progress import Progress
from pvtrace.cli.watching import Watching
from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Ticking:
    """A clock by which two seconds pass between two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2
        return self.now


def watching(terminal: io.StringIO, *printed: Kind, screen: BinaryIO | None = None) -> Watching:
    line = Progress("recording", terminal, clock=Ticking())
    return Watching(line, terminal, lambda event: f"event {event.kind.name}", frozenset(printed), screen)


def test_only_the_chosen_kinds_are_printed_each_at_once() -> None:
    terminal = Terminal()
    observer = watching(terminal, Kind.EXCEPTION)
    observer.event(Event(Step(1), Kind.HALT, 0, 0))
    observer.event(Event(Step(2), Kind.EXCEPTION, 0, 0))
    assert terminal.getvalue() == "event EXCEPTION\n"


def test_events_are_wanted_only_when_some_kind_is_printed() -> None:
    assert not watching(Terminal()).wants_events
    assert watching(Terminal(), Kind.MODE).wants_events


def test_progress_is_not_drawn_over_an_unfinished_line_of_the_guest() -> None:
    terminal, screen = Terminal(), io.BytesIO()
    observer = watching(terminal, screen=screen)
    observer.console(b"login: ")
    observer.progress(1, 1, 1)
    assert terminal.getvalue() == ""
    observer.console(b"root\n")
    observer.progress(1, 1, 1)
    assert "recording" in terminal.getvalue()
    assert screen.getvalue() == b"login: root\n"


def test_the_progress_line_is_taken_away_before_the_guest_writes() -> None:
    terminal = Terminal()
    observer = watching(terminal, screen=io.BytesIO())
    observer.progress(1, 1, 1)
    observer.console(b"hello\n")
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_console_whose_reader_went_away_does_not_end_the_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as screen:
        observer = watching(Terminal(), screen=screen)
        observer.console(b"lost")
        observer.console(b"lost, too")
    assert observer.screen is None
