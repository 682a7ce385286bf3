"""Run a guest as `pvtrace record` does, and write nothing: what is left is the price of writing.

Usage: python bench/unwritten.py GUEST [INITRD] [APPEND] [--vmi WHICH]
"""

from pathlib import Path

import click

from pvtrace.model.events import Event
from pvtrace.model.inputs import Input
from pvtrace.model.packed import Packed
from pvtrace.model.step import Step
from pvtrace.session import build, console, materials
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import outside
from pvtrace.tape.recording import RecordingTape
from pvtrace.timeline.pace import RECORDING


class Nowhere:
    """Satisfies tape.recording.Sink."""

    def input(self, item: Input) -> None:
        del item

    def event(self, event: Event) -> None:
        del event

    def many(self, events: Packed) -> None:
        del events


@click.command()
@click.argument("guest", type=click.Path(path_type=Path))
@click.option("--initrd", type=click.Path(path_type=Path))
@click.option("--append", default="")
@click.option("--vmi", default="both")
def main(guest: Path, initrd: Path | None, append: str, vmi: str) -> None:
    """To the guest's end."""
    options = RecordOptions(guest, None, initrd=initrd, append=append, vmi=vmi, console="null")
    given = materials.given(options)
    image = given.boot_image()
    with console.opened(options) as guests:
        machine = build.machine(given, image, RecordingTape(Nowhere(), outside(options, guests, guests.keyboard)))
        while not machine.run(Step(machine.step + RECORDING.most)).ended:
            pass


if __name__ == "__main__":
    main()
