"""One machine, put to places and made into places. What its frames hold is known, so that only differences move."""

from collections.abc import Mapping
from typing import Final

from pvtrace.machine.machine import Machine
from pvtrace.model.digest import Mark
from pvtrace.model.inputs import Tape
from pvtrace.model.snapshot import PAGE, Snapshot
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint
from pvtrace.timeline.checkpoints import Place

_ZERO: Final = bytes(PAGE)


class Placing:
    """`machine` is moved by this and by what runs it, and by nothing else."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._pages: dict[int, bytes] = {}  # the frames that are not zero; equal content stays the same object

    @property
    def pages(self) -> Mapping[int, bytes]:
        """All frames that are not zero, as of the last place or snapshot."""
        return self._pages

    def take(self, mark: Mark) -> Place:
        """Where the machine stands; `mark` of its tape."""
        state = self.snapshot().state
        return Place(self.machine.step, mark, state, dict(self._pages))

    def snapshot(self) -> Snapshot:
        """As of the machine; what changed is noted."""
        taken = self.machine.snapshot()
        self._note(taken.pages)
        return taken

    def put(self, place: Place, tape: Tape) -> None:
        """Put the machine there, to go on with this tape."""
        machine = self.machine
        self._note(machine.take_pages())
        changed = self.changed_since(place.pages)
        machine.tape = machine.journal.tape = tape
        machine.rewind(place.state, {frame: place.pages.get(frame, _ZERO) for frame in changed})
        self._pages = dict(place.pages)

    def changed_since(self, pages: Mapping[int, bytes]) -> set[int]:
        """The frames that are not now as these."""
        now = self._pages
        return {frame for frame in now.keys() | pages.keys() if now.get(frame) is not pages.get(frame)}

    def stored(self, trace: TraceReader, checkpoint: Checkpoint) -> Place:
        """A place of the file; pages that are as the machine has them now are not taken twice."""
        snapshot = trace.snapshot(checkpoint)
        pages = {
            frame: self._pages[frame] if self._pages.get(frame) == data else data
            for frame, data in snapshot.pages.items()
            if data != _ZERO
        }
        return Place(checkpoint.step, checkpoint.mark, snapshot.state, pages)

    def _note(self, pages: Mapping[int, bytes]) -> None:
        for frame, data in pages.items():
            if data == _ZERO:
                self._pages.pop(frame, None)
            elif self._pages.get(frame) != data:
                self._pages[frame] = data
