"""The version of pvtrace, as the installed package says it."""

from importlib import metadata

VERSION = metadata.version("pvtrace")
