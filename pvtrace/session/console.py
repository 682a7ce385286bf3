"""The guest's serial console while it is recorded: where its bytes go, and where what is typed comes from."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from pvtrace.model.errors import InputError, UsageError
from pvtrace.model.inputs import Input
from pvtrace.session.observer import Observer
from pvtrace.session.options import RecordOptions
from pvtrace.tape.live import FileKeyboard, Keyboard, NoKeyboard, at_the_console, typed_through
from pvtrace.tape.scan_codes import Slowly, at_the_keyboard
from pvtrace.tape.script import Either, Script, parse
from pvtrace.tape.terminal import Escapes

LINE_FEED: Final = 0x0A


class Console(NamedTuple):
    """`screen`: a file for the output, beside the observer; `keyboard`: where input comes from, and `encode`
    what input it is; `script`: the part of it that has to hear what the guest says; `terminal`: a person types."""

    screen: BinaryIO | None
    keyboard: Keyboard
    encode: Callable[[bytes], Input]
    script: Script | None
    terminal: bool


@contextlib.contextmanager
def opened(options: RecordOptions) -> Iterator[Console]:
    """The console that the options ask for. A terminal is put in order again when this ends, however it ends.

    Raises UsageError or InputError.
    """
    script = Script([parse(line) for line in options.typed]) if options.typed else None
    if script is not None and options.input is not None:
        raise UsageError("--type and --input both say what is typed: give one of them")
    with contextlib.ExitStack() as stack:
        screen = stack.enter_context(_written(Path(options.console))) if options.console not in ("-", "null") else None
        terminal = False
        keyboard: Keyboard = NoKeyboard()
        if options.input is not None:
            keyboard = FileKeyboard(stack.enter_context(_read(options.input)))
        elif options.console == "-" and (descriptor := _standard_input()) is not None:
            terminal = os.isatty(descriptor)
            if terminal:
                stack.enter_context(typed_through(descriptor))
                keyboard = Escapes(FileKeyboard(descriptor), lambda: signal.raise_signal(signal.SIGINT))
            elif script is None:
                keyboard = FileKeyboard(descriptor)
        if script is not None:
            keyboard = Either(script, keyboard)
        if options.typing == "keyboard":
            yield Console(screen, Slowly(keyboard), at_the_keyboard, script, terminal)
        else:
            yield Console(screen, keyboard, at_the_console, script, terminal)


class Output:
    """Hands the guest's bytes on: a line at a time, and what there is of one whenever the machine stops to look."""

    def __init__(self, console: Console, observer: Observer) -> None:
        self._screen = console.screen
        self._observer = observer
        self._line = bytearray()
        self._listeners: list[Callable[[int], None]] = [] if console.script is None else [console.script.heard]

    def listen(self, listener: Callable[[int], None]) -> None:
        """Tell somebody else of each byte."""
        self._listeners.append(listener)

    @property
    def listened(self) -> bool:
        """Whether somebody is told, who may want to do something at that very step."""
        return bool(self._listeners)

    def byte(self, byte: int) -> None:
        """The guest wrote this."""
        for listener in self._listeners:
            listener(byte)
        self._line.append(byte)
        if byte == LINE_FEED:
            self.flush()

    def flush(self) -> None:
        """Hand on what there is."""
        if not self._line:
            return
        data = bytes(self._line)
        self._line.clear()
        if self._screen is not None:
            self._screen.write(data)
        self._observer.console(data)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    try:
        screen = path.open("wb", buffering=0)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    with screen:
        yield screen


@contextlib.contextmanager
def _read(path: Path) -> Iterator[int]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    with file:
        yield file.fileno()


def _standard_input() -> int | None:
    try:
        descriptor = sys.stdin.fileno()
        os.fstat(descriptor)
    except (AttributeError, OSError, ValueError):
        return None
    return descriptor
