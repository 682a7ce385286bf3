"""The commands of a walk, for people: one table, used by gdb's monitor and whatever else has a prompt.

A command takes words and gives text; it may move the walk. How events are said is given (see session.replay.Words).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pvtrace.model.errors import PvtraceError, UsageError
from pvtrace.model.events import KINDS, Event, Kind
from pvtrace.model.findings import Finding
from pvtrace.model.kind_names import kinds_named
from pvtrace.model.step import Step
from pvtrace.session import found
from pvtrace.session.explore import Walk
from pvtrace.session.replay import Words, plain
from pvtrace.session.stepping import Stepping
from pvtrace.store import bookmarks
from pvtrace.timeline import moments
from pvtrace.timeline.stops import Cause, Stopped
from pvtrace.x86.view import PageFault

DIVERGENCE: Final = "divergence"
"""What next and prev go to beside events."""

AROUND: Final = 8
"""Events that are shown on each side of here."""

LONGEST_NUMBER: Final = 40
"""Characters of a step. Python refuses to read a number of very many."""

Interrupted = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Command:
    """`usage` begins with the name; `perform` is given the words behind it."""

    usage: str
    summary: str
    perform: "Callable[[Commands, Sequence[str], Interrupted], str]"

    @property
    def name(self) -> str:
        return self.usage.split()[0]


class Commands:
    """The commands over one walk, and what they remember. `stepping`: what whoever steps in this walk goes past."""

    def __init__(self, walk: Walk, words: Words = plain) -> None:
        self.walk = walk
        self.stepping = Stepping(walk.timeline, walk.roms)
        self._words = words

    def perform(self, line: str, interrupted: Interrupted) -> str:
        """The text of a command, each line with its line feed. What is wrong with a command is text as well."""
        name, *arguments = line.split() or ["help"]
        found = [command for command in TABLE if command.name == name]
        if not found:
            return f"there is no command {name!r}; help lists them\n"
        try:
            return found[0].perform(self, arguments, interrupted)
        except PvtraceError as error:
            return f"{error}\n"

    def describe(self, event: Event) -> str:
        """'   69,759  try_popf+0x8  POPF asked IF=0 ...'"""
        place = self.place(event.pc)
        return f"{event.step:>14,}  {place:<24}  {self._words(event, self.walk.symbols.at)}"

    def place(self, address: int) -> str:
        return self.walk.symbols.at(address) or f"{address:08x}"

    def here(self) -> str:
        """'step 69,759, 0.000697 s, at try_popf+0x8'"""
        machine = self.walk.timeline.machine
        seconds = machine.ticks / machine.settings.hz
        return f"step {machine.step:,}, {seconds:.6f} s, at {self.place(machine.cpu.eip)}"

    def arrived(self, stopped: Stopped) -> str:
        """What to say of a move."""
        match stopped.cause:
            case Cause.ARRIVED | Cause.HIT if not stopped.message:
                return f"{self.here()}\n"
            case _:
                return f"{stopped.message or stopped.cause.value}; {self.here()}\n"


def _help(_: Commands, __: Sequence[str], ___: Interrupted) -> str:
    width = max(len(command.usage) for command in TABLE)
    return "".join(f"{command.usage:<{width}}  {command.summary}\n" for command in TABLE)


def _when(commands: Commands, _: Sequence[str], __: Interrupted) -> str:
    return f"{commands.here()}\n"


def _goto(commands: Commands, words: Sequence[str], interrupted: Interrupted) -> str:
    return commands.arrived(commands.walk.timeline.seek(_step(commands, words), interrupted))


def _step(commands: Commands, words: Sequence[str]) -> Step:
    timeline = commands.walk.timeline
    if len(words) != 1:
        raise UsageError("goto needs a step, the name of a bookmark, begin or end")
    word = words[0]
    plain_number = word.replace(",", "").replace("_", "")
    if plain_number.isdecimal() and len(plain_number) <= LONGEST_NUMBER:
        return Step(int(plain_number))
    if word in ("begin", "end"):
        return timeline.first if word == "begin" else timeline.last
    kept = bookmarks.named(commands.walk.trace, word)
    if kept is None:
        raise UsageError(f"{word!r} is no step, and no bookmark has this name")
    return kept.step


def _kinds(words: Sequence[str]) -> frozenset[Kind]:
    """Those that are named; all, if none is."""
    chosen: frozenset[Kind] = frozenset()
    for word in words or ["all"]:
        kinds = kinds_named(word)
        if not kinds:
            families = sorted({info.family for info in KINDS.values()})
            raise UsageError(f"{word!r} is no kind of event; there are {', '.join(families)}")
        chosen |= kinds
    return chosen


def _events(commands: Commands, words: Sequence[str], _: Interrupted) -> str:
    return "".join(f"{line}\n" for line in _around(commands, _kinds(words)))


def _calls(commands: Commands, _: Sequence[str], __: Interrupted) -> str:
    return "".join(f"{line}\n" for line in _around(commands, frozenset({Kind.HYPERCALL})))


def _around(commands: Commands, kinds: frozenset[Kind]) -> Iterator[str]:
    log, here = commands.walk.timeline.log, commands.walk.timeline.here
    yield from (commands.describe(event) for event in moments.some_before(log, kinds, Step(here + 1), AROUND))
    yield f"{here:>14,}  ---- here"
    yield from (commands.describe(event) for event in moments.some_after(log, kinds, here, AROUND))


def _next(commands: Commands, words: Sequence[str], interrupted: Interrupted) -> str:
    if list(words) == [DIVERGENCE]:
        return _to_finding(commands, found.following(commands.walk.trace, commands.walk.timeline.here), interrupted)
    timeline = commands.walk.timeline
    return _to_event(commands, moments.following(timeline.log, _kinds(words), timeline.here), interrupted)


def _prev(commands: Commands, words: Sequence[str], interrupted: Interrupted) -> str:
    if list(words) == [DIVERGENCE]:
        return _to_finding(commands, found.preceding(commands.walk.trace, commands.walk.timeline.here), interrupted)
    timeline = commands.walk.timeline
    return _to_event(commands, moments.preceding(timeline.log, _kinds(words), timeline.here), interrupted)


def _to_event(commands: Commands, event: Event | None, interrupted: Interrupted) -> str:
    if event is None:
        return "there is none\n"
    stopped = commands.walk.timeline.seek(event.step, interrupted)
    return f"{commands.describe(event)}\n{commands.arrived(stopped)}"


def _to_finding(commands: Commands, finding: Finding | None, interrupted: Interrupted) -> str:
    if finding is None:
        return "there is none\n"
    stopped = commands.walk.timeline.seek(finding.step, interrupted)
    return f"{found.line(finding, commands.place)}\n{commands.arrived(stopped)}"


def _divergences(commands: Commands, _: Sequence[str], __: Interrupted) -> str:
    walk = commands.walk
    return "".join(f"{line}\n" for line in found.around(walk.trace, walk.timeline.here, commands.place))


def _explain(commands: Commands, words: Sequence[str], _: Interrupted) -> str:
    if words:
        return found.page(words[0])
    return found.explained(commands.walk.trace, commands.walk.timeline.here, commands.place)


def _last_write(commands: Commands, words: Sequence[str], interrupted: Interrupted) -> str:
    try:
        (word,) = words
        address = commands.walk.symbols.address_of(word)
        address = int(word, 16) if address is None else address
        stopped = commands.walk.timeline.last_write(address, interrupted)
    except (ValueError, OverflowError):
        raise UsageError("lastwrite needs one address, hexadecimal, or a symbol") from None
    except PageFault:
        raise UsageError("there is no memory at this address now") from None
    if stopped.cause is Cause.BEGIN:
        return "nothing wrote it since the beginning of the recording\n"
    return commands.arrived(stopped)


def _vmi(commands: Commands, _: Sequence[str], __: Interrupted) -> str:
    machine = commands.walk.timeline.machine
    system, registers = machine.system, machine.cpu.registers()
    generation = machine.vmi.generation
    lines = [
        "native: VMI_Init was not called" if generation is None else f"paravirtual, VMI {generation.name}",
        f"IF {int(system.vif)}, IOPL {system.viopl} as the guest believes; CPL {registers.cpl}",
        f"real EFLAGS {registers.eflags:#010x}",
        f"GDT {registers.gdtr.base:08x} limit {registers.gdtr.limit:#x}, "
        f"IDT {registers.idtr.base:08x} limit {registers.idtr.limit:#x}, "
        f"LDT {registers.ldtr.selector:04x}, task {registers.tr.selector:04x}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _info(commands: Commands, _: Sequence[str], __: Interrupted) -> str:
    walk = commands.walk
    timeline, progress = walk.timeline, walk.trace.progress()
    ending = walk.trace.ending()
    if ending is not None:
        end = f"it ends with: {ending.why.value}"
    else:
        end = "it is being recorded" if timeline.growing else "its recorder did not finish it"
    return (
        f"{walk.trace.path}: steps {timeline.first:,} to {timeline.last:,}, {progress.mark.events:,} events; {end}\n"
        f"verified up to step {timeline.verified:,}\n"
    )


def _bookmark(commands: Commands, words: Sequence[str], _: Interrupted) -> str:
    trace = commands.walk.trace
    if not words:
        kept = bookmarks.every(trace)
        return "".join(f"{item.step:>14,}  {item.name}  {item.note}".rstrip() + "\n" for item in kept) or "none\n"
    name, *note = words
    bookmarks.keep(trace.path, bookmarks.Bookmark(name, commands.walk.timeline.here, " ".join(note)))
    return f"{name}: {commands.here()}\n"


def _checkpoint(commands: Commands, _: Sequence[str], __: Interrupted) -> str:
    step = commands.walk.timeline.keep()
    return f"a checkpoint is kept in memory at step {step:,}\n"


def _step_irq(commands: Commands, words: Sequence[str], _: Interrupted) -> str:
    if words:
        commands.stepping.skip_interrupts = _one_of(words, "skip", "into", "the handlers of interrupts") == "skip"
    return f"step-irq {'skip' if commands.stepping.skip_interrupts else 'into'}\n"


def _step_rom(commands: Commands, words: Sequence[str], _: Interrupted) -> str:
    if words:
        commands.stepping.skip_roms = _one_of(words, "skip", "into", "the stubs of a VMI ROM") == "skip"
    return f"step-rom {'skip' if commands.stepping.skip_roms else 'into'}\n"


def _one_of(words: Sequence[str], yes: str, no: str, what: str) -> str:
    if len(words) > 1 or words[0] not in (yes, no):
        raise UsageError(f"{yes}: stepping goes past {what}; {no}: it enters them")
    return words[0]


def _what_if(commands: Commands, words: Sequence[str], _: Interrupted) -> str:
    timeline = commands.walk.timeline
    if len(words) > 1 or (words and words[0] not in ("on", "off")):
        raise UsageError("what-if on: leave the recording, to change things; what-if off: come back to it")
    if words and words[0] == "on":
        timeline.branch()
    elif words and timeline.branched_at is not None:
        return f"what-if off: back in the recording; {commands.arrived(timeline.rejoin())}"
    branched = timeline.branched_at
    if branched is None:
        return "what-if off: this is the recording, and it cannot be changed\n"
    return (
        f"what-if on since step {branched:,}: registers and memory can be changed, and nothing is held against the "
        "recording, which is not touched. what-if off, or going back before that step, returns to it.\n"
    )


TABLE: Final = (
    Command("help", "this list", _help),
    Command("when", "where you are: step, virtual time, place", _when),
    Command("goto STEP|BOOKMARK|begin|end", "go there", _goto),
    Command("events [KIND...]", "what happened around here", _events),
    Command("calls", "VMI calls around here", _calls),
    Command("divergences", "differences from native hardware around here", _divergences),
    Command("next [KIND...]", "go to the next event (call, fault, interrupt, flag ...), or the next divergence", _next),
    Command("prev [KIND...]", "go to the last event before here, or the last divergence", _prev),
    Command("explain [RULE]", "what the divergence here is, or all about a rule", _explain),
    Command("lastwrite ADDRESS", "go to the instruction that wrote this byte last", _last_write),
    Command("vmi", "what the guest believes: IF, IOPL, descriptor tables", _vmi),
    Command("info", "what is recorded, and how much of it was verified", _info),
    Command("bookmark [NAME [NOTE]]", "keep this place in the recording, or list those that are kept", _bookmark),
    Command("checkpoint", "make coming back here quick", _checkpoint),
    Command("step-irq [skip|into]", "whether stepping goes past the handlers of interrupts", _step_irq),
    Command("step-rom [skip|into]", "whether stepping goes past the stubs of a VMI ROM", _step_rom),
    Command("what-if [on|off]", "leave the recording here, to change registers and memory; or come back", _what_if),
)
