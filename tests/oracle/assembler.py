"""Guests in the words of the field: NASM."""

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest


@cache
def assemble(source: str, origin: int) -> bytes:
    """32-bit code that will lie at `origin`. Without NASM the test is skipped, but fails in CI."""
    if shutil.which("nasm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have nasm")
        pytest.skip("nasm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        text, code = Path(folder, "guest.asm"), Path(folder, "guest.bin")
        text.write_text(f"bits 32\norg {origin:#x}\n{source}\n")
        subprocess.run(["nasm", "-f", "bin", "-o", code, text], check=True)
        return code.read_bytes()
