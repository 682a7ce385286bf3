"""The colours: a table by role, for terminals of many colours, of sixteen, and of none.

The sixteen colours are the terminal's own, so they suit light and dark ones. Grounds of other colours are for those
alone of which it is known which they are (`theme`); else there are bold, dim, underline and reverse.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pvtrace.tui.roles import Role
from pvtrace.tui.svg import Ink, Palette


class Look(NamedTuple):
    """`colour`: one of the terminal's sixteen, by prompt_toolkit's name; `dark`, `light`: RRGGBB for a ground, by the
    terminal's own; `more`: bold, dim, reverse, underline."""

    colour: str = ""
    more: str = ""
    dark: str = ""
    light: str = ""


LOOKS: Final[Mapping[Role, Look]] = {
    Role.PLAIN: Look(),
    Role.DIM: Look(more="dim"),
    Role.STRONG: Look(more="bold"),
    Role.TITLE: Look(more="bold"),
    Role.FOCUS: Look("ansicyan", "bold"),
    Role.BORDER: Look(more="dim"),
    Role.BAR: Look(more="reverse", dark="3a3f4b", light="d0d7de"),
    Role.KEY: Look("ansicyan"),
    Role.ERROR: Look("ansired", "bold"),
    Role.WARNING: Look("ansiyellow"),
    Role.GOOD: Look("ansigreen"),
    Role.CURSOR: Look(more="reverse", dark="264f78", light="b5d5ff"),
    Role.SHADE: Look(more="bold underline", dark="303030", light="e4e4e4"),
    Role.HIT: Look(more="underline", dark="5f4b00", light="fff0a8"),
    Role.NOW: Look("ansicyan", "bold"),
    Role.STEP: Look(),
    Role.ADDRESS: Look(more="dim"),
    Role.NUMBER: Look(),
    Role.SYMBOL: Look("ansigreen"),
    Role.SOURCE: Look("ansibrightblack"),
    Role.MNEMONIC: Look(more="bold"),
    Role.REGISTER: Look("ansicyan"),
    Role.CHANGED: Look("ansired", "bold"),
    Role.SET: Look(more="bold"),
    Role.NATIVE: Look("ansiyellow"),
    Role.PARAVIRTUAL: Look("ansimagenta"),
    Role.CPL0: Look("ansired"),
    Role.CPL1: Look("ansimagenta"),
    Role.CPL2: Look("ansiyellow"),
    Role.CPL3: Look("ansigreen"),
    Role.CALL: Look("ansimagenta"),
    Role.FAULT: Look("ansired"),
    Role.INTERRUPT: Look("ansiyellow"),
    Role.RETURN: Look(more="dim"),
    Role.FLAG: Look("ansicyan"),
    Role.PORT: Look(more="dim"),
    Role.CONSOLE: Look("ansigreen"),
    Role.INSTRUCTION: Look("ansibrightblue"),
    Role.MODE: Look("ansibrightblue", "bold"),
    Role.TIME: Look("ansiyellow"),
    Role.NOTE: Look(more="bold"),
    Role.DIVERGENCE: Look("ansired", "bold"),
}

GROUNDS: Final = frozenset({Role.BAR, Role.CURSOR, Role.SHADE, Role.HIT})


DARK, LIGHT, PLAIN = "dark", "light", "plain"
THEMES: Final = ("auto", DARK, LIGHT, PLAIN)


def theme(chosen: str, colours: str) -> str:
    """The one to use. `colours` is the terminal's COLORFGBG ("15;0": foreground; background); many terminals do not set
    it, and then nothing stands on a ground of its own colour: that could hide what is written there."""
    if chosen != "auto":
        return chosen
    ground = colours.rpartition(";")[2]
    if not ground.isdecimal():
        return PLAIN
    return LIGHT if int(ground) in (7, *range(9, 16)) else DARK


def rules(theme: str) -> dict[str, str]:
    """Style rules of prompt_toolkit, by class name."""
    return {role.value: _rule(role, look, theme) for role, look in LOOKS.items()}


def _rule(role: Role, look: Look, theme: str) -> str:
    if role not in GROUNDS:
        return f"{look.colour} {look.more}".strip()
    if theme == PLAIN:
        return f"fg:default bg:default {look.more} nodim"  # one colour, whatever stands on it
    return f"bg:#{look.light if theme == LIGHT else look.dark} noreverse nounderline nodim"


# ---------------------------------------------------------------------------- pictures

HUES: Final = {
    "ansired": "#e06c75",
    "ansigreen": "#98c379",
    "ansiyellow": "#e5c07b",
    "ansibrightblue": "#61afef",
    "ansimagenta": "#c678dd",
    "ansicyan": "#56b6c2",
    "ansibrightblack": "#8f959f",
}
"""The terminal's sixteen, as a picture has them."""

PAPER, INK, FAINT = "#1e2127", "#c8ccd4", "#8f959f"


def palette() -> Palette:
    """The colours of a picture: those of a dark terminal."""
    return Palette(PAPER, INK, {role: _ink(role, look) for role, look in LOOKS.items()})


def _ink(role: Role, look: Look) -> Ink:
    if role in GROUNDS:
        return Ink(ground=f"#{look.dark}")
    colour = HUES.get(look.colour) or (FAINT if "dim" in look.more else None)
    return Ink(colour, None, "bold" in look.more, "reverse" in look.more)
