"""What a piece of text on the screen is, from which its colour follows. Names only; colours are in style.py."""

from enum import StrEnum
from typing import Final

from pvtrace.model.events import KINDS, Kind
from pvtrace.model.findings import Standing


class Role(StrEnum):
    """The value is the name of the style class."""

    PLAIN = "plain"
    DIM = "dim"  # there, but not what one looks for
    STRONG = "strong"
    TITLE = "title"  # of a pane without the focus
    FOCUS = "focus"  # of the pane that has it
    BORDER = "border"
    BAR = "bar"  # the top line
    KEY = "key"  # a key that can be pressed
    ERROR = "error"
    WARNING = "warning"
    GOOD = "good"
    # grounds, for Span.on
    CURSOR = "cursor"  # the row that one stands on, in the pane with the focus
    SHADE = "shade"  # the same in the others
    HIT = "hit"  # what was searched for
    NOW = "now"  # the place in time
    # the machine
    STEP = "step"
    ADDRESS = "address"
    NUMBER = "number"
    SYMBOL = "symbol"
    SOURCE = "source"
    MNEMONIC = "mnemonic"
    REGISTER = "register"
    CHANGED = "changed"  # by the last step
    SET = "set"  # a flag that is 1
    NATIVE = "native"
    PARAVIRTUAL = "paravirtual"
    CPL0 = "cpl0"
    CPL1 = "cpl1"
    CPL2 = "cpl2"
    CPL3 = "cpl3"
    # events by family (model.events.KINDS)
    CALL = "call"
    FAULT = "fault"
    INTERRUPT = "interrupt"
    RETURN = "return"
    FLAG = "flag"
    PORT = "port"
    CONSOLE = "console"
    INSTRUCTION = "instruction"
    MODE = "mode"
    TIME = "time"
    NOTE = "note"
    DIVERGENCE = "divergence"


CPL: Final = (Role.CPL0, Role.CPL1, Role.CPL2, Role.CPL3)
"""By privilege level: grounds of a colour band."""


def family(kind: Kind) -> Role:
    """The role of an event of this kind."""
    return Role(KINDS[kind].family)


STANDING: Final = {
    Standing.PROVEN: ("◆", "proven", Role.DIVERGENCE),
    Standing.HAZARD: ("◇", "hazard", Role.WARNING),
    Standing.POTENTIAL: (" ", "potential", Role.DIM),
}
"""A finding by its standing: a glyph, a word, a colour."""
