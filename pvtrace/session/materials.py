"""What a recording is made from, read from the user's files: the guest and all that it is given, names and lines.

Whatever is wrong with one of those files is an InputError before anything runs.
"""

from pathlib import Path

from pvtrace.machine.boot import File
from pvtrace.machine.devices import disk_image
from pvtrace.machine.machine import Settings
from pvtrace.model.errors import InputError, UsageError
from pvtrace.session import build
from pvtrace.session.names import Names, contents, rom_name
from pvtrace.session.options import RecordOptions
from pvtrace.store.rows import TraceFile
from pvtrace.vmi.steal import NOTHING
from pvtrace.x86.initrd import cut_off


def _read(path: Path) -> File:
    return File(path.name, contents(path))


def _disk(path: Path) -> File:
    """Refused by its size before it is read."""
    try:
        size = path.stat().st_size
    except OSError:
        size = None  # reading it says why not
    if size is not None and path.is_file():
        disk_image.check(path.name, size)
    return _read(path)


def _initrd(path: Path) -> File:
    file = _read(path)
    if cut_off(file.data):
        raise InputError(f"initrd {file.name} is truncated: it ends in the middle of an archive")
    return file


def _module(text: str | Path) -> File:
    """A file, or behind its name and a space the arguments that the guest is to see."""
    if isinstance(text, Path) or Path(text).exists():
        return _read(Path(text))
    name, _, arguments = text.partition(" ")
    return _read(Path(name))._replace(arguments=arguments)


def given(options: RecordOptions) -> build.Given:
    """Everything that the machine is made from."""
    if options.steal != NOTHING and options.clock == "host":
        raise UsageError("stolen time is made from virtual time: --steal cannot go with --clock host")
    return build.Given(
        guest=_read(options.guest),
        modules=tuple(_module(module) for module in options.modules),
        initrd=None if options.initrd is None else _initrd(options.initrd),
        disk=None if options.disk is None else _disk(options.disk),
        load=options.load,
        entry=options.entry,
        roms=build.roms_of(options.vmi),
        command_line=options.append,
        settings=Settings(
            ram=options.ram,
            hz=options.hz,
            host_clock=options.clock == "host",
            latitude=options.latitude,
            user_if=options.user_if,
            steal=options.steal,
        ),
    )


def files(given: build.Given) -> list[TraceFile]:
    """The same as a trace keeps it."""
    optional = {"initrd": given.initrd, "disk": given.disk}
    return [
        TraceFile("guest", given.guest.name, given.guest.data),
        *(TraceFile("module", module.name, module.data) for module in given.modules),
        *(TraceFile(role, file.name, file.data) for role, file in optional.items() if file is not None),
        *(TraceFile("rom", rom_name(address), rom) for address, rom in given.roms),
    ]


def names(options: RecordOptions, given: build.Given) -> Names:
    """Raises InputError for a file of symbols that cannot be read or has none."""
    return Names(given.guest.name, given.guest.data, options.symbols)
