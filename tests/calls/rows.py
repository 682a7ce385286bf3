"""Every VMI call as a real guest makes it: inputs, results, and what it has done, seen by a call, in memory or in the
machine. One row is one call in every generation that has it, unless the row says otherwise."""

from typing import Final

from rom.abi import Generation
from tests.calls.platform_rows import APIC, IO, MMU, TIME
from tests.calls.processor_rows import CONTROL, CORE, DESCRIPTORS, INTERRUPTS, TRANSITIONS

ROWS: Final = (*CORE, *INTERRUPTS, *DESCRIPTORS, *CONTROL, *TRANSITIONS, *IO, *APIC, *TIME, *MMU)

ABSENT: Final = {
    ("SetCallbacks", Generation.V3): "no text says what it does; the relocation query answers that it is absent"
}
"""Calls without an entry point, and why."""
