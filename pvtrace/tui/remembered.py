"""What the program remembers from one time to the next: which panes were hidden, the theme, what was typed.

A small JSON file of the user's own. If it cannot be read or written, nothing is remembered, and nothing else happens.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pvtrace.tui.model import Model
from pvtrace.tui.style import THEMES

MOST: Final = 200
"""Lines of each sign that are kept."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """`typed`: by sign, the oldest first."""

    focus: str = ""
    hidden: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    typed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    theme: str = "auto"

    def lines(self, sign: str) -> tuple[str, ...]:
        return dict(self.typed).get(sign, ())


NOTHING: Final = Remembered()


def place(environment: Mapping[str, str]) -> Path:
    """Where it is kept (XDG base directories)."""
    folder = environment.get("XDG_STATE_HOME", "")
    home = Path(folder) if folder.startswith("/") else Path(environment.get("HOME", "/")) / ".local" / "state"
    return home / "pvtrace" / "tui.json"


def read(path: Path) -> Remembered:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return NOTHING
    return parsed(found)


def parsed(found: Any) -> Remembered:
    """Whatever a person made of the file: only what is as it should be counts."""
    if not isinstance(found, dict):
        return NOTHING
    typed = found.get("typed")
    rows = typed.items() if isinstance(typed, dict) else ()
    focus = found.get("focus")
    return Remembered(
        focus if isinstance(focus, str) else "",
        _words(found.get("hidden")),
        _words(found.get("recent")),
        tuple((sign, _words(lines)) for sign, lines in rows),
        theme if (theme := found.get("theme")) in THEMES else "auto",
    )


def _words(found: Any) -> tuple[str, ...]:
    return tuple(item for item in found if isinstance(item, str)) if isinstance(found, list) else ()


def write(path: Path, kept: Remembered) -> None:
    data = {
        "focus": kept.focus,
        "hidden": list(kept.hidden),
        "recent": list(kept.recent),
        "theme": kept.theme,
        "typed": {sign: list(lines) for sign, lines in kept.typed},
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(data, indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def applied(model: Model, kept: Remembered, panes: Sequence[str]) -> Model:
    """The model as it was left; panes that there are not any more are forgotten."""
    focus = kept.focus if kept.focus in panes else model.focus
    recent = tuple(name for name in kept.recent if name in panes)
    hidden = frozenset(kept.hidden) & frozenset(panes)
    return replace(model, focus=focus, recent=recent, hidden=hidden, theme=kept.theme)


def of(model: Model, typed: Mapping[str, Sequence[str]]) -> Remembered:
    """What is to be remembered of it."""
    lines = tuple((sign, tuple(texts[-MOST:])) for sign, texts in typed.items())
    return Remembered(model.focus, tuple(sorted(model.hidden)), model.recent, lines, model.theme)
