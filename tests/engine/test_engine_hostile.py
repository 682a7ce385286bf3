"""No guest may crash or hang the emulator: hostile.py, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

HOSTILE = Path(__file__).with_name("hostile.py")
SLICES = 4
GUESTS = 40


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SLICES * GUESTS, GUESTS))
def test_hostile_guests(first: int) -> None:
    done = subprocess.run(
        [sys.executable, HOSTILE, str(first), str(GUESTS)], capture_output=True, text=True, check=False, timeout=120
    )
    lines = done.stdout.split("\n")
    assert done.returncode == 0, f"guest {[line for line in lines if line][-1:]}: {done.stderr[-500:]}"
    assert "survived" in lines
