"""`pvtrace record`. What only --gdb and --twin need is loaded for them, so that everything else starts the sooner."""

import logging
import shlex
import sys
from importlib import import_module
from pathlib import Path

import click

from pvtrace.cli import symbols
from pvtrace.cli.arguments import Address, Count, Ends, Kinds, Schedule, Size, shown
from pvtrace.cli.exit_codes import GUEST_FAILED, INTERRUPTED, TIMED_OUT, WELL
from pvtrace.cli.listening import Where, gdb_options, one_file, where
from pvtrace.cli.progress import Progress, size
from pvtrace.cli.voice import quiet, voiced
from pvtrace.cli.watching import Watching
from pvtrace.machine.clock import DEFAULT_HZ
from pvtrace.model.errors import UsageError
from pvtrace.model.events import Kind
from pvtrace.model.stops import Stop, Why
from pvtrace.report.describe import describe, no_symbols
from pvtrace.report.table import line
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import RecordResult
from pvtrace.session.record import record as run
from pvtrace.vmi.steal import NOTHING, Steal
from pvtrace.x86.latitude import DEFAULT, Latitude

logger = logging.getLogger(__name__)


@click.command()
@click.argument("guest", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Recording to write.  [default: GUEST.pvt here]")
@click.option(
    "--vmi",
    type=click.Choice(["both", "3.0", "13.3", "none"]),
    default="both",
    show_default=True,
    help="Generations of the VMI ROMs that the guest finds.",
)
@click.option("--ram", type=Size(), default="64M", show_default=True, help="Memory of the guest.")
@click.option("--append", default="", metavar="TEXT", help="Command line of the guest.")
@click.option(
    "--module",
    "modules",
    metavar="'FILE ARGS'",
    multiple=True,
    help="Multiboot module; repeatable.",
)
@click.option("--initrd", type=click.Path(path_type=Path), help="Initial RAM disk of a Linux kernel.")
@click.option("--disk", type=click.Path(path_type=Path), help="Image of an IDE disk; the file itself never changes.")
@click.option("--load", type=Address(), help="GUEST is a flat binary: its physical address.")
@click.option("--entry", type=Address(), help="Its first instruction.  [default: its first byte]")
@click.option("--until", metavar="STEP|20s|SYMBOL", help="Stop at a step, a virtual time or a function.")
@click.option(
    "--break-on",
    multiple=True,
    metavar="EVENT",
    help="Stop at 'fault', 'fault PF', 'call SetPxE', 'divergence', 'console TEXT' or a function; repeatable.",
)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="S", help="Stop after S seconds of yours.")
@click.option(
    "--clock",
    type=click.Choice(["virtual", "host"]),
    default="virtual",
    show_default=True,
    help="What the guest's time follows: its own steps, or the host's clock.",
)
@click.option("--hz", type=click.IntRange(1), default=DEFAULT_HZ, show_default=True, help="Steps per virtual second.")
@click.option(
    "--latitude",
    type=Ends(),
    metavar="NAME=kind|harsh,...",
    default=DEFAULT,
    help="Where VMI leaves freedom: flags, stack32, fault-eip, stack16, iret-fault, defer, all.  "
    "[default: harsh for the first two]",
)
@click.option(
    "--user-if",
    type=click.Choice(["ignore", "honour"]),
    default="ignore",
    show_default=True,
    help="What CLI and STI of user code at virtual IOPL 3 do.",
)
@click.option(
    "--steal", type=Schedule(), default=NOTHING, metavar="10ms/100ms", help="Let something else run so long, so often."
)
@click.option("--console", default="-", show_default=True, metavar="-|null|FILE", help="The guest's serial console.")
@click.option("--input", "typed_from", type=click.Path(path_type=Path), help="File that is typed on the console.")
@click.option(
    "--type", "typed", multiple=True, metavar="[WAIT=>]TEXT", help="Type TEXT once the guest said WAIT; repeatable."
)
@click.option(
    "--typing",
    type=click.Choice(["serial", "keyboard"]),
    default="serial",
    show_default=True,
    help="Where all that is typed arrives: the console, or the PC's keyboard.",
)
@click.option(
    "--symbols", "symbol_files", multiple=True, metavar="FILE[@OFFSET]", help="More names: ELF, System.map; repeatable."
)
@click.option(
    "--checkpoint-every", type=Count(least=1), metavar="STEPS", help="Distance of checkpoints.  [default: chosen]"
)
@click.option("--max-size", type=Size(), help="Stop before the recording grows larger.")
@click.option("--print", "printed", type=Kinds(), help="Events to print as they happen: calls,faults,flags ...")
@click.option("--twin", is_flag=True, help="Record it without VMI ROMs as well, and compare: GUEST.native.pvt.")
@click.option("--force", is_flag=True, help="Overwrite the file that -o names.")
@gdb_options
@voiced
def record(
    *,
    guest: Path | None,
    output: Path | None,
    vmi: str,
    ram: int,
    append: str,
    modules: tuple[str, ...],
    initrd: Path | None,
    disk: Path | None,
    load: int | None,
    entry: int | None,
    until: str | None,
    timeout: float | None,
    clock: str,
    hz: int,
    latitude: Latitude,
    user_if: str,
    steal: Steal,
    console: str,
    typed_from: Path | None,
    typed: tuple[str, ...],
    typing: str,
    break_on: tuple[str, ...],
    symbol_files: tuple[str, ...],
    checkpoint_every: int | None,
    max_size: int | None,
    printed: frozenset[Kind] | None,
    twin: bool,
    force: bool,
    gdb: str | None,
    no_gdb: bool,
) -> int:
    """Run a guest and record it.

    GUEST is a 32-bit ELF file, Multiboot or not. Whatever happens is recorded; Ctrl-C ends the run and keeps it. The
    guest's console is yours: what you type goes to the guest.

    With --gdb it stands at its first instruction until gdb lets it run, and you can go back in what has run so far.

    \b
    Example:
      pvtrace record kernel.elf --print faults,flags
    """
    served_at, named = where(gdb, no_gdb)
    guest = one_file(guest, named)
    if guest is None:
        raise click.UsageError("Missing argument 'GUEST'.")
    options = RecordOptions(
        guest=guest,
        output=output,
        vmi=vmi,
        ram=ram,
        append=append,
        modules=modules,
        initrd=initrd,
        disk=disk,
        load=load,
        entry=entry,
        until=until,
        timeout=timeout,
        clock=clock,
        hz=hz,
        latitude=latitude,
        user_if=user_if == "honour",
        steal=steal,
        console=console,
        input=typed_from,
        typed=typed,
        typing=typing,
        break_on=break_on,
        symbols=symbol_files,
        checkpoint_every=checkpoint_every,
        max_size=max_size,
        force=force,
    )
    if twin:
        if served_at is not None:
            raise UsageError("--twin records twice: it cannot go with --gdb")
        return int(import_module("pvtrace.cli.record_twin").record_twin(options, printed or frozenset()))
    result = perform(options, printed or frozenset(), served_at)
    say("\n".join([recorded(result), *not_typed(result), *next_commands(result.path)]))
    code = exit_code(result)
    if code == GUEST_FAILED:
        click.echo(f"pvtrace: the guest failed at step {result.stop.step}: {ending(result.stop)}", err=True)
    return code


def say(text: str) -> None:
    """To the terminal, unless the person asked for silence."""
    if not quiet():
        click.echo(text, err=True)


def perform(
    options: RecordOptions, printed: frozenset[Kind] = frozenset(), served_at: Where | None = None
) -> RecordResult:
    """Record, with progress, console and the `printed` kinds of events on the terminal; under gdb, if it is served."""
    names = symbols.of_guest(options.guest, options.symbols) if printed else no_symbols
    watching = Watching(
        Progress("recording", sys.stderr, wanted=not quiet()),
        notes=sys.stderr,
        describe=lambda event: line(event, names),
        printed=printed,
        announced=not quiet(),
        screen=sys.stdout.buffer if options.console == "-" else None,
    )
    machine = (options.guest, size(options.ram), options.vmi, f"{options.hz:,}", options.clock)
    logger.info("%s: %s of memory, VMI %s, %s Hz, %s clock", *machine)
    try:
        if served_at is None:
            result = run(options, watching)
        else:
            under_gdb = import_module("pvtrace.gdb.serve").record
            result = under_gdb(options, *served_at[:2], _say_to_whoever_starts_gdb, describe, watching)
    finally:
        watching.progress_line.clear()
    written = result.path.stat().st_size if result.path.exists() else 0  # somebody may have removed it
    logger.info("%.1f MIPS, %s", result.steps / max(result.seconds, 1e-9) / 1e6, size(written))
    return result


def _say_to_whoever_starts_gdb(text: str) -> None:
    """To the terminal, beside the guest's console; also with -q, or nobody would know where."""
    print(text, file=sys.stderr, flush=True)


def ending(stop: Stop) -> str:
    """How a run ended, in words."""
    if not stop.ended:
        return stop.detail or "stopped at --until"
    words = f"{stop.why.value} with code {stop.code}" if stop.why is Why.EXIT else stop.why.value
    return f"{words}: {stop.detail}" if stop.detail else words


def exit_code(result: RecordResult) -> int:
    """What the shell is told."""
    if result.interrupted:
        return INTERRUPTED
    if result.timed_out:
        return TIMED_OUT
    return WELL if result.stop.well else GUEST_FAILED


def recorded(result: RecordResult) -> str:
    """One line about a recording just made."""
    if result.interrupted:
        end = "stopped by Ctrl-C"
    elif result.timed_out:
        end = "stopped by --timeout"
    else:
        end = ending(result.stop)
    counts = f"{result.steps:,} steps, {result.events:,} events, {result.seconds:.1f} s"
    return f"recorded {shown(result.path)}: {counts}; {end}"


def not_typed(result: RecordResult) -> list[str]:
    """A line about what is left of the script, if something is: a text that a guest never says is easily misspelt."""
    if not result.untyped:
        return []
    count, first = len(result.untyped), result.untyped[0]
    waits = f"the first waits for {_quoted(first.wait)}" if first.wait else f"the first is {_quoted(first.text)}"
    return [f"not typed: {count:,} of --type; {waits}"]


def _quoted(data: bytes) -> str:
    return repr(data.decode("utf-8", "backslashreplace"))


def next_commands(path: Path) -> list[str]:
    """What to do with a recording, to paste."""
    name = shlex.quote(shown(path))
    return [
        "next:",
        f"  pvtrace replay {name} --tui",
        f"  pvtrace divergences {name} --summary",
        f"  pvtrace events {name} --summary",
        f'  sqlite3 {name} "SELECT * FROM flag_attempt LIMIT 10"',
    ]
