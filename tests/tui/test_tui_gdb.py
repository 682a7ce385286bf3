"""gdb and the screen in one recording: each sees where the other goes."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tui.conftest import Open
from tests.tui.terminal import PATIENCE
from tests.tui.test_tui_terminal import at, ready


def gdb(program: Path, port: str, *commands: str) -> str:
    """What gdb says to some commands, attached to this port."""
    words = [str(program), "-nx", "-batch", "-ex", "set confirm off", "-ex", f"target remote :{port}"]
    for command in commands:
        words += ["-ex", command]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_each_moves_the_other(opened: Open, require_tool: Callable[[str], Path]) -> None:
    program = require_tool("gdb")
    terminal = opened("userland", 120, 40, "--at", "69759", "--gdb", "0")
    screen = terminal.wait(lambda screen: ready(screen) and "target remote" in screen, "the port for gdb")
    port = re.findall(r"target remote :(\d+)", screen)[0]
    at(terminal, "69,759")

    terminal.press("S")
    at(terminal, "69,758")
    assert "0x101019" in gdb(program, port, "info registers eip", "detach")

    gdb(program, port, "monitor goto 79639", "detach")
    assert "try_popf+0x9" in at(terminal, "79,639").splitlines()[0]

    terminal.command("follow off")
    terminal.wait_for("follow off")
    gdb(program, port, "monitor goto 6", "detach")
    terminal.press("s")
    at(terminal, "79,640")
    assert "step 6," in gdb(program, port, "monitor when", "detach")

    terminal.command("follow on")
    at(terminal, "6")
    terminal.press("q")
    terminal.wait_for("left with 0")
