"""Whether this computer can run pvtrace at all; asked before anything else, on whatever Python runs it."""

from __future__ import annotations  # see main

import platform
import sys

NEEDS = "pvtrace needs Linux on x86-64 and Python 3.11 or newer"


def unsuitable(
    system: str = sys.platform,
    machine: str = platform.machine(),
    version: tuple[int, ...] = tuple(sys.version_info[:2]),
) -> str | None:
    """One sentence about what is wrong with this host, or None. `version`: major, minor of Python."""
    if system == "linux" and machine == "x86_64" and version >= (3, 11):
        return None
    return f"{NEEDS}; this is {system} on {machine} with Python {'.'.join(map(str, version))}"
