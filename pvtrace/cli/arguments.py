"""Quantities, places and files as people write them on the command line. Pure but for looking for the newest file."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from pvtrace.model.errors import InputError
from pvtrace.model.events import KINDS, Kind
from pvtrace.model.kind_names import ALIASES, kinds_named
from pvtrace.vmi import steal
from pvtrace.vmi.steal import Steal
from pvtrace.x86 import latitude
from pvtrace.x86.latitude import Latitude
from rom.abi import CALLS, call_numbers

logger = logging.getLogger(__name__)

_SIZE = re.compile(r"(\d+)([kKmMgG]?)(?:i?[bB])?")
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DECIMAL = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_COUNT = re.compile(r"([\d_]+)([kKmMgG]?)")


class Size(click.ParamType[int]):
    """A number of bytes: 4096, 64k, 64M, 1G (powers of 1024)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not a size; write bytes, or 64k, 64M, 1G", param, ctx)
        return int(match[1]) * _BINARY[match[2].lower()]


class Count(click.ParamType[int]):
    """A number of steps, `least` or more: 5000000, 5_000_000, 5M (powers of 1000)."""

    name = "steps"

    def __init__(self, least: int = 0) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _COUNT.fullmatch(value)
        if match is None or not match[1].strip("_"):
            self.fail(f"{value!r} is not a number of steps; write 5000000, or 5M", param, ctx)
        count = int(match[1].replace("_", "")) * _DECIMAL[match[2].lower()]
        if count < self.least:
            self.fail(f"{value!r} is too few; the least is {self.least}", param, ctx)
        return count


class Address(click.ParamType[int]):
    """A linear address, hexadecimal with or without 0x."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            address = int(value, 16)
        except ValueError:
            address = -1
        if not 0 <= address < 1 << 32:
            self.fail(f"{value!r} is not an address; write 32 bits in hexadecimal, as 0x101234", param, ctx)
        return address


class AddressRange(click.ParamType[tuple[int, int]]):
    """An address, or two with a dash between: the first and the last."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        first, dash, last = value.partition("-")
        low = Address().convert(first, param, ctx)
        high = Address().convert(last, param, ctx) if dash else low
        if high < low:
            self.fail(f"{value!r} is empty; write the lower address first", param, ctx)
        return low, high


class Call(click.ParamType[frozenset[int]]):
    """A VMI call by its name, in any generation; see call_numbers."""

    name = "call"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[int]:
        if isinstance(value, frozenset):
            return value
        found = call_numbers(value)
        if not found:
            self.fail(f"{value!r} is no VMI call", param, ctx)
        return found

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        return [CompletionItem(call.name) for call in CALLS if call.name.startswith(incomplete)]


class Kinds(click.ParamType[frozenset[Kind]]):
    """Kinds of events by name or family, with commas between."""

    name = "kinds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[Kind]:
        if isinstance(value, frozenset):
            return value
        chosen: frozenset[Kind] = frozenset()
        for word in value.split(","):
            kinds = kinds_named(word)
            if not kinds:
                self.fail(f"{word!r} is no kind of event; there are {', '.join(_words())}", param, ctx)
            chosen |= kinds
        return chosen

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{word}") for word in _words() if word.startswith(last)]


class Ends(click.ParamType[Latitude]):
    """Where the proposal leaves freedom: NAME=kind or NAME=harsh, with commas between; see x86.latitude."""

    name = "latitude"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Latitude:
        if isinstance(value, Latitude):
            return value
        try:
            pairs = [item.split("=", 1) for item in value.split(",")]
            if any(len(pair) != 2 for pair in pairs):
                raise ValueError(f"{value!r} names no end; write NAME={latitude.KIND} or NAME={latitude.HARSH}")
            return latitude.chosen(dict(pairs))
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        before, comma, last = incomplete.rpartition(",")
        ends = [f"{name}={end}" for name in (latitude.ALL, *latitude.NAMES) for end in (latitude.KIND, latitude.HARSH)]
        return [CompletionItem(f"{before}{comma}{end}") for end in ends if end.startswith(last)]


class Schedule(click.ParamType[Steal]):
    """When something else runs: 10ms/100ms, or windows of time; see vmi.steal."""

    name = "schedule"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Steal:
        if isinstance(value, Steal):
            return value
        try:
            return steal.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _words() -> list[str]:
    return ["all", *sorted(set(ALIASES)), *sorted(info.name for info in KINDS.values())]


def newest(folder: Path) -> Path:
    """The recording in `folder` that was written last; InputError if there is none."""
    recordings = sorted(folder.glob("*.pvt"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    if not recordings:
        raise InputError(
            "there is no recording (*.pvt) in the current folder; name one, or make one with pvtrace record"
        )
    return recordings[-1]


def recording_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the optional argument FILE, a recording; `chosen` makes a path of it."""
    return click.argument("file", required=False, type=click.Path(path_type=Path))(command)


def chosen(file: Path | None) -> Path:
    """The recording that was named, else the newest one of the current folder."""
    if file is not None:
        return file
    found = newest(Path())
    logger.info("the newest recording here is %s", found)
    return found


def shown(path: Path) -> str:
    """A path as a person would write it here: without the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
