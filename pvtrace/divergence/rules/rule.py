"""What a rule is: a pure function of one scene, which yields what it finds there."""

from collections.abc import Callable, Iterator

from pvtrace.divergence.scenes import Called, Executed, Faulted, Happened
from pvtrace.model.findings import Finding

InstructionRule = Callable[[Executed], Iterator[Finding]]
CallRule = Callable[[Called], Iterator[Finding]]
FaultRule = Callable[[Faulted], Iterator[Finding]]
EventRule = Callable[[Happened], Iterator[Finding]]
