"""Builds a machine from the files and settings that a trace also holds, so that both ways give the same machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import BootImage, File, boot_image
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.errors import TraceError
from pvtrace.model.inputs import Tape
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


@dataclass(frozen=True, slots=True)
class Given:
    """Everything that a machine is made from. `roms`: physical address and image."""

    guest: File
    modules: tuple[File, ...]
    roms: tuple[tuple[int, bytes], ...]
    command_line: str
    settings: Settings

    def boot_image(self) -> BootImage:
        """Raises InputError for a guest that cannot be loaded."""
        return boot_image(
            self.guest,
            ram_size=self.settings.ram,
            modules=self.modules,
            command_line=self.command_line,
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


def machine(given: Given, image: BootImage, tape: Tape) -> Machine:
    """The machine, booted: at the guest's first instruction."""
    built = Machine(UnicornCpu(given.settings.ram), tape, given.settings)
    built.boot(image)
    return built


def settings_json(given: Given) -> dict[str, Any]:
    """What of it is neither a file nor has a place of its own in the trace."""
    return {
        "append": given.command_line,
        "virtual_top": given.settings.virtual_top,
        "harsh_flags": given.settings.harsh_flags,
        "roms": [address for address, _ in given.roms],
    }


def given_from(files: Sequence[Any], ram: int, hz: int, clock: str, settings: Mapping[str, Any]) -> Given:
    """The inverse, from a trace's files and meta. Raises TraceError if something is missing."""
    try:
        guest = next(File(file.name, file.data) for file in files if file.role == "guest")
        modules = tuple(File(file.name, file.data) for file in files if file.role == "module")
        images = [file.data for file in files if file.role == "rom"]
        roms = tuple(zip(map(int, settings["roms"]), images, strict=True))
        return Given(
            guest=guest,
            modules=modules,
            roms=roms,
            command_line=str(settings["append"]),
            settings=Settings(
                ram=ram,
                hz=hz,
                host_clock=clock == "host",
                virtual_top=int(settings["virtual_top"]),
                harsh_flags=bool(settings["harsh_flags"]),
            ),
        )
    except (KeyError, StopIteration, TypeError, ValueError):
        raise TraceError("the trace does not hold all that its machine was made from") from None
