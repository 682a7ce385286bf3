"""The program in a real terminal, as a person uses it: found, read, followed, kept, asked, resized, left."""

import re
from contextlib import suppress

import pytest

from tests.tui.conftest import Golden, Open
from tests.tui.terminal import Terminal

SIZES = [(80, 24), (120, 40), (200, 60)]

READY = "165,241"


def ready(screen: str) -> bool:
    """Everything that is shown is of where one is, and the recording was judged."""
    rows = screen.splitlines()
    return "…" not in rows[0] and "EAX" in screen and "being judged" not in screen and "??????" not in screen


def at(terminal: Terminal, step: str) -> str:
    return terminal.wait(lambda screen: f"step {step}/" in screen and ready(screen), f"step {step}")


def shows(terminal: Terminal, golden: Golden, name: str) -> None:
    """The screen comes to be what is in this file."""
    wanted = golden.text(name)
    with suppress(AssertionError):
        if wanted is not None:
            terminal.wait(lambda screen: screen == wanted, "the golden screen", patience=5)
    golden(name, terminal.wait(ready_or_covered, "the whole screen"))


def ready_or_covered(screen: str) -> bool:
    return ready(screen) or "native hardware" in screen


def find(terminal: Terminal, text: str) -> str:
    """By the key for the next divergence, to the first one that says this."""
    for number in range(1, 200):
        terminal.press("e")
        screen = terminal.wait_for(f"divergence {number} of")
        if text in screen.splitlines()[-1]:
            return screen
    raise AssertionError(f"no divergence says {text!r}")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_ignored_popf_is_found_read_crossed_and_followed(
    opened: Open, golden: Golden, width: int, height: int
) -> None:
    terminal = opened("userland", width, height)
    terminal.wait(lambda screen: "step 6/165,241" in screen and ready(screen), "the first event")
    shows(terminal, golden, f"begin-{width}x{height}.txt")

    find(terminal, "user POPF at IOPL 3")
    at(terminal, "79,639")
    terminal.press("D")
    split = terminal.wait_for("native hardware", "this machine", "◀ differs")
    assert re.search(r"^ IF +1 +0 +│ 1 +◀ differs", split, re.MULTILINE)
    shows(terminal, golden, f"split-{width}x{height}.txt")

    terminal.press("Enter")
    terminal.wait_for("2:events")
    before = at(terminal, "79,639")
    assert "try_popf+0x9" in before.splitlines()[0]
    terminal.press("S")
    assert "try_popf+0x8" in at(terminal, "79,638").splitlines()[0]
    terminal.press("s")
    terminal.wait(lambda screen: screen == before, "the same screen at the same place")

    terminal.press("G")
    at(terminal, "165,241")
    terminal.press("E", "D")
    terminal.wait_for("follows from")
    terminal.press("h")
    terminal.wait_for("what followed")
    terminal.press("l")
    terminal.wait_for("follows from")
    terminal.press("q")
    terminal.wait_for("2:events")

    terminal.press("g")
    at(terminal, "6")
    terminal.command("#GP", "/")
    hit = at(terminal, "65,678")
    assert "#GP" in hit
    terminal.press("l")
    terminal.wait_for("65,735")
    terminal.press("h")
    at(terminal, "65,678")

    terminal.command("bookmark found the first fault")
    terminal.wait_for("bookmark found is kept: step 65,678")
    terminal.press("g")
    at(terminal, "6")
    terminal.press("u")
    at(terminal, "65,678")
    terminal.press("<")
    at(terminal, "6")
    terminal.press(">")
    at(terminal, "65,678")

    terminal.command("SELECT step, place, outcome FROM flag_attempt WHERE outcome = 'silently ignored'", ";")
    terminal.wait_for("SQL", "try_popf+0x8")
    terminal.press("Down")
    terminal.wait_for("row 2 of")
    terminal.press("Enter")
    at(terminal, "79,639")

    terminal.resize(100, 30)
    terminal.wait(lambda screen: len(screen.splitlines()) == 30 and "step 79,639" in screen, "the new size")
    terminal.press("q")
    terminal.wait_for("left with 0")
    assert terminal.tmux("display-message", "-p", "#{alternate_on} #{mouse_any_flag}").split() == ["0", "0"]
