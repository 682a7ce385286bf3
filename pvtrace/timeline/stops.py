"""Where a walk came to, and why it stopped there. Frozen values only."""

from dataclasses import dataclass
from enum import Enum

from pvtrace.model.step import Step
from pvtrace.timeline.conditions import Condition


class Way(Enum):
    FORWARD = 1
    BACKWARD = -1


class Cause(Enum):
    """The value is the word that people see."""

    ARRIVED = "arrived"  # at the step that was asked for
    HIT = "hit"  # a condition holds here
    INTERRUPTED = "interrupted"
    BEGIN = "the beginning of the recording"
    END = "the end of the recording"
    DIVERGED = "the replay differs from the recording"


@dataclass(frozen=True, slots=True)
class Stopped:
    """`condition`: what was hit, and `address` (linear) where: of the breakpoint, or of the byte accessed. `message`:
    one sentence about a difference."""

    step: Step
    cause: Cause
    condition: Condition | None = None
    address: int | None = None
    message: str = ""
