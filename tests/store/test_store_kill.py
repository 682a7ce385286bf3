"""A recorder that is killed at any moment leaves a prefix that is consistent in itself."""

import os
import random
import signal
import time
from itertools import count
from pathlib import Path

from pvtrace.store.contents import Contents
from pvtrace.store.listing import select
from pvtrace.store.reader import TraceReader
from pvtrace.store.writer import TraceWriter
from tests.store.traces import GUEST, META, SYMBOLS, events_at, fill, input_at, snapshot

KILLS = 30


def record_until_killed(path: Path) -> int:
    """The process that does it."""
    child = os.fork()
    if child == 0:
        try:
            with TraceWriter(path, Contents(META, [GUEST], SYMBOLS), batch=20) as writer:
                writer.checkpoint(snapshot(0))
                for _ in fill(writer, 10**9, checkpoint_every=30):
                    pass
        finally:
            os._exit(1)
    return child


def test_kill_at_random_moments(tmp_path: Path) -> None:
    chosen = random.Random(4)
    lengths = set()
    for number in range(KILLS):
        path = tmp_path / f"{number}.pvt"
        child = record_until_killed(path)
        for _ in count():
            if path.exists() and path.stat().st_size:
                break
            time.sleep(0.001)
        time.sleep(chosen.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        with TraceReader(path) as trace:
            trace.verify()
            assert trace.meta == META
            assert trace.files == (GUEST,)
            last = trace.last()
            assert trace.ending() is None
            assert list(trace.events()) == [event for step in range(1, last + 1) for event in events_at(step)]
            assert list(trace.inputs()) == [item for step in range(1, last + 1) if (item := input_at(step))]
            assert [event for _, event in select(trace)] == list(trace.events())
            checkpoints = trace.checkpoints()
            assert [checkpoint.step for checkpoint in checkpoints] == list(range(0, last + 1, 30))[: len(checkpoints)]
            if checkpoints:
                assert trace.snapshot(checkpoints[-1]).state == b"state at %d" % checkpoints[-1].step
            lengths.add(last)
    assert len(lengths) > KILLS // 3
