"""Who watches a run. The run is the same whoever watches."""

from typing import Final, Protocol

from pvtrace.model.events import Event

PROGRESS_SECONDS: Final = 0.2
"""Between two calls of `progress`, at the least."""


class Observer(Protocol):
    @property
    def wants_events(self) -> bool:
        """Whether `event` is to be called."""
        ...

    def begins(self, description: str) -> None:
        """The guest is about to run; what was found in its file, in one line."""
        ...

    def progress(self, steps: int, events: int, size: int) -> None:
        """Called a few times a second; `size` in bytes of the recording."""
        ...

    def event(self, event: Event) -> None: ...

    def console(self, data: bytes) -> None:
        """The guest wrote this to its serial console."""
        ...

    def note(self, text: str) -> None:
        """Something that people should know, and that is no reason to stop; one sentence."""
        ...


class Nobody:
    """Watches nothing."""

    wants_events = False

    def begins(self, description: str) -> None: ...
    def progress(self, steps: int, events: int, size: int) -> None: ...
    def event(self, event: Event) -> None: ...
    def console(self, data: bytes) -> None: ...
    def note(self, text: str) -> None: ...


NOBODY = Nobody()
