"""`pvtrace divergences`."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from pvtrace.cli import symbols
from pvtrace.cli.arguments import chosen, recording_argument
from pvtrace.cli.exit_codes import FOUND, WELL
from pvtrace.cli.progress import Progress
from pvtrace.cli.voice import quiet, voiced
from pvtrace.cli.watching import Watching
from pvtrace.divergence.catalogue import RULES
from pvtrace.divergence.suppressions import Suppression, parse, sift
from pvtrace.model.errors import UsageError
from pvtrace.model.findings import Finding, Judgement, Standing
from pvtrace.report import divergences as report
from pvtrace.report import sections
from pvtrace.report.describe import Symbols, describe, place
from pvtrace.session.judging import judged
from pvtrace.session.names import contents
from pvtrace.store.reader import TraceReader


class RuleId(click.ParamType[str]):
    """The id of a rule."""

    name = "rule"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in RULES:
            self.fail(f"{value!r} is no rule; pvtrace explain lists them", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        return [CompletionItem(rule) for rule in RULES if rule.startswith(incomplete)]


FAILING = {
    "proven": frozenset({Standing.PROVEN}),
    "hazard": frozenset({Standing.PROVEN, Standing.HAZARD}),
    "potential": frozenset(Standing),
}
"""What --fail-on takes: this, and whatever claims more."""


@click.command()
@recording_argument
@click.option("--rule", "only", type=RuleId(), multiple=True, help="Only findings of this rule; repeatable.")
@click.option("--potential", is_flag=True, help="Also where a difference was possible and both outcomes were equal.")
@click.option("--evidence", is_flag=True, help="All that is known of each: states, outcomes, cause, what followed.")
@click.option("--summary", "counted", is_flag=True, help="Count by rule instead.")
@click.option(
    "--sections",
    "by_section",
    is_flag=True,
    help="The sections in which interrupts are off natively: how long, how often.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--suppress",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File of findings to leave out, a line each: RULE PLACE -- REASON; repeatable.",
)
@click.option("--fail-on", type=click.Choice(list(FAILING)), help="Exit with 1 if there is such a finding, or a worse.")
@voiced
def divergences(
    *,
    file: Path | None,
    only: tuple[str, ...],
    potential: bool,
    evidence: bool,
    counted: bool,
    by_section: bool,
    as_json: bool,
    files: tuple[Path, ...],
    fail_on: str | None,
) -> int:
    """Where native hardware would have done something else.

    Each line: the step, the place, the rule, whether the difference is proven, and what differs. The recording is
    judged once, by replaying it, and keeps what was found. FILE is the newest recording of the current folder unless
    you name one.

    \b
    Example:
      pvtrace divergences kernel.pvt --summary
      pvtrace divergences kernel.pvt --rule popf --evidence
      pvtrace divergences kernel.pvt --sections
      pvtrace divergences kernel.pvt --fail-on proven --suppress known.txt
    """
    if evidence + counted + by_section > 1 or (evidence and as_json):
        raise UsageError("choose one of --summary, --sections and --evidence; and --evidence without --json")
    path = chosen(file)
    suppressions = [each for name in files for each in parse(_text(name), str(name))]
    judgement = found_in(path)
    found = judgement.findings
    with TraceReader(path) as trace:
        names = symbols.of_recording(trace)
    sifted = sift(found, suppressions, lambda address: place(address, names))
    wanted = [
        index
        for index in sifted.kept
        if (not only or found[index].rule in only)
        and (potential or counted or found[index].standing is not Standing.POTENTIAL)
    ]
    if by_section:
        sys.stdout.writelines(_sections(judgement, names, as_json=as_json))
    elif counted:
        sys.stdout.writelines(_counts(judgement, wanted, names, as_json=as_json))
    else:
        sys.stdout.writelines(_list(found, wanted, names, evidence=evidence, as_json=as_json))
    if suppressions and not quiet():
        click.echo("\n".join(_told(suppressions, sifted.suppressed)), err=True)
    failing = FAILING[fail_on] if fail_on else frozenset()
    failed = any(found[index].standing in failing for index in sifted.kept if not only or found[index].rule in only)
    return FOUND if failed else WELL


def found_in(path: Path) -> Judgement:
    """Judge a recording if it was not, with progress on the terminal."""
    watching = Watching(Progress("judging", sys.stderr, wanted=not quiet()), notes=sys.stderr, describe=describe)
    try:
        return judged(path, watching)
    finally:
        watching.progress_line.clear()


def _text(path: Path) -> str:
    return contents(path).decode("utf-8", "replace")


def _list(
    found: Sequence[Finding], wanted: Sequence[int], names: Symbols, *, evidence: bool, as_json: bool
) -> Iterator[str]:
    if as_json:
        yield from report.as_json(found, wanted, names)
    elif evidence:
        followers = report.followers_of(found)
        for index in wanted:
            yield from (f"{line}\n" for line in report.evidence(found, index, followers.get(index, []), names))
            yield "\n"
    else:
        yield f"{report.HEADER}\n"
        yield from (f"{report.line(found[index], names)}\n" for index in wanted)


def _counts(judgement: Judgement, wanted: Sequence[int], names: Symbols, *, as_json: bool) -> Iterator[str]:
    those = [judgement.findings[index] for index in wanted]
    if as_json:
        yield report.summary_json(those) + "\n"
        return
    yield from (f"{line}\n" for line in report.summary(those, names))
    if judgement.sections:
        yield f"{sections.headline(judgement.findings, judgement.sections, names)}\n"


def _sections(judgement: Judgement, names: Symbols, *, as_json: bool) -> Iterator[str]:
    shown = (judgement.findings, judgement.sections, names)
    if as_json:
        yield sections.as_json(*shown) + "\n"
    else:
        yield from (f"{line}\n" for line in sections.text(*shown))


def _told(suppressions: Sequence[Suppression], taken: Sequence[int]) -> Iterator[str]:
    """What was left out, and which lines left nothing out."""
    yield f"pvtrace: {sum(taken):,} findings suppressed"
    for each, count in zip(suppressions, taken, strict=True):
        if not count:
            yield f"pvtrace: line {each.line} suppresses nothing: {each.rule} {each.place} -- {each.reason}"
