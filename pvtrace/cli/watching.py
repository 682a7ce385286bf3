"""What the terminal shows of a machine while it runs: progress, the guest's console, events as they happen.

The observer that commands hand to the session. It decides nothing: the run is the same whoever watches.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, TextIO

from pvtrace.cli.progress import Progress
from pvtrace.model.events import Event, Kind

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Watching:
    """Satisfies session.observer.Observer.

    `printed`: the kinds of events to print, as they happen, to `notes` by `describe`. `screen`: where the guest's
    console goes; None: nowhere. `announced`: say first what was found in the guest's file.
    """

    progress_line: Progress
    notes: TextIO
    describe: Callable[[Event], str]
    printed: frozenset[Kind] = frozenset()
    screen: BinaryIO | None = None
    announced: bool = False
    _open_line: bool = field(init=False, default=False)  # the guest's last line has no end yet: draw nothing over it

    @property
    def wants_events(self) -> bool:
        return bool(self.printed)

    def begins(self, description: str) -> None:
        logger.info("%s", description)
        if self.announced:
            print(description, file=self.notes, flush=True)

    def progress(self, steps: int, events: int, size: int) -> None:
        if not self._open_line:
            self.progress_line.show(steps, events, size)

    def event(self, event: Event) -> None:
        if event.kind in self.printed:
            self.progress_line.clear()
            print(self.describe(event), file=self.notes, flush=True)

    def console(self, data: bytes) -> None:
        if self.screen is None or not data:
            return
        self.progress_line.clear()
        self._open_line = not data.endswith(b"\n")
        try:
            self.screen.write(data)
            self.screen.flush()
        except BrokenPipeError:
            self.screen = None  # the reader went away; the recording goes on

    def note(self, text: str) -> None:
        self.progress_line.clear()
        print(f"pvtrace: {text}", file=self.notes, flush=True)
