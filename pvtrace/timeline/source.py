"""A recording as a walk reads it: the same events again and again, so those read last are kept in memory."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from pvtrace.model.inputs import Input
from pvtrace.model.packed import skip
from pvtrace.store.reader import TraceReader

CHUNK: Final = 512
CHUNKS: Final = 256
"""How many events are read at a time, and how many times that are kept."""


class Remembering:
    """The inputs and events of a recording; satisfies tape.replaying.Source."""

    def __init__(self, trace: TraceReader) -> None:
        self._trace = trace
        self._inputs = tuple(trace.inputs())
        self._chunk = lru_cache(maxsize=CHUNKS)(lambda number: _chunk(trace, number))

    def grown(self) -> None:
        """The recording has gone on."""
        self._inputs += tuple(self._trace.inputs(len(self._inputs)))
        self._chunk.cache_clear()

    @property
    def all_inputs(self) -> Sequence[Input]:
        """In order."""
        return self._inputs

    def inputs(self, since: int = 0) -> Iterator[Input]:
        return iter(self._inputs[since:])

    def packed_events(self, since: int = 0) -> Iterator[bytes]:
        number, offset = divmod(since, CHUNK)
        while chunk := self._chunk(number):
            yield chunk[skip(chunk, 0, offset) :] if offset else chunk
            number, offset = number + 1, 0


def _chunk(trace: TraceReader, number: int) -> bytes:
    first = number * CHUNK
    return b"".join(trace.packed_events(first, min(first + CHUNK, trace.progress().mark.events)))
