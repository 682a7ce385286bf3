"""`pvtrace rom build|inspect|scan`: files and words around the package rom, which does the work."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from pvtrace.cli.arguments import Address
from pvtrace.cli.voice import quiet, voiced
from pvtrace.model.errors import InputError
from rom.abi import Generation, by_name
from rom.build import build as build_image
from rom.build import entry_points, standard
from rom.layout import CHUNK, MINOR, RomError
from rom.parse import FieldValue, Rom, parse
from rom.scan import AREA
from rom.scan import scan as scan_memory

_GENERATIONS: Final = {f"{generation}.{MINOR[generation]}": generation for generation in Generation}
_LONGEST: Final = 255 * CHUNK
"""No ROM is longer: romLength is one byte."""
_SHOWN: Final = 16
"""Longer fields are shown by this many bytes."""

_file = click.argument("file", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
@voiced
def rom() -> None:
    """Build, inspect and scan VMI ROM images.

    \b
    Example:
      pvtrace rom build --vmi 3.0 -o vmi.rom
      pvtrace rom inspect vmi.rom
    """


@rom.command("build")
@click.option(
    "--vmi", type=click.Choice(list(_GENERATIONS)), default="3.0", show_default=True, help="Version of the interface."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The file to write; default: vmi-VERSION[-native].rom."
)
@click.option(
    "--virtual-top", type=Address(), help="First linear address of the hypervisor, 0 for none; default: FC000000."
)
@click.option("--native", is_flag=True, help="For bare hardware: each call as the native instructions it stands for.")
@voiced
def build(vmi: str, output: Path | None, virtual_top: int | None, native: bool) -> None:
    """Write the ROM image that pvtrace shows to guests.

    With --native, write one for a machine without a hypervisor instead: a kernel that finds it runs natively through
    its calls; timers, announcements and the like do nothing.

    Behind offset 64 it is an ELF file whose symbols name every entry point.

    \b
    Example:
      pvtrace rom build --vmi 13.3 -o vmi.rom
      tail -c +65 vmi.rom >symbols && readelf -Ws symbols
    """
    spec = replace(standard(_GENERATIONS[vmi]), native=native)
    if native and virtual_top is None:
        spec = replace(spec, virtual_top=0)
    try:
        if virtual_top is not None:
            spec = replace(spec, virtual_top=virtual_top)
        image = build_image(spec)
    except RomError as error:
        raise click.BadOptionUsage("virtual_top", str(error)) from error
    path = output or Path(f"vmi-{vmi}-native.rom" if native else f"vmi-{vmi}.rom")
    try:
        path.write_bytes(image)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    if not quiet():
        click.echo(
            f"{path}: VMI {vmi}{' native' if native else ''} ROM, {len(image):,} bytes, "
            f"{len(entry_points(spec))} entry points"
        )


@rom.command("inspect")
@_file
@_json
@voiced
def inspect(file: Path, as_json: bool) -> None:
    """Print every field of a ROM image, what it means, and what is wrong.

    The exit code is 3 if a scanner would pass the ROM over.

    \b
    Example:
      pvtrace rom inspect vmi.rom
    """
    image = _read(file, 0, _LONGEST)
    try:
        found = parse(image)
    except RomError as error:
        raise InputError(f"{file} is no VMI ROM: {error}") from error
    click.echo(json.dumps(_as_json(found), indent=2) if as_json else "\n".join(_lines(found)))
    if found.errors:
        raise InputError(f"{file} is a bad ROM: {found.errors[0]}")


@rom.command("scan")
@_file
@click.option("--base", type=Address(), default="0", show_default=True, help="Physical address of FILE's first byte.")
@_json
@voiced
def scan(file: Path, base: int, as_json: bool) -> None:
    """Look for VMI ROMs in FILE, an image of physical memory.

    Looks at every 2 KiB from C8000h to DFFFFh, as guests do, and tells why other ROMs are passed over.

    \b
    Example:
      pvtrace rom scan memory.bin
      pvtrace rom scan --base C0000 area.bin
    """
    start = max(base, AREA.start)
    memory = _read(file, start - base, max(AREA.stop - start, 0))
    if not memory:
        limits = f"{AREA.start:X}h to {AREA.stop - 1:X}h"
        raise InputError(f"{file}, which begins at {base:X}h, holds nothing of {limits}; see --base")
    result = scan_memory(memory, start)
    if as_json:
        found = [{"address": f.address, **_as_json(f.rom)} for f in result.found]
        passed = [{"address": p.address, "reason": p.reason} for p in result.passed]
        click.echo(json.dumps({"found": found, "passed_over": passed}, indent=2))
        return
    for f in result.found:
        click.echo(f"{f.address:05X}  VMI {f.rom.version} ROM, {f.rom.size:,} bytes")
        for problem in f.rom.problems:
            click.echo(f"       {problem.severity}: {problem}")
    for p in result.passed:
        click.echo(f"{p.address:05X}  passed over: {p.reason}")
    if not result.found:
        click.echo("no VMI ROM found")


def _read(file: Path, offset: int, size: int) -> bytes:
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error


def _lines(found: Rom) -> list[str]:
    """The whole image for people."""
    lines = [f"VMI {found.version} ROM, {found.size:,} bytes, {len(found.symbols)} symbols"]
    structure = ""
    for field in found.fields:
        if field.structure != structure:
            structure = field.structure
            lines += ["", f"{structure}:"]
        lines.append(f"  {field.offset:04X} {field.size:3}  {field.name:<18} {_text(field):<24} {field.meaning}")
    if found.entry_points:
        lines += ["", "entry points:"]
    for entry in found.entry_points:
        what = by_name(entry.name).doc if entry.trap else "(no trap of pvtrace)"
        lines.append(f"  {entry.offset:04X} {entry.number:3}  {entry.name:<23} {what}")
    lines += ["", *(f"{problem.severity}: {problem}" for problem in found.problems)]
    return lines if found.problems else [*lines, "nothing is wrong"]


def _text(field: FieldValue) -> str:
    """A value as it is read aloud; strings of unknown origin are escaped."""
    match field.value:
        case int(number):
            return f"{number:0{2 * field.size}X}h"
        case str(text):
            return json.dumps(text)
        case data:
            return data.hex(" ").upper() if len(data) <= _SHOWN // 2 else data[:4].hex(" ").upper() + " ..."


def _as_json(found: Rom) -> dict[str, Any]:
    return {
        "version": found.version,
        "size": found.size,
        "fields": [
            {
                "structure": field.structure,
                "name": field.name,
                "offset": field.offset,
                "size": field.size,
                "value": field.value.hex() if isinstance(field.value, bytes) else field.value,
                "meaning": field.meaning,
            }
            for field in found.fields
        ],
        "entry_points": [
            {"offset": entry.offset, "number": entry.number, "name": entry.name, "trap": entry.trap}
            for entry in found.entry_points
        ],
        "symbols": [{"name": symbol.name, "offset": symbol.offset, "size": symbol.size} for symbol in found.symbols],
        "problems": [
            {"field": problem.field, "severity": problem.severity, "sentence": problem.sentence}
            for problem in found.problems
        ],
    }
