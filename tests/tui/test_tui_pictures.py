"""The pictures in README, made by the program itself. PVTRACE_GOLDEN=write makes them anew."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from pvtrace.tui import frame
from pvtrace.tui.lines import Size
from pvtrace.tui.messages import OpenFinding
from tests.tui.conftest import Golden
from tests.tui.models import Desk, desk

SIZE = Size(120, 40)
NAME = "user-iopl"
"""The rule of the divergence that is shown."""


def picture(at: Desk) -> str:
    drawn = frame.written(frame.screen(at.model, at.record), "picture.svg", SIZE)
    ElementTree.fromstring(drawn)
    return drawn


def test_pictures(recording: Callable[[str], Path], golden: Golden) -> None:
    with desk(recording("userland"), size=SIZE, judge=True) as at:
        number = next(
            n for n, item in enumerate(at.model.findings) if item.rule == NAME and "POPF at IOPL 3" in item.text
        )
        at.send(OpenFinding(number))
        golden("screen.svg", picture(at))
        at.press("D")
        golden("divergence.svg", picture(at))
