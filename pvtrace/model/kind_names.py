"""The words by which people name kinds of events."""

from typing import Final

from pvtrace.model.events import KINDS, Kind

ALIASES: Final = {f"{info.family}s": info.family for info in KINDS.values()}
"""People say `faults` for the family `fault`."""


def kinds_named(word: str) -> frozenset[Kind]:
    """The kinds of events that a word means: a kind by its name, a family (also in the plural), or `all`; else none."""
    if word == "all":
        return frozenset(Kind)
    family = ALIASES.get(word, word)
    return frozenset(kind for kind, info in KINDS.items() if word == info.name or family == info.family)
