"""What a handler hands back beside its effects: the facts that the machine's events need.

Frozen values only.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pvtrace.model.events import Attempt, Outcome
from pvtrace.x86.effects import Effects, Raise


@dataclass(frozen=True, slots=True)
class FlagAttempt:
    """CLI, STI, PUSHF, POPF or IRET reached for IF or IOPL. `asked` is a full EFLAGS image: for CLI and STI the guest's
    flags with IF as asked, for PUSHF the image that it stored, for POPF and IRET the image that it took."""

    instruction: Attempt
    asked: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Returned:
    """A return from an entry is complete. `image`: the EFLAGS image it took; for SYSEXIT the guest's flags."""

    eip: int
    cs: int
    image: int
    esp: int
    ss: int


@dataclass(frozen=True, slots=True)
class Entered:
    """SYSENTER entered the kernel: from `cs`:`eip` with the guest's flags `image`, to `handler` with stack `esp`."""

    eip: int
    cs: int
    image: int
    handler: int
    esp: int


class Result(NamedTuple):
    """`operand`: the number of the control, debug or model-specific register, the port, selector or linear address
    concerned; `value`: what was read or written. None where there is none."""

    mnemonic: str
    effects: Effects
    attempt: FlagAttempt | None = None
    operand: int | None = None
    value: int | None = None
    returned: Returned | None = None
    entered: Entered | None = None
    task_switch: bool = False

    @property
    def faulted(self) -> int | None:
        """The vector that the instruction raises in the guest."""
        last = self.effects[-1] if self.effects else None
        return last.vector if isinstance(last, Raise) else None
