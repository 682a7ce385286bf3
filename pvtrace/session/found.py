"""The findings of a walk's recording, as far as they are stored: around here, before and behind here, explained."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pvtrace.divergence.catalogue import RULES
from pvtrace.model.errors import UsageError
from pvtrace.model.findings import Finding, Standing
from pvtrace.model.step import Step
from pvtrace.store import findings
from pvtrace.store.reader import TraceReader

AROUND: Final = 8
"""Findings that are shown on each side of here."""


def stored(trace: TraceReader) -> Sequence[Finding]:
    """By step. Raises UsageError if nobody has looked for any yet."""
    judgement = findings.stored(trace)
    if judgement is None:
        raise UsageError(f"nobody has looked for divergences here yet: pvtrace divergences {trace.path} does")
    return sorted(judgement.findings, key=lambda finding: finding.step)


def around(trace: TraceReader, here: Step, place: Callable[[int], str]) -> Iterator[str]:
    """A line for each of the nearest ones."""
    every = stored(trace)
    yield from (line(each, place) for each in [each for each in every if each.step <= here][-AROUND:])
    yield f"{here:>14,}  ---- here"
    yield from (line(each, place) for each in [each for each in every if each.step > here][:AROUND])


def following(trace: TraceReader, here: Step) -> Finding | None:
    """The first one behind here."""
    return next((each for each in stored(trace) if each.step > here), None)


def preceding(trace: TraceReader, here: Step) -> Finding | None:
    """The last one before here."""
    return next((each for each in reversed(stored(trace)) if each.step < here), None)


def line(finding: Finding, place: Callable[[int], str]) -> str:
    times = f" ({finding.times:,} times)" if finding.times > 1 else ""
    words = f"{finding.rule}: {finding.text}{times}"
    return f"{finding.step:>14,}  {place(finding.pc):<24}  {finding.standing.word:<9}  {words}"


def explained(trace: TraceReader, here: Step, place: Callable[[int], str]) -> str:
    """The findings here, or those of the last step before that has any: what they are, both outcomes, their rules."""
    every = [each for each in stored(trace) if each.step <= here]
    if not every:
        return "there is no divergence here or before\n"
    there = [each for each in every if each.step == every[-1].step]
    return "".join(f"{text}\n" for each in there for text in _explained(each, place))


def _explained(finding: Finding, place: Callable[[int], str]) -> Iterator[str]:
    yield line(finding, place)
    if finding.standing is Standing.PROVEN:
        values = (finding.before, finding.native, finding.paravirtual)
        before, native, paravirtual = (f"{value:#x}" if isinstance(value, int) else str(value) for value in values)
        yield f"{finding.what}: {before} before; native {native}, here {paravirtual}"
    if finding.setting:
        yield f"brought about by --latitude {finding.setting}"
    yield f"{RULES[finding.rule].title}; explain {finding.rule} says more"


def page(rule: str) -> str:
    """All about a rule. Raises UsageError if there is none of this name."""
    if rule not in RULES:
        raise UsageError(f"there is no rule {rule!r}; there are {', '.join(RULES)}")
    return RULES[rule].page.rstrip() + "\n"
