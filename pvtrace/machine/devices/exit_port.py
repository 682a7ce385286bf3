"""The port by which a test guest ends its own run."""

from pvtrace.machine.devices.device import EndRun, State
from pvtrace.model.stops import Why


class DebugExit:
    """The value written, of any width, is the guest's exit code; 0 is a good end. Reads give 0."""

    width = 4

    def __init__(self, end: EndRun) -> None:
        self._end = end

    def read(self, _offset: int, _width: int, _now: int) -> int:
        return 0

    def write(self, offset: int, _width: int, value: int, _now: int) -> None:
        if offset == 0:
            self._end(Why.EXIT, value)

    def save(self) -> State:
        return {}

    def load(self, _state: State) -> None:
        pass
