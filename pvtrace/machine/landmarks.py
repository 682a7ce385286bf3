"""Lines of a guest's console that mark a moment which people look for: a kernel's banner, a panic, an oops.

A table and a pure function; the journal asks it of every line, so that the notes are events like any other.
"""

import re
from typing import Final

PATTERNS: Final = (
    rb"Linux version \d",
    rb"Booting paravirtualized kernel",
    rb"Kernel panic",
    rb"BUG: ",
    rb"kernel BUG at ",
    rb"Oops: ",
    rb"Internal error: ",
    rb"general protection fault: ",
    rb"double fault: ",
    rb"Unable to handle kernel ",
    rb"Unable to mount root fs",
    rb"No working init found",
    rb"Out of memory: ",
    rb"INFO: (?:task|rcu)",
    rb"WARNING: at ",
    rb"System halted",
    rb"Power down",
    rb"Restarting system",
)
"""What Linux says at such moments, since 2.6."""

_TIME: Final = rb"^(?:<\d>)?(?:\[ *\d+\.\d+\] )?"
_LANDMARK: Final = re.compile(_TIME + rb"((?:" + rb"|".join(PATTERNS) + rb").*)")


def landmark(line: bytes) -> str | None:
    """What the line says, without its time stamp, if it is a landmark; else None."""
    found = _LANDMARK.match(line)
    return found[1].rstrip(b"\r\n").decode("ascii", "backslashreplace") if found else None
