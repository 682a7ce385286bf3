"""Where the Unicorn library of the installed Python package lies."""

import ctypes
from functools import cache
from importlib import resources

from pvtrace.model.errors import EngineError

NAME = "unicorn"


@cache
def path() -> str:
    """Path of libunicorn; EngineError if the package does not bring it."""
    folder = resources.files("unicorn") / "lib"
    for name in ("libunicorn.so.2", "libunicorn.so"):
        library = folder / name
        if library.is_file():
            return str(library)
    raise EngineError(f"the Python package unicorn has no library libunicorn.so.2 in {folder}")


@cache
def version() -> str:
    """What the library says of itself, as a trace records it: "2.1.4"."""
    major, minor, patch, _ = ctypes.CDLL(path()).uc_version(None, None).to_bytes(4, "big")
    return f"{major}.{minor}.{patch}"
