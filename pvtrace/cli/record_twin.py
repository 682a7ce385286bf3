"""`pvtrace record --twin`: a guest recorded with VMI and natively, and how the two differ."""

import shlex
from pathlib import Path

from pvtrace.cli import diff
from pvtrace.cli.arguments import shown
from pvtrace.cli.exit_codes import WELL
from pvtrace.cli.record import exit_code, perform, recorded, say
from pvtrace.model.events import Kind
from pvtrace.report.diff import short
from pvtrace.session.options import RecordOptions
from pvtrace.session.twin import native_twin, twin_paths


def record_twin(options: RecordOptions, printed: frozenset[Kind]) -> int:
    """Record a guest and its native twin, and say in one line how they differ; returns the exit code."""
    path, output = twin_paths(options, Path.cwd())
    result = perform(options._replace(output=path), printed)
    say(recorded(result))
    if result.interrupted:
        return exit_code(result)
    with native_twin(options, path, output) as again:
        native = perform(again)
    say(recorded(native))
    codes = [code for code in (exit_code(result), exit_code(native)) if code != WELL]
    if not native.interrupted:
        found = diff.comparison(path, output)
        say(short(found))
        say(f"next:\n  pvtrace diff {shlex.quote(shown(path))} {shlex.quote(shown(output))}")
        codes.append(diff.exit_code(found))
    return codes[0] if codes else WELL
