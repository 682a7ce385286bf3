"""The words for the numbers in events, for views and reports: tables alone.

VMI calls have theirs in rom.abi, vectors in x86.exceptions.
"""

from typing import Final

from pvtrace.model.events import Attempt, How, Outcome

OUTCOME: Final[dict[int, str]] = {
    Outcome.TOOK_EFFECT: "took effect",
    Outcome.TRAPPED: "trapped and emulated",
    Outcome.SKIPPED: "skipped without effect",
    Outcome.IGNORED: "silently ignored",
    Outcome.FAULTED: "#GP(0) in the guest",
    Outcome.READ: "reads alone",
    Outcome.NO_CHANGE: "no change",
}

ATTEMPT: Final[dict[int, str]] = {attempt: attempt.name for attempt in Attempt}

HOW: Final[dict[int, str]] = {
    **{how: how.name for how in How},
    How.DELIVERY: "delivery of an event",
    How.TASK_SWITCH: "task switch",
    How.GUEST_CODE: "guest code",
}

RETURN_BY: Final[dict[int, str]] = {0: "IRET", 1: "VMI_IRET", 2: "SYSEXIT", 3: "VMI_SYSEXIT"}

FLAG: Final[dict[int, str]] = {8: "TF", 9: "IF", 12: "IOPL", 14: "NT", 17: "VM", 18: "AC"}
"""By the number of the flag's lowest bit in EFLAGS."""

MODE: Final[dict[int, str]] = {0: "protected", 1: "paging", 2: "PAE", 3: "write protect", 4: "paravirtual"}
"""By bit number."""


def mode(bits: int) -> str:
    """The mode bits of a MODE event in words; no bit is real mode."""
    return ", ".join(word for bit, word in MODE.items() if bits >> bit & 1) or "real"
