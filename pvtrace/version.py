"""The version of pvtrace: here, and from here in the package that is built."""

from typing import Final

VERSION: Final = "0.1.0"
