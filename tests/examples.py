"""How many examples the laws draw. `PVTRACE_EXAMPLES=20 pytest tests/laws` draws twenty times as many, all of them
fresh; in a usual run some tests take the same ones each time."""

import os
from typing import Final

TIMES: Final = int(os.environ.get("PVTRACE_EXAMPLES", "1"))

SAME: Final = TIMES == 1
"""Whether a test that may take the same examples each time does."""


def examples(usual: int) -> int:
    """So many where a usual run draws this many."""
    return usual * TIMES
