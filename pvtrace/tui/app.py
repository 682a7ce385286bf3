"""The terminal: keys and mouse become messages, the model becomes a screen, which controls.py hands to prompt_toolkit.

The loop of messages (`App.send`) answers Looks at once and hands Work to the worker; everything that decides anything
is in update.py.
"""

import asyncio
import gc
import os
import signal
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.clipboard import ClipboardData
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    DynamicContainer,
    Float,
    FloatContainer,
    HSplit,
    Layout,
    VSplit,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.mouse_events import MouseEvent, MouseEventType
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.styles import DynamicStyle, Style
from pygments.lexers.sql import SqlLexer

from pvtrace.tui import frame, layout, looks, style
from pvtrace.tui.controls import Screen, Sign
from pvtrace.tui.effects import (
    Alike,
    Cause,
    Choose,
    Consequence,
    Copy,
    Effect,
    Export,
    Interrupt,
    KindOf,
    Locate,
    Redraw,
    Suspend,
    Work,
)
from pvtrace.tui.judge import JudgeThread
from pvtrace.tui.lines import Line, Size, cells
from pvtrace.tui.messages import Entered, Focused, Message, Pressed, Resized, Said, Wheel
from pvtrace.tui.model import Model
from pvtrace.tui.record import Record
from pvtrace.tui.remembered import Remembered
from pvtrace.tui.update import update
from pvtrace.tui.worker import Worker

ESCAPE: Final = 0.05
"""Seconds after which Esc is a key by itself."""

MOMENT: Final = 0.05
"""Seconds after which the worker is told what was asked for, also if nothing was drawn."""

REST: Final = 1.0
"""Seconds without anything that happens, after which garbage is collected."""

NEVER: Final = 1 << 30
"""Collections of the middle generation between two full ones."""

SHARE: Final = 0.001
"""Seconds for which a thread may keep the others waiting: the screen is to answer while the worker works."""

SIGNS: Final = ":;/"
"""What a line may be typed behind."""

NAMES: Final = {" ": "space", "c-i": "tab", "c-m": "enter", "c-h": "backspace", "c-j": "enter"}
"""Keys that terminals, and so prompt_toolkit, know under another name."""


def _tidy() -> None:
    """What is here to stay, names and findings above all, is not looked through again by each full collection, which
    would hold up a key for a tenth of a second."""
    gc.collect()
    gc.freeze()


class App:
    """`record` is for the screen's thread alone. Whoever makes this gives it its worker and its judge, and it starts
    them."""

    def __init__(
        self,
        model: Model,
        record: Record,
        *,
        completers: Mapping[str, Completer],
        kept: Remembered,
        input_: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self.model = model
        self.worker: Worker | None = None
        self.judge: JudgeThread | None = None
        self._record = record
        self._drawn: tuple[Model, list[Line]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._asked: list[Work] = []  # of the worker, which is told when the screen is drawn
        self._lines = {sign: self._typing(sign, completers.get(sign), kept.lines(sign)) for sign in SIGNS}
        self._application: Application[None] = Application(
            layout=self._layout(),
            key_bindings=self._keys(),
            style=DynamicStyle(self._style),
            full_screen=True,
            mouse_support=True,
            input=input_,
            output=output,
            enable_page_navigation_bindings=False,
        )
        self._application.after_render += self._submit
        self._application.ttimeoutlen = ESCAPE
        self._application.timeoutlen = ESCAPE

    def _typing(self, sign: str, completer: Completer | None, before: Sequence[str]) -> Window:
        """The line that is typed behind a sign; each has a history of its own."""
        buffer = Buffer(
            multiline=False,
            history=InMemoryHistory(list(before)),
            completer=completer,
            complete_while_typing=True,
            accept_handler=self._accept,
        )
        lexer = PygmentsLexer(SqlLexer) if sign == ";" else None
        return Window(BufferControl(buffer, lexer=lexer), height=1)

    def typed(self) -> dict[str, Sequence[str]]:
        """What was typed behind each sign, the oldest first."""
        return {sign: [*buffer.history.load_history_strings()][::-1] for sign, buffer in self._buffers.items()}

    def line_typed(self) -> str:
        """What stands behind the sign now."""
        return self._buffers[self._sign].text

    @property
    def _buffers(self) -> dict[str, Buffer]:
        controls = {sign: window.content for sign, window in self._lines.items()}
        return {sign: control.buffer for sign, control in controls.items() if isinstance(control, BufferControl)}

    # ------------------------------------------------------------------ running

    def run(self) -> None:
        """Until the user leaves. Raises what went wrong on the way, with the terminal as it was."""
        before, thresholds = sys.getswitchinterval(), gc.get_threshold()
        sys.setswitchinterval(SHARE)
        gc.set_threshold(*thresholds[:2], NEVER)  # see _rest
        try:
            asyncio.run(self.run_async())
        finally:
            gc.set_threshold(*thresholds)
            sys.setswitchinterval(before)

    async def run_async(self) -> None:
        try:
            await self._application.run_async(pre_run=self._begin, handle_sigint=False, set_exception_handler=False)
        finally:
            gc.unfreeze()

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._broken)
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(ValueError, RuntimeError):  # outside the main thread signals are somebody else's
                self._loop.add_signal_handler(number, self._hung_up)
        self._measure()
        if self.worker is not None:
            self.worker.start()

    def broken(self, error: Exception) -> None:
        """From any thread: something happened that must not. Leave, and let it be seen."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._broken, loop, {"exception": error})

    def _broken(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException) and self._application.is_running and not self._application.is_done:
            self._application.exit(exception=error)

    def _hung_up(self) -> None:
        """The terminal went away, or somebody ends the program: leave, with the terminal as it was."""
        if self._application.is_running and not self._application.is_done:
            self._application.exit(exception=EOFError)

    def post(self, message: Message) -> None:
        """From any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody looks any more
                loop.call_soon_threadsafe(self.send, message)

    def send(self, message: Message) -> None:
        """A message, and all that follows from it at once."""
        waiting: list[Message] = [message]
        shown = self.model
        while waiting:
            was = self.model
            self.model, effects = update(self.model, waiting.pop(0))
            if was.picture is None and self.model.picture is not None:
                gc.freeze()
                if self.judge is not None:
                    self.judge.start()  # not sooner: the first picture comes first
            if was.judgement is not self.model.judgement:
                _tidy()
            self._prompted(was)
            for effect in effects:
                reply = self._perform(effect)
                if reply is not None:
                    waiting.append(reply)
        if self.model.leaving and self._application.is_running and not self._application.is_done:
            self._application.exit()
        if self.model is not shown:
            self._application.invalidate()
        self._rest()
        if self._loop is None or self.model is shown:
            self._submit()
        elif self._asked:  # behind the drawing, or else in a moment: the worker would hold the screen up
            self._loop.call_later(MOMENT, self._submit)

    def _rest(self) -> None:
        """A full collection takes as long as some keys may: it waits until nothing has happened for a while."""
        if self._resting is not None:
            self._resting.cancel()
        if self._loop is not None:
            self._resting = self._loop.call_later(REST, gc.collect)

    def _submit(self, _application: object = None) -> None:
        """Hand the worker what was asked for."""
        asked, self._asked = self._asked, []
        for effect in asked:
            if self.worker is not None:
                self.worker.submit(effect, self.model.wanted)

    def _perform(self, effect: Effect) -> Message | None:
        match effect:
            case Choose() | Alike() | KindOf() | Locate() | Cause() | Consequence():
                return looks.answer(effect, self._record)
            case Copy(text):
                self._application.clipboard.set_data(ClipboardData(text))
                self._application.output.write_raw(osc52(text))
            case Export(name):
                return self._export(name)
            case Interrupt():
                if self.worker is not None:
                    self.worker.interrupt()
            case Suspend():
                self._application.suspend_to_background()
            case Redraw():
                self._application.renderer.clear()
            case _:
                self._asked.append(effect)
        return None

    def _export(self, name: str) -> Message:
        try:
            Path(name).write_text(
                frame.written(self.lines(), name, Size(self.model.width, self.model.height)), encoding="utf-8"
            )
        except OSError as error:
            return Said(f"cannot write {name}: {error.strerror}", True)
        return Said(f"{name} is written")

    # ------------------------------------------------------------------ drawing

    def _measure(self) -> None:
        size = self._application.output.get_size()
        if (size.columns, size.rows) != (self.model.width, self.model.height):
            self.send(Resized(size.columns, size.rows))

    def lines(self) -> list[Line]:
        self._measure()
        if self._drawn is None or self._drawn[0] is not self.model:
            self._drawn = (self.model, frame.screen(self.model, self._record))
        return self._drawn[1]

    def _style(self) -> Style:
        many = self._application.color_depth in (ColorDepth.DEPTH_8_BIT, ColorDepth.DEPTH_24_BIT)
        return _made(style.theme(self.model.theme, os.environ.get("COLORFGBG", "")) if many else style.PLAIN)

    def _layout(self) -> Layout:
        typing = Condition(lambda: self.model.prompt is not None)
        self._screen = Window(Screen(self), always_hide_cursor=True)
        line = DynamicContainer(lambda: self._lines[self._sign])
        sign = Window(height=1, width=2, char=" ", content=Sign(self))
        body = HSplit([self._screen, ConditionalContainer(VSplit([sign, line], height=1), typing)])
        menu = Float(xcursor=True, ycursor=True, content=CompletionsMenu(max_height=8))
        return Layout(FloatContainer(body, [menu]), focused_element=self._screen)

    # ------------------------------------------------------------------ keys

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        typing = Condition(lambda: self.model.prompt is not None)

        @keys.add(Keys.Any, filter=~typing)
        def _(event: KeyPressEvent) -> None:
            for press in event.key_sequence:
                key = press.key.value if isinstance(press.key, Keys) else press.key
                self.send(Pressed(NAMES.get(key, key)))

        @keys.add("escape", filter=typing, eager=True)
        @keys.add("c-c", filter=typing)
        @keys.add("c-g", filter=typing)
        def _(_: KeyPressEvent) -> None:
            self.send(Entered(self._sign, ""))

        @keys.add("backspace", filter=typing & Condition(lambda: not self.line_typed()))
        def _(_: KeyPressEvent) -> None:
            self.send(Entered(self._sign, ""))

        @keys.add("up", filter=typing)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.cancel_completion()
            event.current_buffer.history_backward()

        @keys.add("down", filter=typing)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.cancel_completion()
            event.current_buffer.history_forward()

        return keys

    @property
    def _sign(self) -> str:
        return self.model.prompt.sign if self.model.prompt else ":"

    def _prompted(self, was: Model) -> None:
        """The line to type in appears and goes with the model's prompt."""
        if was.prompt is self.model.prompt:
            return
        if self.model.prompt is None:
            self._application.layout.focus(self._screen)
            return
        buffer = self._buffers[self._sign]
        buffer.reset()
        if self.model.prompt.text:
            buffer.insert_text(self.model.prompt.text)
        self._application.layout.focus(self._lines[self._sign])

    def _accept(self, buffer: Buffer) -> bool:
        self.send(Entered(self._sign, buffer.text))
        return False

    # ------------------------------------------------------------------ mouse

    def pointed(self, event: MouseEvent) -> None:
        column, row = event.position.x, event.position.y
        pane = self._pane_at(column, row)
        match event.event_type:
            case MouseEventType.SCROLL_UP | MouseEventType.SCROLL_DOWN if pane is not None:
                self.send(Wheel(pane, -1 if event.event_type is MouseEventType.SCROLL_UP else 1))
            case MouseEventType.MOUSE_UP:
                link = self._link_at(column, row)
                if pane is not None and self.model.over is None:
                    self.send(Focused(pane))
                if link is not None:
                    self.send(link)

    def _pane_at(self, column: int, row: int) -> str | None:
        for slot in layout.placed(self.model):
            left, top, wide, high = slot.box
            if left <= column < left + wide and top <= row < top + high:
                return slot.seen
        return None

    def _link_at(self, column: int, row: int) -> Message | None:
        at = 0
        lines = self.lines()
        for span in lines[row] if row < len(lines) else ():
            at += cells(span.text)
            if column < at:
                return span.link
        return None


@cache
def _made(theme: str) -> Style:
    """One and the same object each time, or everything would be drawn anew."""
    return Style.from_dict(style.rules(theme))


def osc52(text: str) -> str:
    """The sequence by which a terminal takes text into the clipboard, over SSH too."""
    return f"\x1b]52;c;{b64encode(text.encode()).decode()}\x07"
