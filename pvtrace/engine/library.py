"""Where the Unicorn library of the installed Python package lies."""

from functools import cache
from importlib import metadata, resources

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


def version() -> str:
    """Version of the installed package, as a trace records it."""
    return metadata.version("unicorn")
