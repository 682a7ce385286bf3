"""Fixtures that any test may use."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], Path]:
    """`require_tool(name)` gives the path of a program. Without it the test is skipped, but fails in CI."""

    def find(name: str) -> Path:
        path = shutil.which(name)
        if path is not None:
            return Path(path)
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")

    return find
