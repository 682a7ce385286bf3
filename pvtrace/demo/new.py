"""Writes the kit, a guest of one's own to begin with. The demo guests are built from the same files.

Nothing of pvtrace is imported here.
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

FILES: Final[tuple[str, ...]] = (
    "README.md",
    "Makefile",
    "guest.c",
    "guest.ld",
    "vmi.h",
    "vmi.c",
    "console.c",
    "crt.S",
    "traps.h",
    "traps.c",
    "entry.S",
    "timer.c",
    "paging.c",
)
"""What a new guest is made of, in reading order."""


def write_kit(directory: Path) -> tuple[Path, ...]:
    """Write the kit into a directory, made if it is not there; return the files in reading order.

    Raises FileExistsError if the directory is not empty or the name is that of a file, and nothing is written then;
    other OSErrors as they come.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty")
    kit = files("pvtrace.demo") / "kit"
    written = tuple(directory / name for name in FILES)
    for path in written:
        path.write_bytes((kit / path.name).read_bytes())
    return written
