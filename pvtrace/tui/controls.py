"""What prompt_toolkit is given to draw: all lines of the screen, and the sign in front of what is typed.

It decides nothing; what is drawn is asked of the App.
"""

from itertools import groupby
from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import UIContent, UIControl
from prompt_toolkit.mouse_events import MouseEvent

from pvtrace.tui.lines import Line

if TYPE_CHECKING:
    from pvtrace.tui.app import App


class Screen(UIControl):
    """All lines, and what is under the mouse."""

    def __init__(self, app: "App") -> None:
        self._app = app

    def is_focusable(self) -> bool:
        return True

    def create_content(self, width: int, height: int) -> UIContent:
        del width
        lines = self._app.lines()
        prompt = self._app.model.prompt is not None
        shown = lines[: height if not prompt else max(0, len(lines) - 1)]
        made = [_fragments(item) for item in shown]
        return UIContent(get_line=made.__getitem__, line_count=len(made), show_cursor=False)

    def mouse_handler(self, mouse_event: MouseEvent) -> None:
        self._app.pointed(mouse_event)


def _fragments(item: Line) -> StyleAndTextTuples:
    """Neighbours of one style together: the terminal's library takes its time for each."""
    return [
        (f"class:{role.value}" + (f" class:{on.value}" if on else ""), "".join(span.text for span in run))
        for (role, on), run in groupby(item, key=lambda span: (span.role, span.on))
    ]


class Sign(UIControl):
    """The sign in front of what is typed."""

    def __init__(self, app: "App") -> None:
        self._app = app

    def create_content(self, width: int, height: int) -> UIContent:
        del width, height
        prompt = self._app.model.prompt
        text: StyleAndTextTuples = [("class:key", f" {prompt.sign if prompt else ''}")]
        return UIContent(get_line=lambda _: text, line_count=1, show_cursor=False)
