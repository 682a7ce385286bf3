"""How each piece of work is done, over a walk in the recording. Runs on the worker's thread alone.

An errand moves the walk, or asks the trace; it says how it ended by messages. None of them knows the screen.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, assert_never

from pvtrace.model.events import Event
from pvtrace.model.step import Step
from pvtrace.session.commands import Commands
from pvtrace.session.explore import Walk
from pvtrace.store import bookmarks
from pvtrace.store.bookmarks import Bookmark
from pvtrace.timeline.conditions import Breakpoint
from pvtrace.timeline.search import counter
from pvtrace.timeline.stops import Cause, Stopped, Way
from pvtrace.tui import taking
from pvtrace.tui.asking import ask
from pvtrace.tui.code import backward, forward, one
from pvtrace.tui.effects import (
    Break,
    Find,
    FindCode,
    Finish,
    Follow,
    Go,
    Keep,
    LastWrite,
    Perform,
    Query,
    Refresh,
    Seek,
    SeekName,
    SeekTime,
    StepOver,
    Work,
)
from pvtrace.tui.messages import Answered, Arrived, Bookmarked, Doing, FoundCode, FoundEvent, Message, Said, Told, Wrote
from pvtrace.tui.model import Writer
from pvtrace.tui.picture import Wanted
from pvtrace.tui.record import Numbered, Record, Voice
from pvtrace.tui.strides import Strides
from pvtrace.x86.disasm import LONGEST
from pvtrace.x86.view import PageFault

Interrupted = Callable[[], bool]
Post = Callable[[Message], None]

LOOK: Final = 2048
"""Events that a search looks at between two looks at Ctrl-C."""

CODE_REACH: Final = 1 << 20
"""Bytes of code that are searched."""


class Errands:
    """`commands`: those of the session, over the same walk; `post` takes what there is to say."""

    def __init__(self, walk: Walk, commands: Commands, voice: Voice, post: Post) -> None:
        self.walk = walk
        self._record = Record(walk.trace, voice)
        self._timeline = walk.timeline
        self._commands = commands
        self._post = post
        self._strides = Strides(walk.timeline, commands.stepping)
        self._wish = 0

    # ------------------------------------------------------------------ pictures

    def picture(self, wanted: Wanted, interrupted: Interrupted, words: str = "") -> None:
        """Say where the walk stands. What changed is told by going back one step and coming here again."""
        timeline = self._timeline
        here = timeline.here
        before = None
        if here > (timeline.first if timeline.branched_at is None else timeline.branched_at):
            timeline.seek(here - 1, interrupted)
            before = taking.seen(timeline.machine) if timeline.here == here - 1 else None
            timeline.seek(here)
        made = taking.picture(timeline.machine, wanted, before)
        self._post(Arrived(replace(made, branched=timeline.branched_at), words, self._wish))

    # ------------------------------------------------------------------ errands

    def run(self, work: Work, wanted: Wanted, interrupted: Interrupted) -> None:
        match work:
            case Seek(step, wish):
                self._wish = wish
                self._arrive(self._timeline.seek(step, interrupted), wanted, interrupted)
            case SeekTime(seconds):
                self._arrive(self._to_time(seconds, interrupted), wanted, interrupted)
            case SeekName(name, anywhere):
                self._to_name(name, anywhere, wanted, interrupted)
            case Refresh(wish):
                self._wish = max(self._wish, wish)
                self.picture(wanted, interrupted)
            case StepOver(way):
                self._arrive(self._strides.over(way, interrupted), wanted, interrupted)
            case Finish(way):
                self._arrive(self._strides.out(way, interrupted), wanted, interrupted)
            case Go(way, address):
                self._arrive(self._strides.on(way, address, interrupted), wanted, interrupted)
            case Break(addresses):
                self._strides.stop_at(addresses)
            case LastWrite(address, go):
                self._last_write(address, go, wanted, interrupted)
            case Perform(line):
                self._perform(line, wanted, interrupted)
            case Query(sql):
                self._post(Answered(ask(self.walk.trace.path, sql, interrupted)))
            case Find():
                self._find(work, interrupted)
            case FindCode():
                self._post(FoundCode(self._find_code(work, interrupted)))
            case Keep(name, step, note):
                self._keep(name, step, note)
            case Follow(on):
                if on:
                    self.picture(wanted, interrupted)
            case _:
                assert_never(work)

    def _arrive(self, stopped: Stopped, wanted: Wanted, interrupted: Interrupted) -> None:
        words = stopped.message or ("" if stopped.cause in (Cause.ARRIVED, Cause.HIT) else stopped.cause.value)
        if stopped.cause is Cause.HIT and isinstance(stopped.condition, Breakpoint):
            words = f"breakpoint at {self._record.place(stopped.condition.address)}"
        self.picture(wanted, interrupted, words)

    def _to_time(self, seconds: float, interrupted: Interrupted) -> Stopped:
        """By bisection: time goes by steps, and jumps where the machine halts."""
        timeline = self._timeline
        ticks = round(seconds * timeline.machine.settings.hz)
        low, high = timeline.first, timeline.last
        while low < high:
            middle = Step((low + high) // 2)
            stopped = timeline.seek(middle, interrupted)
            if stopped.cause is not Cause.ARRIVED:
                return stopped
            low, high = (low, middle) if timeline.machine.ticks >= ticks else (Step(middle + 1), high)
        return timeline.seek(low, interrupted)

    def _to_name(self, name: str, anywhere: bool, wanted: Wanted, interrupted: Interrupted) -> None:
        kept = bookmarks.named(self.walk.trace, name)
        if kept is not None:
            self._arrive(self._timeline.seek(kept.step, interrupted), wanted, interrupted)
            return
        address = self._record.symbols.address_of(name)
        if address is None:
            self._post(Said(f"{name!r} is no step, no time, no bookmark and no symbol", True))
            return
        if anywhere:
            self._to_code(name, address, wanted, interrupted)
        else:
            self._arrive(self._strides.on(Way.FORWARD, address, interrupted), wanted, interrupted)

    def _to_code(self, name: str, address: int, wanted: Wanted, interrupted: Interrupted) -> None:
        """To the next time that it is reached; in the recording, if there is none, to the last time before."""
        timeline, start = self._timeline, self._timeline.here
        stopped = self._strides.on(Way.FORWARD, address, interrupted)
        if stopped.cause is not Cause.END or timeline.branched_at is not None:
            self._arrive(stopped, wanted, interrupted)
            return
        timeline.seek(start)
        stopped = self._strides.on(Way.BACKWARD, address, interrupted)
        if stopped.cause is Cause.BEGIN:
            timeline.seek(start)
            self.picture(wanted, interrupted, f"{name} is never reached")
        elif stopped.cause is Cause.ARRIVED:
            self.picture(wanted, interrupted, f"{name} is not reached again; this was the last time")
        else:
            self._arrive(stopped, wanted, interrupted)

    def _code(self, address: int, size: int = LONGEST) -> bytes:
        return self._timeline.machine.cpu.peek(address, size)

    # ------------------------------------------------------------------ by what was written

    def _last_write(self, address: int, go: bool, wanted: Wanted, interrupted: Interrupted) -> None:
        timeline = self._timeline
        start = timeline.here
        try:
            stopped = timeline.last_write(address, interrupted)
        except PageFault:
            self._post(Said(f"there is no memory at {address:08x} now", True))
            return
        if stopped.cause is Cause.HIT:
            step: Step | None = stopped.step
            at = counter(timeline.machine)
            code = one(self._code(at), at).text
            text = f"{address:08x} was written at step {stopped.step:,} by {self._record.place(at)}: {code}"
        else:
            step = None
            text = f"nothing wrote {address:08x} since the beginning of the recording"
        if stopped.cause is Cause.INTERRUPTED:
            self._arrive(stopped, wanted, interrupted)
            return
        if go and step is not None:
            self.picture(wanted, interrupted, text)
            return
        timeline.seek(start)
        self._post(Wrote(Writer(address, start, step, text)))

    # ------------------------------------------------------------------ words

    def _perform(self, line: str, wanted: Wanted, interrupted: Interrupted) -> None:
        before = self._place
        text = self._commands.perform(line, interrupted)
        self._post(Told(line, text))
        if line.split(maxsplit=1)[0] == "bookmark":
            self.bookmarks()
        if self._place != before:
            self.picture(wanted, interrupted)

    @property
    def _place(self) -> tuple[Step, Step | None]:
        return self._timeline.here, self._timeline.branched_at

    def bookmarks(self) -> None:
        self._post(Bookmarked(tuple(bookmarks.every(self.walk.trace))))

    def _keep(self, name: str, step: Step, note: str) -> None:
        bookmarks.keep(self.walk.trace.path, Bookmark(name, step, note))
        self._post(Said(f"bookmark {name} is kept: step {step:,}"))
        self.bookmarks()

    def _find(self, work: Find, interrupted: Interrupted) -> None:
        text = work.text.lower()
        for count, (number, event) in enumerate(self._events(work)):
            if text in self._described(event):
                self._post(FoundEvent(event.step, number))
                return
            if count % LOOK == LOOK - 1:
                if interrupted():
                    self._post(Said("interrupted"))
                    return
                self._post(Doing(f"searching {work.text!r}", event.step))
        self._post(FoundEvent(None, None))

    def _described(self, event: Event) -> str:
        return f"{self._record.place(event.pc)} {self._record.words(event)}".lower()

    def _events(self, work: Find) -> Iterator[Numbered]:
        record, at = self._record, work.since
        while found := record.after(at + 1, LOOK, work.kinds) if work.forward else record.before(at, LOOK, work.kinds):
            yield from found if work.forward else reversed(found)
            at = found[-1][0] if work.forward else found[0][0]

    def _find_code(self, work: FindCode, interrupted: Interrupted) -> int | None:
        """In the function names and the instructions, as far as memory goes on."""
        text = work.text.lower()
        at = work.since
        start = at
        while abs(at - start) < CODE_REACH and not interrupted():
            codes = forward(self._code, at, 2)[1:] if work.forward else backward(self._code, at, 1)
            if not codes:
                return None
            at = codes[0].address
            if text in f"{self._record.place(at)} {codes[0].text}".lower():
                return at
        return None
