"""Builds a machine from the files and settings that a trace also holds, so that both ways give the same machine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import BootImage, File, boot_image
from pvtrace.machine.devices import disk_image
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.errors import TraceError
from pvtrace.model.inputs import Tape
from pvtrace.vmi import steal
from pvtrace.x86 import latitude
from rom.abi import Generation
from rom.build import DEFAULT_VIRTUAL_TOP, build, standard

ROM_START: Final = 0xC8000
ROM_ALIGNMENT: Final = 2048
PROFILES: Final[Mapping[str, tuple[Generation, ...]]] = {
    "both": (Generation.V13, Generation.V3),
    "3.0": (Generation.V3,),
    "13.3": (Generation.V13,),
    "none": (),
}
"""The ROMs of each profile, lowest address first: a 13.0 guest stops at the first ROM, a 3.0 guest looks on."""

LOADER: Final = "pvtrace"


class Given(NamedTuple):
    """Everything that a machine is made from. `roms`: physical address and image."""

    guest: File
    modules: tuple[File, ...]
    roms: tuple[tuple[int, bytes], ...]
    command_line: str
    settings: Settings
    initrd: File | None = None
    disk: File | None = None
    load: int | None = None
    entry: int | None = None

    def boot_image(self) -> BootImage:
        """Raises InputError for a guest that cannot be loaded, and for a disk that can be none."""
        if self.disk is not None:
            disk_image.check(self.disk.name, len(self.disk.data))
        return boot_image(
            self.guest,
            ram_size=self.settings.ram,
            modules=self.modules,
            initrd=self.initrd,
            disks=int(self.disk is not None),
            command_line=self.command_line,
            load=self.load,
            entry=self.entry,
            roms=self.roms,
            loader=LOADER,
        )


def roms_of(profile: str) -> tuple[tuple[int, bytes], ...]:
    """The ROMs of a profile, side by side from C8000h on."""
    placed: list[tuple[int, bytes]] = []
    address = ROM_START
    for generation in PROFILES[profile]:
        spec = standard(generation)
        if generation is Generation.V3:
            spec = replace(spec, virtual_top=DEFAULT_VIRTUAL_TOP)
        image = build(spec)
        placed.append((address, image))
        address += -(-len(image) // ROM_ALIGNMENT) * ROM_ALIGNMENT
    return tuple(placed)


def bare(given: Given, tape: Tape, *, watchful: bool = False) -> Machine:
    """The machine with nothing in its memory: to be booted, or to be restored. `watchful`: see engine.unicorn_cpu."""
    built = Machine(UnicornCpu(given.settings.ram, watchful=watchful), tape, given.settings)
    if given.disk is not None:
        built.platform.attach_disk(given.disk.data)
    return built


def machine(given: Given, image: BootImage, tape: Tape, *, watchful: bool = False) -> Machine:
    """The machine, booted: at the guest's first instruction."""
    built = bare(given, tape, watchful=watchful)
    built.boot(image)
    return built


def settings_json(given: Given) -> dict[str, Any]:
    """What of it is neither a file nor has a place of its own in the trace."""
    return {
        "append": given.command_line,
        "module_arguments": [module.arguments for module in given.modules],
        "load": given.load,
        "entry": given.entry,
        "virtual_top": given.settings.virtual_top,
        "latitude": latitude.to_words(given.settings.latitude),
        "user_if": given.settings.user_if,
        "steal": steal.text(given.settings.steal),
        "roms": [address for address, _ in given.roms],
    }


def given_from(files: Sequence[Any], ram: int, hz: int, clock: str, settings: Mapping[str, Any]) -> Given:
    """The inverse, from a trace's files and meta. Raises TraceError if something is missing or cannot be."""
    try:
        if hz <= 0:
            raise ValueError
        guest = next(File(file.name, file.data) for file in files if file.role == "guest")
        modules = [file for file in files if file.role == "module"]
        arguments = [str(text) for text in settings["module_arguments"]]
        initrd = next((File(file.name, file.data) for file in files if file.role == "initrd"), None)
        disk = next((File(file.name, file.data) for file in files if file.role == "disk"), None)
        images = [file.data for file in files if file.role == "rom"]
        roms = tuple(zip(map(int, settings["roms"]), images, strict=True))
        return Given(
            guest=guest,
            modules=tuple(File(m.name, m.data, text) for m, text in zip(modules, arguments, strict=True)),
            roms=roms,
            command_line=str(settings["append"]),
            initrd=initrd,
            disk=disk,
            load=settings["load"],
            entry=settings["entry"],
            settings=Settings(
                ram=ram,
                hz=hz,
                host_clock=clock == "host",
                virtual_top=int(settings["virtual_top"]),
                latitude=latitude.chosen(settings["latitude"]),
                user_if=bool(settings["user_if"]),
                steal=steal.parse(settings["steal"]),
            ),
        )
    except (KeyError, StopIteration, TypeError, ValueError):
        raise TraceError("the trace does not hold all that its machine was made from") from None
