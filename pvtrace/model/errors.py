"""Errors whose message is one clear sentence for the person at the terminal.

PvtraceError
+-- UsageError        a flag or an argument is wrong            exit code 2
+-- InputError        a file or a trace is not what it must be  exit code 3
|   +-- TraceError    ... in particular a trace
+-- EngineError       this Unicorn or this host cannot be used  exit code 3
+-- Diverged          a replay did something else               exit code 4
"""


class PvtraceError(Exception):
    """Something that the user can understand and act on; never a bug of ours."""

    exit_code = 1


class UsageError(PvtraceError):
    exit_code = 2


class InputError(PvtraceError):
    exit_code = 3


class TraceError(InputError):
    """A trace is damaged, of another generation, or not a trace."""


class EngineError(PvtraceError):
    exit_code = 3


class Diverged(PvtraceError):
    """The replay is not the recording. `step` is where; `wanted` was recorded; `got` happened."""

    exit_code = 4

    def __init__(self, step: int, wanted: str, got: str, where: str = "") -> None:
        super().__init__(f"diverged at step {step}{where}: recorded {wanted}, but the replay did {got}")
        self.step = step
        self.wanted = wanted
        self.got = got
        self.where = where
