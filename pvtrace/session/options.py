"""What a user may ask of a recording, and the name of the file it goes to."""

from pathlib import Path
from typing import Literal, NamedTuple

from pvtrace.model.errors import InputError, UsageError
from pvtrace.vmi.steal import NOTHING, Steal
from pvtrace.x86.latitude import DEFAULT, Latitude


class RecordOptions(NamedTuple):
    """`ram`, `max_size` in bytes; `until`: a step, seconds of virtual time ("20s") or a symbol; `timeout` in seconds of
    the host; `hz`: steps per second of virtual time; `latitude`, `user_if`, `steal`: see machine.Settings; `console`:
    "-", "null" or a file's name. A module is a file, behind whose name arguments for the guest may follow; `disk`:
    the image of an IDE disk; `load`, `entry`: physical addresses for a flat binary. `typed`: see
    tape.script.parse; `typing`: the device at which all input arrives; `break_on`: session.breaks.parse;
    `symbols`: session.names.Names."""

    guest: Path
    output: Path | None = None
    vmi: Literal["both", "3.0", "13.3", "none"] | str = "both"
    ram: int = 64 << 20
    append: str = ""
    modules: tuple[str | Path, ...] = ()
    initrd: Path | None = None
    disk: Path | None = None
    load: int | None = None
    entry: int | None = None
    until: str | None = None
    timeout: float | None = None
    clock: Literal["virtual", "host"] | str = "virtual"
    hz: int = 100_000_000
    latitude: Latitude = DEFAULT
    user_if: bool = False
    steal: Steal = NOTHING
    console: str = "-"
    input: Path | None = None
    typed: tuple[str, ...] = ()
    typing: Literal["serial", "keyboard"] | str = "serial"
    break_on: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    checkpoint_every: int | None = None
    max_size: int | None = None
    force: bool = False


def output_path(options: RecordOptions, folder: Path) -> Path:
    """GUEST.pvt in `folder`, else the first free one of GUEST-2.pvt, GUEST-3.pvt ...; what -o names is only
    overwritten with --force."""
    if options.output is not None:
        if options.output.is_dir():
            raise InputError(f"cannot write {options.output}: it is a folder")
        if options.output.exists() and not options.force:
            raise UsageError(f"{options.output} exists; --force overwrites it")
        return options.output
    stem = options.guest.stem
    candidate, number = folder / f"{stem}.pvt", 2
    while candidate.exists():
        candidate, number = folder / f"{stem}-{number}.pvt", number + 1
    return candidate
