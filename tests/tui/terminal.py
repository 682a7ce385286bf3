"""A real terminal to try the program in: tmux, with its own server, driven by keys and read as text.

Nothing waits for a time: a test waits until the screen shows something, and fails if that never comes.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60
"""Seconds after which something that has not come is taken not to come."""


class Terminal:
    """One program in one terminal."""

    def __init__(self, tmux: Path, folder: Path) -> None:
        self._tmux = [str(tmux), "-S", str(folder / "tmux.sock"), "-f", "/dev/null"]

    def tmux(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True, timeout=PATIENCE)
        return done.stdout

    def start(self, command: str, width: int, height: int, folder: Path, environment: Mapping[str, str]) -> None:
        given = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        size = ["-x", str(width), "-y", str(height)]
        self.tmux("new-session", "-d", "-s", "main", *size, "-c", str(folder), *given, command)
        self.tmux("set-option", "-g", "escape-time", "0")

    def press(self, *keys: str) -> None:
        """Keys as tmux names them; a text of several letters is typed."""
        for key in keys:
            self.tmux("send-keys", "-t", "main", key if key != ";" else "\\;")

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-t", "main", "-l", text if not text.endswith(";") else text[:-1] + "\\;")

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "main")

    def colours(self) -> str:
        """The screen with its escape sequences."""
        return self.tmux("capture-pane", "-p", "-e", "-t", "main")

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-t", "main", "-x", str(width), "-y", str(height))

    def wait(self, holds: Callable[[str], bool], what: str, patience: float = PATIENCE) -> str:
        """The screen, as soon as this holds for it and it is the same twice: not half of it drawn."""
        end = time.monotonic() + patience
        before = ""
        while True:
            screen = self.screen()
            if screen == before and holds(screen):
                return screen
            before = screen
            if time.monotonic() > end:
                raise AssertionError(f"never came: {what}\n{screen}")
            time.sleep(0.02)

    def wait_for(self, *texts: str) -> str:
        """The screen, as soon as all these stand on it."""
        return self.wait(lambda screen: all(text in screen for text in texts), " and ".join(map(repr, texts)))

    def wait_without(self, text: str) -> str:
        return self.wait(lambda screen: text not in screen, f"a screen without {text!r}")

    def command(self, text: str, sign: str = ":") -> None:
        """A line behind a sign, entered when the terminal shows all of it."""
        self.press(sign)
        self.wait(lambda screen: screen.rstrip("\n").splitlines()[-1].startswith(f" {sign}"), f"the prompt {sign}")
        self.type(text)
        self.wait(lambda screen: text[-30:] in screen.rstrip("\n").splitlines()[-1], f"{text!r} in the prompt")
        self.press("Enter")

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False, timeout=PATIENCE)


@contextmanager
def terminal(tmux: Path, folder: Path) -> Iterator[Terminal]:
    opened = Terminal(tmux, folder)
    try:
        yield opened
    finally:
        opened.close()


def opening(recording: Path, *words: str) -> str:
    """The command line that opens a recording; the shell behind it stays, to be looked at."""
    gdb = [] if "--gdb" in words else ["--no-gdb"]
    program = [sys.executable, "-m", "pvtrace", "replay", recording.name, "--tui", *gdb, *words]
    return f"{shlex.join(program)}; echo left with $?; exec sleep 600"


def clean(folder: Path) -> dict[str, str]:
    """An environment in which nothing is remembered from elsewhere."""
    return {"XDG_STATE_HOME": str(folder / "state"), "PATH": os.environ["PATH"], "TERM": "tmux-256color"}
