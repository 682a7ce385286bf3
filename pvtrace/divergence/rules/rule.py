"""What a rule is: a pure function of one scene, which yields what it finds there."""

from collections.abc import Callable, Iterator

from pvtrace.divergence.scenes import Called, Executed, Faulted, Happened, Loaded
from pvtrace.model.findings import Finding
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.view import View

InstructionRule = Callable[[Executed], Iterator[Finding]]
CallRule = Callable[[Called], Iterator[Finding]]
LoadRule = Callable[[Loaded], Iterator[Finding]]
FaultRule = Callable[[Faulted], Iterator[Finding]]
EventRule = Callable[[Happened], Iterator[Finding]]

Reading = Callable[[View, Instruction], int | None]
"""The value on which alone it depends what an instruction shows; None where it is the same on both machines."""
