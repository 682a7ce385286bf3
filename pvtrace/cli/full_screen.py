"""`pvtrace replay --tui`: the terminal UI, put together with what it must not know: how things are said, and gdb."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from pvtrace.cli.listening import Where
from pvtrace.gdb.sharing import Shared
from pvtrace.model.errors import UsageError
from pvtrace.model.step import Step
from pvtrace.report.describe import describe
from pvtrace.report.screen import rows
from pvtrace.session.commands import Commands
from pvtrace.session.explore import Walk
from pvtrace.tui.open import run
from pvtrace.tui.record import Voice
from pvtrace.tui.worker import Share, Turns, alone


def full_screen(path: Path, at: int | None, served_at: Where | None) -> None:
    """Raises UsageError where there is no terminal. `served_at`: where gdb may attach; None: nowhere."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tui needs a terminal, and this is none; pvtrace events and pvtrace info print")
    if os.environ.get("TERM") == "dumb":
        raise UsageError("--tui needs a terminal that can move its cursor, and TERM is dumb")
    share = alone if served_at is None else _sharing(served_at)
    run(path, Voice(describe, rows), None if at is None else Step(at), share)


def _sharing(address: Where) -> Share:
    """A port that was not asked for and cannot be had is no reason to stop."""

    def share(walk: Walk, commands: Commands, moved: Callable[[], None], say: Callable[[str], None]) -> Turns:
        shared = Shared(walk, commands, moved)
        try:
            say(shared.listen(address.host, address.port))
        except UsageError as refused:
            if address.asked:
                say(str(refused))
        return shared

    return share
