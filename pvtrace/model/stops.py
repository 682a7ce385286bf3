"""Why a machine stopped running."""

from enum import Enum
from typing import NamedTuple

from pvtrace.model.step import Step


class Why(Enum):
    """The value is the word that people see."""

    ARRIVED = "arrived"  # at the step that was asked for; the guest could go on
    BREAKPOINT = "breakpoint"  # at an address that was asked for; the guest could go on
    WATCHPOINT = "watchpoint"  # behind an access that was asked for; the guest could go on
    SHUTDOWN = "shutdown"  # VMI_Shutdown, or the guest powered off
    EXIT = "exit"  # the debug exit port; Stop.code is the byte written
    IDLE = "idle for ever"  # halted, and nothing can ever wake it
    REBOOT = "reboot"  # VMI_Reboot or a reset by the keyboard controller
    TRIPLE_FAULT = "triple fault"
    TERMINATED = "terminated"  # the guest broke a rule of the VMI specification that ends it
    UNSUPPORTED = "unsupported"  # the guest needs something that pvtrace does not model


class Stop(NamedTuple):
    """`code` is the guest's own exit code, 0 for a good end; `detail` one sentence for people."""

    step: Step
    why: Why
    code: int = 0
    detail: str = ""

    @property
    def ended(self) -> bool:
        """Whether the guest cannot go on."""
        return self.why not in (Why.ARRIVED, Why.BREAKPOINT, Why.WATCHPOINT)

    @property
    def well(self) -> bool:
        """Whether the guest ended, if it ended, as it wished to."""
        return self.why in (Why.ARRIVED, Why.BREAKPOINT, Why.SHUTDOWN, Why.IDLE) or (
            self.why is Why.EXIT and self.code == 0
        )
