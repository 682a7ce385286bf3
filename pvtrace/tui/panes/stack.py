"""Who called whom, and the words on the stack: each with what it may mean."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pvtrace.model.registers import Gpr, Seg
from pvtrace.tui.lines import Line, Lines, Size, Span, line
from pvtrace.tui.model import Model
from pvtrace.tui.panes.pane import Pane
from pvtrace.tui.picture import Picture
from pvtrace.tui.record import Record
from pvtrace.tui.roles import Role

WORD: Final = 4


@dataclass(frozen=True, slots=True)
class Word:
    """`offset`: from the top of the stack; `mark`: a register points to it; `name`: the symbol that it may point to."""

    address: int
    offset: int
    value: int
    name: str
    mark: str


@dataclass(frozen=True, slots=True)
class Slice:
    frames: tuple[tuple[int, str], ...]
    words: tuple[Word, ...]
    reason: str = ""


def read(model: Model, record: Record, size: Size) -> Slice:
    picture = model.picture
    if picture is None:
        return Slice((), (), "the machine is being built")
    frames = tuple((frame.address, record.place(frame.address)) for frame in picture.frames)
    words = tuple(_words(picture, size.height, record.symbols.at))
    return Slice(frames, words, "" if words else f"there is no memory at {picture.esp:08x} now")


def _words(picture: Picture, count: int, name: Callable[[int], str | None]) -> Iterator[Word]:
    data = picture.peek(picture.esp, count * WORD)
    frame = picture.registers.gprs[Gpr.EBP] + picture.registers.segments[Seg.SS].base
    for offset in range(0, len(data) - WORD + 1, WORD):
        value = int.from_bytes(data[offset : offset + WORD], "little")
        address = picture.esp + offset
        mark = "ESP" if not offset else "EBP" if address == frame else ""
        yield Word(address, offset, value, name(value) or "", mark)


def draw(shown: Slice, size: Size) -> Lines:
    if not shown.words:
        return [line(Span(shown.reason, Role.DIM))]
    room = max(1, min(len(shown.frames), size.height // 2))
    frames = [_frame(number, address, place) for number, (address, place) in enumerate(shown.frames[:room])]
    return [*frames, *(_line(word) for word in shown.words[: size.height - len(frames)])]


def _frame(number: int, address: int, place: str) -> Line:
    return line(Span(f"#{number:<3}", Role.DIM), Span(f"{address:08x}  ", Role.ADDRESS), Span(place, Role.SYMBOL))


def _line(word: Word) -> Line:
    return line(
        Span(f"{word.mark:<4}", Role.REGISTER),
        Span(f"{word.address:08x}", Role.ADDRESS),
        Span(f" +{word.offset:<3x}", Role.DIM),
        Span(f" {word.value:08x}", Role.NUMBER),
        Span(f"  {word.name}", Role.SYMBOL),
    )


def title(model: Model) -> str:
    del model
    return "stack"


PANE: Final = Pane("stack", "6", title, read, draw)
