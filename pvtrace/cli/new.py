"""`pvtrace new`."""

from importlib import resources
from pathlib import Path

import click

from pvtrace.cli.voice import quiet, voiced
from pvtrace.model.errors import InputError

PURPOSE = {
    "guest.c": "your guest: start here",
    "vmi.h": "every VMI call as a C function",
    "vmi.c": "how a guest finds the ROM and calls it",
    "guest.ld": "where the linker puts things",
    "Makefile": "make builds guest.elf, make run records it",
}
"""What to look at first; the other files are the small runtime below."""


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@voiced
def new(folder: Path) -> None:
    """Write a kit for a guest of your own.

    A small kernel in C that finds the VMI ROM, prints and shuts down, with everything that it needs: a header with the
    calls, a link script, a Makefile. It is yours to change. DIR is created; no file is overwritten.

    \b
    Example:
      pvtrace new mine && make -C mine && pvtrace record mine/guest.elf
    """
    source = resources.files("pvtrace.demo").joinpath("kit")
    kit = {item.name: item.read_bytes() for item in source.iterdir() if item.is_file()}
    for taken in (folder / name for name in sorted(kit)):
        if taken.exists():
            raise InputError(f"{taken} exists already; name a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in kit.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {error.filename}: {error.strerror}") from error
    if not quiet():
        click.echo(f"wrote {len(kit)} files to {folder}:")
        for name, purpose in PURPOSE.items():
            click.echo(f"  {name:10} {purpose}")
