"""The worker: of many places the last one counts, what is given up is given up, and errors are said."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.step import Step
from pvtrace.timeline.stops import Way
from pvtrace.tui.effects import Follow, Go, Keep, Refresh, Seek, Work
from pvtrace.tui.messages import Arrived, Message, Said
from pvtrace.tui.picture import Wanted
from pvtrace.tui.worker import Worker, queued
from tests.tui.models import VOICE

Recording = Callable[[str], Path]
PATIENCE = 60
WORK = st.one_of(
    st.builds(Seek, st.integers(0, 9).map(Step), st.integers(1, 9)),
    st.builds(Refresh, st.integers(0, 9)),
    st.builds(Go, st.just(Way.FORWARD)),
)


@contextmanager
def worker(path: Path) -> Iterator[tuple[Worker, "queue.Queue[Message]"]]:
    said: queue.Queue[Message] = queue.Queue()
    broken: list[Exception] = []
    made = Worker(path, VOICE, said.put, broken.append)
    made.start()
    try:
        yield made, said
    finally:
        made.close()
        assert not broken


def arrived(said: "queue.Queue[Message]", wish: int) -> Arrived:
    """The picture that answers this wish."""
    while True:
        message = said.get(timeout=PATIENCE)
        if isinstance(message, Arrived) and message.wish == wish:
            return message


def test_each_wish_is_answered_in_the_end(recording: Recording) -> None:
    with worker(recording("userland")) as (made, said):
        for wish in range(1, 200):
            made.submit(Seek(Step(wish * 700), wish), Wanted())
        assert arrived(said, 199).picture.step == 199 * 700


def test_what_is_given_up_is_answered_by_where_it_stands(recording: Recording) -> None:
    with worker(recording("userland")) as (made, said):
        made.submit(Seek(Step(1000), 1), Wanted())
        arrived(said, 1)
        made.submit(Go(Way.FORWARD), Wanted())
        made.submit(Seek(Step(2000), 2), Wanted())
        made.interrupt()
        last = arrived(said, 2)
        assert 0 < last.picture.step <= 165_241


def test_errors_are_said_and_the_worker_goes_on(recording: Recording) -> None:
    path = recording("hello")
    with worker(path) as (made, said):
        made.submit(Seek(Step(100), 1), Wanted())
        arrived(said, 1)
        path.rename(path.with_suffix(".gone"))
        made.submit(Keep("name", Step(100)), Wanted())
        while not isinstance(message := said.get(timeout=PATIENCE), Said):
            pass
        assert message.wrong
        path.with_suffix(".gone").rename(path)
        made.submit(Seek(Step(200), 2), Wanted())
        assert arrived(said, 2).picture.step == 200


def test_closing_ends_the_thread(recording: Recording) -> None:
    with worker(recording("hello")) as (made, said):
        made.submit(Seek(Step(100), 1), Wanted())
        arrived(said, 1)
        made.submit(Follow(False), Wanted())
    assert not any(thread.name == "walk" and thread.is_alive() for thread in threading.enumerate())


@given(st.lists(WORK, max_size=12))
def test_the_queue_forgets_what_was_overtaken_and_nothing_else(works: list[Work]) -> None:
    waiting: list[tuple[Work, Wanted]] = []
    for work in works:
        waiting = list(queued(waiting, work, Wanted()))
    left = [work for work, _ in waiting]
    assert [work for work in left if isinstance(work, Go)] == [work for work in works if isinstance(work, Go)]
    seeks = [number for number, work in enumerate(works) if isinstance(work, Seek)]
    behind = works[seeks[-1] :] if seeks else works
    assert [work for work in left if isinstance(work, Seek)] == behind[: len(seeks[:1])]
    wishes = [work.wish for work in behind if isinstance(work, Refresh)]
    assert [work.wish for work in left if isinstance(work, Refresh)] == ([max(wishes)] if wishes else [])
