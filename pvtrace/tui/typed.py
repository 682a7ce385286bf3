"""What a typed line means: behind ':' a command, behind ';' SQL, behind '/' a text to search. Pure.

Commands of the screen itself stand here; all others are those of session.commands, which gdb's monitor has as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pvtrace.model.events import KINDS, Kind
from pvtrace.model.kind_names import kinds_named
from pvtrace.session.commands import TABLE
from pvtrace.timeline.stops import Way
from pvtrace.tui import moves, panels, places
from pvtrace.tui.effects import Export, Follow, Keep, Perform, Query, Refresh, SeekName
from pvtrace.tui.model import Model, Note, Pattern
from pvtrace.tui.moves import NOTHING, Outcome, said
from pvtrace.tui.style import THEMES


@dataclass(frozen=True, slots=True)
class Typed:
    """`usage` begins with the name."""

    usage: str
    summary: str
    act: Callable[[Model, Sequence[str]], Outcome]

    @property
    def name(self) -> str:
        return self.usage.split()[0]


def entered(model: Model, sign: str, text: str) -> Outcome:
    """A line was entered behind a sign."""
    text = text.strip()
    if not text:
        return model, NOTHING
    match sign:
        case ";":
            return replace(model, note=Note("asking")), (Query(text),)
        case "/":
            where = model.focus if model.focus in ("disassembly", "console") else "events"
            return moves.search(replace(model, pattern=Pattern(text, where)), text, where, True)
        case _:
            return command(model, text)


def command(model: Model, text: str) -> Outcome:
    name, *words = text.split()
    own = next((item for item in COMMANDS if item.name == name), None)
    if own is not None:
        return own.act(model, words)
    if any(item.name == name for item in TABLE):
        return moves.remembered(model), (Perform(text),)
    if places.is_place(name) and not words:
        return places.go_to(model, name)
    return said(model, f"there is no command {name!r}; ? lists them", True)


def _goto(model: Model, words: Sequence[str]) -> Outcome:
    if len(words) != 1:
        return said(model, "goto needs one place: a step, +100, 25%, #event, 0.5s, a bookmark, a symbol", True)
    return places.go_to(model, words[0])


def _filter(model: Model, words: Sequence[str]) -> Outcome:
    """Those that are named; all but those that are named with a minus."""
    chosen: frozenset[Kind] = frozenset()
    without: frozenset[Kind] = frozenset()
    for word in words:
        kinds = kinds_named(word.removeprefix("-"))
        if not kinds:
            families = sorted({info.family for info in KINDS.values()})
            return said(model, f"{word!r} is no kind of event; there are {', '.join(families)}", True)
        if word.startswith("-"):
            without |= kinds
        else:
            chosen |= kinds
    return moves.filtered(model, (chosen or moves.ALL) - without)


def _memory(model: Model, words: Sequence[str]) -> Outcome:
    address, wrong = _address(words)
    if wrong:
        return said(model, "memory needs one hexadecimal address, or none to follow the stack", True)
    moved = panels.focused(replace(model, memory=replace(model.memory, address=address)), "memory")
    return moved, (Refresh(),)


def _code(model: Model, words: Sequence[str]) -> Outcome:
    address, wrong = _address(words)
    if wrong:
        return said(model, "code needs one hexadecimal address, or none to follow EIP", True)
    return panels.focused(replace(model, code=address), "disassembly"), (Refresh(),)


def _address(words: Sequence[str]) -> tuple[int | None, bool]:
    """The address, if one is given; and whether it is none."""
    if not words:
        return None, False
    try:
        (word,) = words
        address = int(word, 16)
    except ValueError:
        return None, True
    return address, not 0 <= address < 1 << 32


def _break(model: Model, words: Sequence[str]) -> Outcome:
    address, wrong = _address(words)
    if wrong or address is None:
        return said(model, "break needs one hexadecimal address; B makes one here", True)
    return moves.toggle_break(model, address)


def _next_symbol(model: Model, words: Sequence[str]) -> Outcome:
    if len(words) != 1:
        return said(model, "run needs the name of a function", True)
    return moves.remembered(model), (SeekName(words[0]),)


def _follow(model: Model, words: Sequence[str]) -> Outcome:
    if words and words not in (["on"], ["off"]):
        return said(model, "follow on: gdb and the screen move together; follow off: each for itself", True)
    follow = model.follow if not words else words == ["on"]
    return replace(model, follow=follow, note=Note(f"follow {'on' if follow else 'off'}")), (Follow(follow),)


def _theme(model: Model, words: Sequence[str]) -> Outcome:
    if len(words) != 1 or words[0] not in THEMES:
        return said(model, f"theme needs one of {', '.join(THEMES)}; it is {model.theme}", True)
    return replace(model, theme=words[0]), NOTHING


def _export(model: Model, words: Sequence[str]) -> Outcome:
    if len(words) != 1 or not words[0].endswith((".svg", ".txt")):
        return said(model, "export needs one file name that ends in .svg or .txt", True)
    return model, (Export(words[0]),)


def _bookmark(model: Model, words: Sequence[str]) -> Outcome:
    if not words:
        return model, (Perform("bookmark"),)
    name, *note = words
    return model, (Keep(name, model.here.step, " ".join(note)),)


def _sql(model: Model, words: Sequence[str]) -> Outcome:
    return entered(model, ";", " ".join(words))


def _help(model: Model, _: Sequence[str]) -> Outcome:
    return panels.cover(model, "help"), NOTHING


def _quit(model: Model, _: Sequence[str]) -> Outcome:
    return replace(model, leaving=True), NOTHING


def _continue(way: Way) -> Callable[[Model, Sequence[str]], Outcome]:
    return lambda model, _: moves.resume(model, way)


COMMANDS: Final = (
    Typed("goto PLACE", "a step, +100, -100, 25%, #event, 0.5s, 12ms, a bookmark, a symbol, begin, end", _goto),
    Typed("filter [KIND...] [-KIND...]", "list these events alone (call, fault, flag ...), or all but these", _filter),
    Typed("memory [ADDRESS]", "look at memory there; none: follow the stack", _memory),
    Typed("code [ADDRESS]", "disassemble there; none: follow EIP", _code),
    Typed("break ADDRESS", "a breakpoint there, or none any more", _break),
    Typed("run SYMBOL", "on to where this function is entered next", _next_symbol),
    Typed("continue", "on to a breakpoint", _continue(Way.FORWARD)),
    Typed("reverse-continue", "back to a breakpoint", _continue(Way.BACKWARD)),
    Typed("bookmark [NAME [NOTE]]", "keep this place in the recording, or list those that are kept", _bookmark),
    Typed("sql SELECT...", "ask the recording in SQL; Tab completes its tables and columns", _sql),
    Typed("follow [on|off]", "whether gdb and the screen move together", _follow),
    Typed("export FILE.svg|FILE.txt", "write what is on the screen", _export),
    Typed("theme auto|dark|light|plain", "the ground of your terminal, for rows that stand out", _theme),
    Typed("help", "the keys and commands", _help),
    Typed("quit", "leave", _quit),
    Typed("q", "leave", _quit),
)


def names() -> list[str]:
    """Of all commands, each once, in the order in which they are listed."""
    return list(dict.fromkeys([*(item.name for item in COMMANDS), *(item.name for item in TABLE)]))


def listed() -> list[tuple[str, str]]:
    """Usage and summary of all commands, the screen's own first."""
    own = {item.name for item in COMMANDS}
    return [(item.usage, item.summary) for item in COMMANDS if item.name != "q"] + [
        (item.usage, item.summary) for item in TABLE if item.name not in own
    ]
